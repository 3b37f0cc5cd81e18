package rest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"

	"restante/mailbox"
)

// AutoconfigOptions configures [Autoconfig].
type AutoconfigOptions struct {
	Domains []string // whose mail is kept here, the main one first; at least one
	Host    string   // of all the ports, as its certificate has it

	// The ports that mail programs connect to, 0 where there is none: POP3 with
	// STLS and under TLS, submission with STARTTLS and under TLS.
	POP3, POP3S, Submission, Submissions int
}

// Autoconfig answers mail programs that know only an address with the settings for
// it, in the format that Thunderbird reads (clientConfig, version 1.1), so that
// people type address and password and nothing else. Only what has encryption is
// named, implicit TLS first (RFC 8314, section 3).
//
// A program that says for which address (the parameter emailaddress) and is wrong
// here gets a problem document. It panics where there is no domain.
func Autoconfig(o AutoconfigOptions) http.Handler {
	if len(o.Domains) == 0 {
		panic("rest: settings for mail programs without a domain")
	}
	config, err := xml.MarshalIndent(o.config(), "", "  ")
	if err != nil {
		panic(fmt.Sprintf("rest: marshal settings for mail programs: %v", err)) // strings and numbers only
	}
	config = slices.Concat([]byte(xml.Header), config, []byte("\n"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if email := r.URL.Query().Get("emailaddress"); email != "" {
			address, err := mailbox.ParseAddress(email)
			if err != nil {
				writeProblem(w, problem(http.StatusUnprocessableEntity, "malformed-address", err.Error()))
				return
			}
			if !slices.Contains(o.Domains, address.Domain) {
				writeProblem(w, problem(http.StatusNotFound, "domain-not-local", "the domain of the address is not served here"))
				return
			}
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Write(config) //nolint:errcheck // the client is gone
	})
}

type (
	clientConfig struct {
		XMLName  xml.Name      `xml:"clientConfig"`
		Version  string        `xml:"version,attr"`
		Provider emailProvider `xml:"emailProvider"`
	}
	emailProvider struct {
		ID       string       `xml:"id,attr"`
		Domains  []string     `xml:"domain"`
		Name     string       `xml:"displayName"`
		Short    string       `xml:"displayShortName"`
		Incoming []mailServer `xml:"incomingServer"`
		Outgoing []mailServer `xml:"outgoingServer"`
	}
	mailServer struct {
		Type           string `xml:"type,attr"`
		Host           string `xml:"hostname"`
		Port           int    `xml:"port"`
		Socket         string `xml:"socketType"`
		Username       string `xml:"username"`
		Authentication string `xml:"authentication"`
	}
)

func (o AutoconfigOptions) config() clientConfig {
	server := func(kind, socket string, port int) mailServer {
		return mailServer{kind, o.Host, port, socket, "%EMAILADDRESS%", "password-cleartext"} // clear text within TLS
	}
	servers := func(kind string, tls, startTLS int) (all []mailServer) {
		if tls != 0 {
			all = append(all, server(kind, "SSL", tls))
		}
		if startTLS != 0 {
			all = append(all, server(kind, "STARTTLS", startTLS))
		}
		return all
	}
	return clientConfig{Version: "1.1", Provider: emailProvider{
		ID:       o.Domains[0],
		Domains:  o.Domains,
		Name:     "Restante (" + o.Domains[0] + ")",
		Short:    "Restante",
		Incoming: servers("pop3", o.POP3S, o.POP3),
		Outgoing: servers("smtp", o.Submissions, o.Submission),
	}}
}

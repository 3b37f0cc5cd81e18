package rest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"strings"

	"restante/mailbox"
)

// A submission is what the header of a message says about its way.
type submission struct {
	header mail.Header
	utf8   bool // it is not all ASCII (RFC 6532)
}

// readSubmission reads the header of a message whose lines end in CRLF.
func readSubmission(content []byte) (*submission, error) {
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return nil, malformed("it does not begin with a header")
	}
	switch {
	case len(m.Header["Received"]) > maxHops:
		return nil, problem(http.StatusUnprocessableEntity, "too-many-hops", "this message goes in circles")
	case m.Header.Get("Return-Path") != "":
		return nil, malformed("Return-Path is for the server at the end of the way to add (RFC 5321, section 4.4)")
	}
	header, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	return &submission{m.Header, !mailbox.IsASCII(header)}, nil
}

// malformed is the answer to a message that is none.
func malformed(detail string) error {
	return problem(http.StatusUnprocessableEntity, "malformed-message", detail)
}

// sender is the reverse-path: that of the request, or else the sender of the message
// (RFC 5322, section 3.6.2).
func (s *submission) sender(wanted string) (mailbox.Address, error) {
	if wanted != "" {
		return mailbox.ParsePath(wanted)
	}
	for _, name := range []string{"Sender", "From"} {
		found, err := s.addresses(name)
		if err != nil {
			return mailbox.Address{}, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return mailbox.Address{}, problem(http.StatusUnprocessableEntity, "no-sender", "neither the request nor the message says from whom it is")
}

// recipients are the forward-paths: those of the request, or else those of the message.
func (s *submission) recipients(wanted []string) (all []mailbox.Address, err error) {
	if len(wanted) == 0 {
		return s.addresses("To", "Cc", "Bcc")
	}
	for _, one := range wanted {
		a, err := mailbox.ParsePath(one)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// anyCharset leaves names as they are: nothing but the addresses matters here.
var anyCharset = mail.AddressParser{WordDecoder: &mime.WordDecoder{
	CharsetReader: func(_ string, in io.Reader) (io.Reader, error) { return in, nil },
}}

// addresses are those of some fields, each once. A group counts as its members.
func (s *submission) addresses(names ...string) (all []mailbox.Address, err error) {
	known := make(map[mailbox.Address]bool)
	for _, name := range names {
		for _, value := range s.header[name] {
			if strings.TrimSpace(value) == "" {
				continue
			}
			list, err := anyCharset.ParseList(value)
			if err != nil && !emptyGroup(value) {
				return nil, malformed("there is no list of addresses in the field " + name)
			}
			for _, one := range list {
				a, err := mailbox.ParsePath(one.Address)
				if err != nil {
					return nil, fmt.Errorf("field %s: %w", name, err)
				}
				if !known[a.Canonical()] {
					known[a.Canonical()] = true
					all = append(all, a)
				}
			}
		}
	}
	return all, nil
}

// emptyGroup reports whether a value is nothing but a group without members, such as
// "undisclosed-recipients:;".
func emptyGroup(value string) bool {
	name, rest, ok := strings.Cut(value, ":")
	return ok && !strings.ContainsAny(name, `<>@",`) && strings.TrimSpace(rest) == ";"
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"

	"restante/relay/fake"
)

// submitter is whose mail leaves.
const submitter, password = "fred@example.org", "correct horse"

// startServices starts services that mail leaves through: one that takes it, one that is
// busy, and one that does not know us. It writes the file that names them.
func startServices(file string) (stop func() error, err error) {
	var all []*fake.SMTP
	stop = func() error {
		var errs []error
		for _, f := range all {
			errs = append(errs, f.Close())
		}
		return errors.Join(errs...)
	}
	var services []map[string]any
	for _, s := range []struct {
		name, like, mode string
		weight           int
		tags             []string
	}{
		{"harbour", "postmark", "ok", 100, []string{"rack 1", "own addresses"}},
		{"hill", "mailgun", "status:451 4.7.1 come back in a while", 60, []string{"rack 2"}},
		{"lighthouse", "ses", "authfail", 40, nil},
	} {
		f, err := fake.NewSMTP(fake.SMTPOptions{Like: s.like, Username: "u", Password: "p"})
		if err != nil {
			return stop, err
		}
		all = append(all, f)
		if err := f.Set(fake.Setting{Mode: s.mode}); err != nil {
			return stop, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return stop, err
		}
		go f.Serve(l) //nolint:errcheck // until it is closed
		services = append(services, map[string]any{
			"name": s.name, "weight": s.weight, "tags": s.tags, "limits": map[string]int{"per_day": 50_000},
			"provider": "smtp://u:p@" + l.Addr().String(),
		})
	}
	text, err := json.Marshal(map[string]any{"services": services})
	if err != nil {
		return stop, err
	}
	return stop, os.WriteFile(file, text, 0o600) // which is YAML too
}

// serviceFile is where the services stand, below the directory of a server.
func serviceFile(dir string) string { return filepath.Join(dir, "services.yaml") }

// submit has mail leave for elsewhere.
func (s *server) submit(to ...string) error {
	c, err := smtp.Dial(s.ports["submission"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", submitter, password, "127.0.0.1")); err != nil {
		return err
	}
	for i, recipient := range to {
		if err := errors.Join(c.Mail(submitter), c.Rcpt(recipient)); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nSubject: Letter %d\r\nMessage-ID: <%d@example.org>\r\n\r\nHello.\r\n", submitter, recipient, i, i)
		if err := errors.Join(err, w.Close()); err != nil {
			return err
		}
	}
	return c.Quit()
}

// account makes the account of who submits.
func (s *server) account() error {
	body := strings.NewReader(fmt.Sprintf(`{"address":%q,"password":%q}`, submitter, password))
	r, err := http.NewRequest(http.MethodPost, "http://"+s.ports["admin"]+"/accounts", body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusCreated {
		return fmt.Errorf("make %s: %s", submitter, w.Status)
	}
	return nil
}

// The scenes of the page about how mail leaves.

func (s *stage) relay() error {
	var to []string
	for i, name := range []string{"ann", "bob", "cleo", "dora", "emil", "finn", "gus", "hanna"} {
		to = append(to, fmt.Sprintf("%s@%s", name, []string{"reader.example", "library.example"}[i%2]))
	}
	return all(func() error { return s.Go("http://" + s.server.ports["admin"] + "/relay") },
		s.until(`document.querySelector("#enter").checkVisibility()`),
		s.click("#token"), func() error { return s.Type(s.server.token + "\r") },
		s.until(`[...document.querySelectorAll("#services .is")].map(e => e.textContent).join().includes("misconfigured")`),
		func() error { return s.server.submit(to...) },
		s.click(`[aria-label="Drain harbour"]`), s.until(`document.querySelector("#services .is.draining")`),
		func() error { return s.server.submit("ivo@reader.example", "jan@library.example") },
		s.until(`document.querySelector("#counts li:nth-child(5) p").textContent !== "0"`),
		s.click("#look"), s.until(`document.querySelector("#queue tbody tr")`),
		s.click(`[aria-label="Resume harbour"]`), s.until(`!document.querySelector("#services .is.draining")`))
}

func (s *stage) entry() error {
	return all(s.relay, s.click("#queue .link"), s.until(`document.querySelector("#entry").open`))
}

func (s *stage) adoption() error {
	return all(s.relay, s.click("#adopt"), s.click("#datacenter"), func() error { return s.Type("harbour-2") },
		s.click("#again"), func() error { return s.Type("harbour-1\r") }, s.until(`document.querySelector("#adoption-error").checkVisibility()`))
}

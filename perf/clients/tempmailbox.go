package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"restante/perf/wire"
)

// tempDomain has the temporary mailboxes.
const tempDomain = "temp." + domain

// asking bounds one question.
const asking = 10 * time.Second

// A tempMailbox is what the server tells of one that it has made.
type tempMailbox struct {
	Email    string
	Password string
	Expires  time.Time
}

// makeMailbox makes a mailbox by REST.
func (s *server) makeMailbox(ctx context.Context, life time.Duration) (m tempMailbox, err error) {
	c := s.rest()
	wish := fmt.Appendf(nil, `{"ttl": %d}`, int64(life.Seconds()))
	status, answer, err := c.Exchange(ctx, http.MethodPost, "/mailboxes", "application/json", wish)
	switch {
	case err != nil:
		return m, err
	case status != http.StatusCreated:
		return m, fmt.Errorf("making a mailbox was answered %d %.200s", status, answer)
	}
	return m, json.Unmarshal(answer, &m)
}

func (s *server) rest() wire.HTTP {
	return wire.HTTP{Addr: s.ports["http"], Once: true, Timeout: asking}
}

// An ask is how a protocol tells whether a mailbox is there. Any answer but the two
// that say so is an error.
type ask struct {
	protocol string
	there    func(ctx context.Context) (bool, error)
}

// asks are all protocols that know of a mailbox.
func (s *server) asks(m tempMailbox) []ask {
	return []ask{
		{"REST", func(ctx context.Context) (bool, error) { return s.hasREST(ctx, m) }},
		{"POP3", func(ctx context.Context) (bool, error) { return s.hasPOP3(ctx, m) }},
		{"SMTP", func(ctx context.Context) (bool, error) { return s.hasSMTP(ctx, m) }},
	}
}

func (s *server) hasREST(ctx context.Context, m tempMailbox) (bool, error) {
	c := s.rest()
	status, answer, err := c.Exchange(ctx, http.MethodGet, "/mailboxes/"+url.PathEscape(m.Email), "", nil)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusOK:
		return true, nil
	case status == http.StatusNotFound && bytes.Contains(answer, []byte(`"urn:problem:mailbox-not-found"`)):
		return false, nil
	}
	return false, fmt.Errorf("GET was answered %d %.200s", status, answer)
}

// hasPOP3 logs in. The server takes a second to refuse that.
func (s *server) hasPOP3(ctx context.Context, m tempMailbox) (bool, error) {
	c, err := wire.DialPOP3(ctx, s.ports["pop3"], wire.Options{Timeout: asking})
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // after an error; QUIT closes too
	err = c.Login(m.Email, m.Password)
	var refused *wire.ReplyError
	switch {
	case err == nil:
		return true, c.Quit()
	case errors.As(err, &refused) && refused.Command == "PASS" && strings.HasPrefix(refused.Reply, "-ERR [AUTH] "):
		return false, nil
	}
	return false, err
}

// hasSMTP names the mailbox as a recipient, and sends nothing.
func (s *server) hasSMTP(ctx context.Context, m tempMailbox) (bool, error) {
	conn, err := (&net.Dialer{Timeout: asking}).DialContext(ctx, "tcp", s.ports["smtp"])
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(asking)); err != nil {
		return false, err
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return false, err
	}
	if err := errors.Join(c.Hello("client."+domain), c.Mail(sender)); err != nil {
		return false, err
	}
	err = c.Rcpt(m.Email)
	var reply *textproto.Error
	switch {
	case err == nil:
		return true, c.Quit()
	case errors.As(err, &reply) && reply.Code == 550 && strings.HasPrefix(reply.Msg, "5.1.1 "):
		return false, c.Quit()
	}
	return false, err
}

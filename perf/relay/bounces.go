package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"net/textproto"
	"strings"

	"restante/perf/peer"
	"restante/perf/wire"
)

// A bounce is what a notification (RFC 3464) says about its one recipient.
type bounce struct {
	finalRecipient, action, status string
	lastAttempt                    string // when; empty: there was none
}

// bounces are all notifications that those who submit have in their maildrops. Anything
// else there is an error.
func (s *stage) bounces(ctx context.Context) ([]bounce, error) {
	var all []bounce
	for i := range users {
		user := fmt.Sprintf(peer.Pattern, i)
		err := fetch(ctx, s.nodes[0].POP3, user, func(message []byte) error {
			b, err := parseBounce(message)
			all = append(all, b)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("maildrop of %s: %w", user, err)
		}
	}
	return all, nil
}

// fetch reads a maildrop whole.
func fetch(ctx context.Context, addr, user string, each func(message []byte) error) error {
	c, err := wire.DialPOP3(ctx, addr, wire.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(user, peer.Password); err != nil {
		return err
	}
	n, _, err := c.Stat()
	for i := 1; i <= n && err == nil; i++ {
		var b bytes.Buffer
		if err = c.Retr(i, &b); err == nil {
			err = each(b.Bytes())
		}
	}
	return errors.Join(err, c.Quit())
}

var errNoBounce = errors.New("not a notification as RFC 3464 has it")

// parseBounce reads a notification: what is for people, what is for programs, and what is
// returned.
func parseBounce(message []byte) (b bounce, err error) {
	m, err := netmail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return b, err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		return b, fmt.Errorf("%w: Content-Type %q", errNoBounce, m.Header.Get("Content-Type"))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{"text/plain", "message/delivery-status", ""} {
		p, err := parts.NextPart()
		if err != nil {
			return b, fmt.Errorf("%w: %w", errNoBounce, err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			return b, err
		}
		kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
		if want != "" && kind != want || want == "" && kind != "message/rfc822" && kind != "text/rfc822-headers" {
			return b, fmt.Errorf("%w: a part of the type %q", errNoBounce, kind)
		}
		if want == "message/delivery-status" {
			if err := b.read(text); err != nil {
				return b, fmt.Errorf("%w: %w", errNoBounce, err)
			}
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		return b, fmt.Errorf("%w: more than three parts", errNoBounce)
	}
	return b, nil
}

// read reads the fields about the message, and those about its one recipient.
func (b *bounce) read(status []byte) error {
	in := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(status), strings.NewReader("\r\n\r\n"))))
	about, err := in.ReadMIMEHeader()
	if err != nil || about.Get("Reporting-MTA") == "" {
		return fmt.Errorf("no Reporting-MTA in %q: %w", status, err)
	}
	of, err := in.ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("no recipient in %q: %w", status, err)
	}
	_, b.finalRecipient, _ = strings.Cut(of.Get("Final-Recipient"), ";") // behind the type of address
	b.finalRecipient = strings.TrimSpace(b.finalRecipient)
	b.action, b.status, b.lastAttempt = of.Get("Action"), of.Get("Status"), of.Get("Last-Attempt-Date")
	if b.finalRecipient == "" || b.action == "" || b.status == "" {
		return fmt.Errorf("fields are missing in %q", status)
	}
	return nil
}

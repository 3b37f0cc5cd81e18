package smtp_test

import (
	"strings"
	"testing"

	"restante/smtp"
)

const hello = "From: a@example.net\r\nSubject: hello\r\n\r\nHello.\r\n"

func TestAMessageIsKeptWithItsEnvelopeAndTrace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<sender@example.net> SIZE=100 BODY=8BITMIME", "250 2.1.0 ")
		c.do("RCPT TO:<fred@example.org>", "250 2.1.5 ")
		c.do("DATA", "354 ")
		got := c.do(hello+".", "250 2.0.0 ")
		c.do("QUIT", "221 ")
		c.closed()

		d := r.post.only(t)
		if d.body() != hello {
			t.Errorf("content %q", d.content)
		}
		if d.env.ReversePath.String() != "sender@example.net" || len(d.env.Recipients) != 1 {
			t.Errorf("envelope %+v", d.env)
		}
		if !strings.HasSuffix(got, " kept") {
			t.Errorf("reply %q does not say that the message is kept", got)
		}
		if !strings.HasPrefix(string(d.content), "Return-Path: <sender@example.net>\r\nReceived: from client.example.net\r\n\tby mx.example.org (Restante) with ESMTP id ") {
			t.Errorf("content %q", d.content)
		}
	})
}

var _ = smtp.MX

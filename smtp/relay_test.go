package smtp_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"restante/smtp"
)

// relayFor runs a test with a server that takes everything from servers of ours.
func relayFor(t *testing.T, test func(t *testing.T, r *rig, c *client)) {
	t.Helper()
	bubble(t, func(o *smtp.Options) {
		o.Kind, o.Submitter, o.Router, o.Deliverer = smtp.Relay, o.Deliverer.(*post), nil, nil
	}, func(t *testing.T, r *rig) { test(t, r, r.hello(t)) })
}

func TestARelayHandsEverythingToItsSubmitter(t *testing.T) {
	relayFor(t, func(t *testing.T, r *rig, c *client) {
		c.do("AUTH PLAIN AGZyZWRAZXhhbXBsZS5vcmcAc2VjcmV0", "502")
		c.do("MAIL FROM:<anybody@example.net> BODY=8BITMIME ENVID=x", "250")
		c.do("RCPT TO:<postmaster>", "501")
		c.do("RCPT TO:<wilma@example.org>", "250")
		c.do("DATA", "354")
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 2.0.0")
		r.post.nothing(t)
		want := smtp.Letter{
			ReversePath: address(t, "anybody@example.net"), EnvelopeID: "x", EightBit: true,
			Recipients: []smtp.Addressee{{Address: address(t, "wilma@example.org")}},
		}
		if got := r.post.submissions; len(got) != 1 || !reflect.DeepEqual(got[0].letter, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestASubmitterSaysItselfWhatTheClientIsTold(t *testing.T) {
	for _, c := range []struct {
		said smtp.Reply
		want string
	}{
		{smtp.Reply{Code: 250, Enhanced: [3]int{2, 0, 0}, Text: "queued as 7"}, "250 2.0.0 queued as 7"},
		{smtp.Reply{Code: 451, Enhanced: [3]int{4, 4, 5}, Text: "rests"}, "451 4.4.5 rests"},
		{smtp.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no such user"}, "550 5.1.1 no such user"},
	} {
		relayFor(t, func(t *testing.T, r *rig, client *client) {
			for range 2 { // the session goes on behind it
				r.post.set(func(p *post) { p.deliverErr = fmt.Errorf("send: %w", c.said) })
				client.envelope("ann@example.com")
				client.send("Subject: x\r\n\r\n.\r\n")
				if got := client.reply(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
			if log := r.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("the operator is bothered: %s", log)
			}
		})
	}
}

func TestASubmitterThatKnowsNothingIsSilent(t *testing.T) {
	relayFor(t, func(t *testing.T, r *rig, c *client) {
		r.post.set(func(p *post) { p.deliverErr = fmt.Errorf("send: %w", smtp.Reply{}) })
		c.envelope("ann@example.com")
		c.send("Subject: x\r\n\r\n.\r\nNOOP\r\n")
		c.closed()
	})
}

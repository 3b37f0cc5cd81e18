package smtp_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"restante/mailbox"
	"restante/smtp"
)

// relays runs a test with a submission server that takes mail for elsewhere, and a client
// of it that has logged in.
func relays(t *testing.T, change func(*smtp.Options), test func(t *testing.T, r *rig, c *client)) {
	t.Helper()
	bubble(t, func(o *smtp.Options) {
		o.Kind, o.InsecureAuth, o.Submitter = smtp.Submission, true, o.Deliverer.(*post)
		if change != nil {
			change(o)
		}
	}, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("AUTH PLAIN AGZyZWRAZXhhbXBsZS5vcmcAc2VjcmV0", "235")
		test(t, r, c)
	})
}

func address(t *testing.T, s string) mailbox.Address {
	t.Helper()
	a, err := mailbox.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhatAUserSubmitsIsHandedOverWithAllThatWasAskedFor(t *testing.T) {
	relays(t, nil, func(t *testing.T, r *rig, c *client) {
		c.do("MAIL FROM:<Fred+X@example.org> BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb", "250")
		c.do("RCPT TO:<Reply+BaRney@Example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Barney+2B1@example.com", "250")
		c.do("RCPT TO:<both@example.org> NOTIFY=NEVER", "250")
		c.do(`RCPT TO:<пётр@example.com> NOTIFY=FAILURE ORCPT=utf-8;\x{43F}@example.com`, "250")
		c.do("DATA", "354")
		c.send("Return-Path: <forged@example.net>\r\nSubject: x\r\n\r\nbody\r\n.\r\n")
		c.want("250 2.0.0")

		r.post.nothing(t)
		if len(r.post.submissions) != 1 {
			t.Fatalf("%d submissions, want 1", len(r.post.submissions))
		}
		got := r.post.submissions[0]
		want := smtp.Letter{
			Account: address(t, "fred@example.org"), ReversePath: address(t, "Fred+X@example.org"),
			EnvelopeID: "a+b", FullReturn: true, UTF8: true, EightBit: true,
			Recipients: []smtp.Addressee{
				{Address: address(t, "Reply+BaRney@example.com"), Notify: smtp.NotifySuccess | smtp.NotifyDelay, Original: "rfc822;Barney+1@example.com"},
				{Address: address(t, "both@example.org"), Notify: smtp.NotifyNever, Maildrops: []mailbox.Recipient{account("fred"), account("wilma")}},
				{Address: address(t, "пётр@example.com"), Notify: smtp.NotifyFailure, Original: "utf-8;п@example.com"},
			},
		}
		if !reflect.DeepEqual(got.letter, want) {
			t.Errorf("got  %+v\nwant %+v", got.letter, want)
		}
		if text := string(got.content); !strings.HasPrefix(text, "Received: from client.example.net") || !strings.HasSuffix(text, "\r\nSubject: x\r\n\r\nbody\r\n") ||
			strings.Contains(text, "Return-Path") {
			t.Errorf("content %q; want a Received field and no Return-Path", text)
		}
	})
}

func TestMailToOurOwnIsSubmittedToo(t *testing.T) {
	relays(t, nil, func(t *testing.T, r *rig, c *client) {
		c.do("MAIL FROM:<>", "250")
		c.do("RCPT TO:<wilma@example.org>", "250")
		c.do("DATA", "354")
		c.send("Subject: x\r\n\r\n.\r\n")
		c.want("250 2.0.0")
		want := smtp.Letter{
			Account:    address(t, "fred@example.org"),
			Recipients: []smtp.Addressee{{Address: address(t, "wilma@example.org"), Maildrops: []mailbox.Recipient{account("wilma")}}},
		}
		if len(r.post.submissions) != 1 || !reflect.DeepEqual(r.post.submissions[0].letter, want) {
			t.Errorf("got %+v, want %+v", r.post.submissions, want)
		}
	})
}

func TestAFailureOfTheSubmitterIsOneReply(t *testing.T) {
	for want, err := range map[string]error{
		"451 4.3.0 try again later":  fmt.Errorf("journal of ten hosts: %w", mailbox.ErrUnavailable),
		"451 4.3.0 try again later ": errors.New("something else"),
		"452 4.3.1 no room left":     mailbox.ErrFull,
		"552 5.3.4 header too large": fmt.Errorf("prepare: %w", smtp.ErrHeader),
	} {
		t.Run(want, func(t *testing.T) {
			relays(t, nil, func(t *testing.T, r *rig, c *client) {
				r.post.set(func(p *post) { p.deliverErr = err })
				c.do("MAIL FROM:<fred@example.org>", "250")
				c.do("RCPT TO:<barney@example.com>", "250")
				c.do("DATA", "354")
				c.send("Subject: x\r\n\r\n.\r\n")
				if got := c.want(want); strings.Contains(got, "hosts") {
					t.Errorf("the client is told %q", got)
				}
				r.post.set(func(p *post) { p.deliverErr = nil })
				c.do("MAIL FROM:<fred@example.org>", "250")
				c.do("RCPT TO:<barney@example.com>", "250")
				c.do("DATA", "354")
				c.send("Subject: x\r\n\r\n.\r\n")
				c.want("250 2.0.0")
			})
		})
	}
}

func TestTheAddressesOfALetterAreBounded(t *testing.T) {
	relays(t, nil, func(t *testing.T, r *rig, c *client) {
		c.do("MAIL FROM:<fred@example.org>", "250")
		original := strings.Repeat("x", 1000) + "@example.com"
		taken := 0
		for n := range 1000 {
			c.send(fmt.Sprintf("RCPT TO:<%d@example.com> ORCPT=rfc822;%s\r\n", n, original))
			if reply := c.reply(); strings.HasPrefix(reply, "452 4.5.3") {
				break
			}
			taken++
		}
		if want := 256 << 10 / len(original); taken < want-10 || taken > want {
			t.Errorf("%d addressees with %d octets each were taken, want about %d", taken, len(original), want)
		}
	})
}

// A server that relays for strangers sends everybody's spam.
func TestOnlyUsersMaySendMailElsewhere(t *testing.T) {
	for _, kind := range []smtp.Kind{smtp.MX, smtp.LMTP} {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, func(o *smtp.Options) {
				o.Kind, o.InsecureAuth, o.Submitter = kind, true, o.Deliverer.(*post)
			}, func(t *testing.T, r *rig) {
				c := r.dial(t)
				hello := "EHLO"
				if kind == smtp.LMTP {
					hello = "LHLO"
				}
				c.do(hello+" client.example.net", "250")
				c.do("AUTH PLAIN AGZyZWRAZXhhbXBsZS5vcmcAc2VjcmV0", "502")
				for _, from := range []string{"", "fred@example.org", "barney@example.com"} {
					c.do("MAIL FROM:<"+from+">", "250")
					for _, to := range []string{"barney@example.com", "fred@[192.0.2.9]", "fred%example.com@example.com", `"fred@example.com"@example.net`} {
						c.do("RCPT TO:<"+to+">", "550")
					}
					c.do("RCPT TO:<fred@example.org>", "250")
					c.do("DATA", "354")
					c.send("Subject: x\r\n\r\n.\r\n")
					c.want("250")
				}
				if len(r.post.deliveries) != 3 || len(r.post.submissions) != 0 {
					t.Errorf("%d deliveries and %d submissions, want 3 and none", len(r.post.deliveries), len(r.post.submissions))
				}
			})
		})
	}
}

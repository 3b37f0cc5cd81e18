package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"restante/mailbox"
	"restante/smtp"
)

const hello = "From: a@example.net\r\nSubject: hello\r\n\r\nHello.\r\n"

func TestAMessageIsKeptWithItsEnvelopeAndTrace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org")
		reply := c.do(hello+".", "250 2.0.0 ")

		d := r.post.only(t)
		if d.body() != hello {
			t.Errorf("content %q", d.content)
		}
		if d.env.ReversePath.String() != "sender@example.net" || len(d.env.Recipients) != 1 || d.env.Recipients[0] != account("fred") {
			t.Errorf("envelope %+v", d.env)
		}
		if got := d.field("Return-Path"); got != "<sender@example.net>" {
			t.Errorf("Return-Path: %s", got)
		}
		received := d.field("Received")
		if !strings.HasPrefix(received, "from client.example.net by mx.example.org (Restante) with ESMTP id ") ||
			!strings.Contains(received, " for <fred@example.org>; Sat, 1 Jan 2000 00:00:00 ") {
			t.Errorf("Received: %s", received)
		}
		id, kept := strings.CutSuffix(strings.TrimPrefix(reply, "250 2.0.0 "), " kept")
		if _, err := mailbox.ParseMessageID(id); err != nil || !kept {
			t.Errorf("the reply %q does not name the message", reply)
		}
	})
}

func TestSeveralRecipientsAreOneMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org", "both@example.org", "FRED+list@example.org", "wilma@example.org")
		c.do(hello+".", "250")
		d := r.post.only(t)
		if got := d.env.Recipients; len(got) != 2 || got[0] != account("fred") || got[1] != account("wilma") {
			t.Errorf("recipients %+v", got)
		}
		if strings.Contains(d.field("Received"), "for <") {
			t.Errorf("the Received field tells the recipients of each other: %s", d.field("Received"))
		}
	})
}

func TestAMessageWithAddressesBeyondASCII(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<Jürgen@bücher.example> SMTPUTF8", "250")
		c.do("RCPT TO:<jürgen@example.org>", "250")
		c.do("DATA", "354")
		c.do(hello+".", "250")
		d := r.post.only(t)
		if got := d.field("Return-Path"); got != "<Jürgen@xn--bcher-kva.example>" {
			t.Errorf("Return-Path: %s", got)
		}
		if got := d.field("Received"); !strings.Contains(got, " with UTF8SMTP id ") || !strings.Contains(got, " for <jürgen@example.org>;") {
			t.Errorf("Received: %s", got)
		}
	})
}

// Whoever is refused will be sent to again: none of those behind him may be left.
func TestARefusedAliasLeavesNoRecipients(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.post.set(func(p *post) {
			for name, n := range map[string]int{"many": 6000, "more": 5000} {
				for i := range n {
					p.routes[name+"@example.org"] = append(p.routes[name+"@example.org"], account(fmt.Sprint(name, i)))
				}
			}
		})
		c := r.hello(t)
		c.do("MAIL FROM:<sender@example.net>", "250")
		c.do("RCPT TO:<many@example.org>", "250")
		c.do("RCPT TO:<more@example.org>", "452 4.5.3")
		c.do("RCPT TO:<many@example.org>", "250")
		c.do("RCPT TO:<fred@example.org>", "250")
		c.do("DATA", "354")
		c.do(hello+".", "250")
		if n := len(r.post.only(t).env.Recipients); n != 6001 {
			t.Errorf("%d recipients; want 6001", n)
		}
	})
}

func TestAGreetingThatIsRefusedIsNotInTheTrace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.dial(t)
		c.do("HELO client.example.net", "250")
		c.do("EHLO", "501")
		c.envelope("fred@example.org")
		c.do(hello+".", "250")
		if received := r.post.only(t).field("Received"); !strings.Contains(received, " with SMTP id ") {
			t.Errorf("Received: %s", received)
		}
	})
}

func TestTheNextMessageKnowsNothingOfTheLast(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<first@example.net>", "250")
		c.do("RCPT TO:<fred@example.org>", "250")
		c.do("RSET", "250")
		c.envelope("wilma@example.org")
		c.do(hello+".", "250")
		d := r.post.only(t)
		if d.env.ReversePath.Local != "sender" || len(d.env.Recipients) != 1 || d.env.Recipients[0] != account("wilma") {
			t.Errorf("envelope %+v", d.env)
		}
	})
}

// RFC 5321, section 4.4: final delivery takes out what is there.
func TestThereIsOneReturnPath(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org")
		c.do("Return-Path: <evil@example.com>\r\n\t(folded)\r\n"+hello+".", "250")
		d := r.post.only(t)
		if d.body() != hello || bytes.Count(d.content, []byte("Return-Path:")) != 1 {
			t.Errorf("content %q", d.content)
		}
	})
}

func TestALoopEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org")
		c.do(strings.Repeat("Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n", 101)+hello+".", "554 5.4.6")
		r.post.nothing(t)
		c.do("NOOP", "250")
	})
}

// Contents that nobody may touch but for their line ends.
func TestContentIsKeptAsItIs(t *testing.T) {
	rubbish := make([]byte, 10000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range rubbish {
		for rubbish[i] = byte(random.Uint32()); rubbish[i] == '\r' || rubbish[i] == '\n'; {
			rubbish[i]++
		}
	}
	for _, c := range []struct{ name, in, want string }{
		{"eight bits and NUL", string(rubbish) + "\r\n", string(rubbish) + "\r\n"},
		{"a line of 200,000 octets", strings.Repeat("x", 200_000) + "\r\n", strings.Repeat("x", 200_000) + "\r\n"},
		{"nothing", "", ""},
		{"malformed MIME", "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--\r\n", "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--\r\n"},
		{"bare line ends", "a\nb\rc\n\r\n", "a\r\nb\r\nc\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Run("by DATA", func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, r *rig) {
					s := r.hello(t)
					s.envelope("fred@example.org")
					s.do(strings.ReplaceAll("\r\n"+c.in, "\r\n.", "\r\n..")[2:]+".", "250")
					if got := r.post.only(t).body(); got != c.want {
						t.Errorf("got %.200q, want %.200q", got, c.want)
					}
				})
			})
			t.Run("by BDAT", func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, r *rig) {
					s := r.hello(t)
					s.do("MAIL FROM:<sender@example.net>", "250")
					s.do("RCPT TO:<fred@example.org>", "250")
					half := len(c.in) / 2
					s.send(fmt.Sprintf("BDAT %d\r\n%s", half, c.in[:half]))
					s.want("250")
					s.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(c.in)-half, c.in[half:]))
					s.want("250")
					if got := r.post.only(t).body(); got != c.want {
						t.Errorf("got %.200q, want %.200q", got, c.want)
					}
				})
			})
		})
	}
}

// RFC 3030, section 2: chunks have no end mark and no stuffed dots.
func TestDotsInChunksAreContent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<sender@example.net>", "250")
		c.do("RCPT TO:<fred@example.org>", "250")
		const content = "A: 1\r\n\r\n..a\r\n.\r\nQUIT\r\n"
		c.send(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(content), content))
		c.want("250 2.0.0")
		c.want("250 2.0.0")
		if got := r.post.only(t).body(); got != content {
			t.Errorf("content %q", got)
		}
	})
}

// SMTP smuggling: what follows a line end that only some servers know must not
// become a message of its own, however the octets arrive.
func TestNothingIsSmuggledBehindAFalseEnd(t *testing.T) {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\n", "\n.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\r\n.\r\x00\n"} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				const evil = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<wilma@example.org>\r\nDATA\r\nevil\r\n"
				for _, inPieces := range []bool{false, true} {
					c := r.hello(t)
					c.envelope("fred@example.org")
					sent := "A: 1\r\n\r\none" + end + evil + ".\r\n"
					if inPieces {
						for i := range len(sent) {
							c.send(sent[i : i+1])
						}
					} else {
						c.send(sent)
					}
					c.want("250 2.0.0")
					c.do("QUIT", "221")
					c.closed()
				}
				for _, d := range r.post.deliveries {
					if len(d.env.Recipients) != 1 || d.env.Recipients[0] != account("fred") || !strings.HasSuffix(d.body(), evil) {
						t.Errorf("delivered %+v: %q", d.env, d.content)
					}
				}
				if n := len(r.post.deliveries); n != 2 {
					t.Errorf("%d messages, want 2", n)
				}
			})
		})
	}
}

// A CR before the CRLF of the last line must not hide the end.
func TestTheEndOfDataIsSeenBehindStrayCRs(t *testing.T) {
	for _, content := range []string{"a\r\r\n", ".\r\r\n", "\r\r\n", "a\r\n.\r\r\n", "\n\r\n"} {
		bubble(t, nil, func(t *testing.T, r *rig) {
			c := r.hello(t)
			c.envelope("fred@example.org")
			c.do(content+".", "250 2.0.0")
			c.do("QUIT", "221")
			r.post.only(t)
		})
	}
}

func small(o *smtp.Options) { o.MaxOctets = 1000 }

func TestAMessageOfTheLargestSizeIsKept(t *testing.T) {
	bubble(t, small, func(t *testing.T, r *rig) {
		content := strings.Repeat("x", 998) + "\r\n"
		c := r.hello(t)
		c.envelope("fred@example.org")
		c.do(content+".", "250 2.0.0")
		c.do("MAIL FROM:<sender@example.net> SIZE=1000", "250")
		c.do("RCPT TO:<fred@example.org>", "250")
		c.send("BDAT 1000 LAST\r\n" + content)
		c.want("250 2.0.0")
		if n := len(r.post.deliveries); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

func TestAMessageThatIsTooLargeIsRefusedInStep(t *testing.T) {
	content := strings.Repeat("y", 999) + "\r\n"
	for _, c := range []struct {
		name     string
		dialogue func(c *client)
	}{
		{"by DATA", func(c *client) {
			c.envelope("fred@example.org")
			c.send(content + ".\r\nNOOP\r\n")
			c.want("552 5.3.4")
		}},
		{"by one chunk", func(c *client) {
			c.do("MAIL FROM:<sender@example.net>", "250")
			c.do("RCPT TO:<fred@example.org>", "250")
			c.send("BDAT 1001 LAST\r\n" + content + "NOOP\r\n")
			c.want("552 5.3.4")
		}},
		{"by several chunks", func(c *client) {
			c.do("MAIL FROM:<sender@example.net>", "250")
			c.do("RCPT TO:<fred@example.org>", "250")
			c.send("BDAT 900\r\n" + content[:900] + "BDAT 101\r\n" + content[900:] + "BDAT 4 LAST\r\nNOOPNOOP\r\n")
			c.want("250")
			c.want("552 5.3.4")
			c.want("503 5.5.1")
		}},
		{"by more chunks than can be counted", func(c *client) {
			c.do("MAIL FROM:<sender@example.net>", "250")
			c.do("RCPT TO:<fred@example.org>", "250")
			c.send("BDAT 4\r\nNOOPBDAT 4611686018427387903 LAST\r\n")
			c.want("250")
			c.want("552 5.3.4")
			c.want("421 4.3.4")
			c.closed()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, small, func(t *testing.T, r *rig) {
				s := r.hello(t)
				c.dialogue(s)
				if !strings.Contains(c.name, "more") {
					s.want("250") // to NOOP
					s.envelope("fred@example.org")
					s.do(hello+".", "250")
					if got := r.post.only(t).body(); got != hello {
						t.Errorf("content %q", got)
					}
				}
			})
		})
	}
}

func TestFailuresOfTheStoreAreTemporaryAndKeptFromTheClient(t *testing.T) {
	const secret = "cassandra: timeout at 10.0.0.7"
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"unavailable", fmt.Errorf("%s: %w", secret, mailbox.ErrUnavailable), "451 4.3.0"},
		{"full", fmt.Errorf("%s: %w", secret, mailbox.ErrFull), "452 4.3.1"},
		{"led too far", fmt.Errorf("%s: %w", secret, mailbox.ErrTooFar), "451 4.3.5"},
		{"unexpected", errors.New(secret), "451 4.3.0"},
	} {
		check := func(t *testing.T, r *rig, reply string) {
			t.Helper()
			if strings.Contains(reply, "cassandra") {
				t.Errorf("the client is told %q", reply)
			}
			_, id, _ := strings.Cut(strings.TrimSuffix(reply, ")"), "(")
			if !strings.Contains(r.log.String(), "session="+id) || !strings.Contains(r.log.String(), secret) {
				t.Errorf("reply %q; the log does not say what happened:\n%s", reply, r.log)
			}
		}
		t.Run("Deliver is "+c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				r.post.set(func(p *post) { p.deliverErr = c.err })
				s := r.hello(t)
				s.envelope("fred@example.org")
				check(t, r, s.do(hello+".", c.want))
				r.post.set(func(p *post) { p.deliverErr = nil })
				s.envelope("fred@example.org")
				s.do(hello+".", "250")
				r.post.only(t)
			})
		})
		t.Run("Deliver is "+c.name+" before it reads", func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				r.post.set(func(p *post) { p.during = func(context.Context, io.Reader) error { return c.err } })
				s := r.hello(t)
				s.envelope("fred@example.org")
				check(t, r, s.do(hello+".", c.want))
				s.do("MAIL FROM:<sender@example.net>", "250")
				s.do("RCPT TO:<fred@example.org>", "250")
				s.send("BDAT 4\r\nNOOPNOOP\r\n")
				check(t, r, s.want(c.want))
				s.want("250")
				r.post.nothing(t)
			})
		})
		t.Run("Resolve is "+c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				r.post.set(func(p *post) { p.resolveErr = c.err })
				s := r.hello(t)
				s.do("MAIL FROM:<sender@example.net>", "250")
				check(t, r, s.do("RCPT TO:<fred@example.org>", c.want))
			})
		})
		t.Run("Verify is "+c.name, func(t *testing.T) {
			bubble(t, func(o *smtp.Options) { o.Kind, o.InsecureAuth = smtp.Submission, true }, func(t *testing.T, r *rig) {
				r.post.set(func(p *post) { p.verifyErr = c.err })
				check(t, r, r.hello(t).do("AUTH PLAIN AGEAYg==", "454 4.7.0"))
			})
		})
	}
}

// The worst a store can do is to say yes without having seen the message.
func TestAMessageThatWasNotReadIsNotAcknowledged(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.Deliverer = careless{} }, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org")
		c.do(hello+".", "451 4.3.0")
		c.do("NOOP", "250")
	})
}

type careless struct{}

func (careless) Deliver(context.Context, mailbox.Envelope, io.Reader) (mailbox.Message, error) {
	return mailbox.Message{}, nil
}

func TestAMessageThatBreaksOffIsNotKept(t *testing.T) {
	for name, sent := range map[string]string{
		"inside DATA":            "DATA\r\nA: 1\r\n\r\nabc\r\n",
		"before the LF of DATA":  "DATA\r\nA: 1\r\n\r\nabc\r\n.\r",
		"inside a chunk":         "BDAT 10\r\nabc",
		"inside the last chunk":  "BDAT 10 LAST\r\nabc",
		"between chunks":         "BDAT 3\r\nabc",
		"before the first octet": "BDAT 10 LAST\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				near, far := newDuplex() // the server sees the end as TCP shows it
				r.listener.conns <- far
				go func() {
					_, _ = io.WriteString(near, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<fred@example.org>\r\n"+sent)
					_ = near.out.Close()
				}()
				if _, err := io.ReadAll(near); err != nil {
					t.Fatal(err)
				}
				r.stop(t)
				r.post.nothing(t)
				if n := r.counter(t, "restante_smtp_deliveries_total", "result=broken_off"); n != 1 {
					t.Errorf("%v messages counted as broken off, want 1", n)
				}
			})
		})
	}
}

func TestAPanicEndsOneSession(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*rig)
		last string
	}{
		{"in the deliverer", func(r *rig) {
			r.post.set(func(p *post) { p.during = func(context.Context, io.Reader) error { panic("boom") } })
		}, "DATA\r\nabc\r\n.\r\n"},
		{"in the deliverer, in a chunk", func(r *rig) {
			r.post.set(func(p *post) { p.during = func(context.Context, io.Reader) error { panic("boom") } })
		}, "BDAT 3\r\nabc"},
		{"in the router", func(r *rig) { r.post.set(func(p *post) { p.routes = nil; p.resolveErr = panicError{} }) }, "RCPT TO:<fred@example.org>\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				other := r.hello(t)
				s := r.hello(t)
				s.do("MAIL FROM:<sender@example.net>", "250")
				s.do("RCPT TO:<fred@example.org>", "250")
				c.set(r)
				s.send(c.last)
				reply := s.reply()
				if strings.HasPrefix(reply, "354") {
					reply = s.reply()
				}
				_, id, _ := strings.Cut(strings.TrimSuffix(reply, ")"), "(")
				if !strings.HasPrefix(reply, "421 4.3.0 internal error") || strings.Contains(reply, "boom") {
					t.Errorf("reply %q", reply)
				}
				s.closed()
				if !strings.Contains(r.log.String(), "level=ERROR msg=panic session="+id) {
					t.Errorf("the panic is not in the log:\n%s", r.log)
				}
				if n := r.counter(t, "restante_smtp_panics_total"); n != 1 {
					t.Errorf("%v panics are counted", n)
				}
				other.do("NOOP", "250")
			})
		})
	}
}

// panicError panics when somebody looks at it.
type panicError struct{}

func (panicError) Error() string { panic("boom") }
func (panicError) Is(error) bool { panic("boom") }

func TestALogLineForEachMessageAndEachSession(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.envelope("fred@example.org", "wilma@example.org")
		reply := c.do(hello+".", "250")
		id := strings.Fields(reply)[2]
		r.post.set(func(p *post) { p.deliverErr = mailbox.ErrUnavailable })
		c.envelope("fred@example.org")
		c.do(hello+".", "451")
		c.do("QUIT", "221")
		c.closed()
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
		for i, want := range []string{
			`level=INFO msg="message kept"`,
			`level=ERROR msg="message not kept"`,
			`level=INFO msg="session ended"`,
		} {
			if i >= len(lines) || !strings.Contains(lines[i], want) {
				t.Fatalf("line %d is not %s:\n%s", i, want, r.log)
			}
		}
		if len(lines) != 3 {
			t.Errorf("%d lines:\n%s", len(lines), r.log)
		}
		for _, want := range []string{"message=" + id, fmt.Sprint("octets=", len(hello)), "recipients=2", "duration="} {
			if !strings.Contains(lines[0], want) {
				t.Errorf("%s is not in %s", want, lines[0])
			}
		}
	})
}

func TestMetricsCountWhatHappens(t *testing.T) {
	bubble(t, func(o *smtp.Options) { o.MaxRecipients = 2 }, func(t *testing.T, r *rig) {
		c := r.hello(t)
		c.do("MAIL FROM:<sender@example.net>", "250")
		c.do("RCPT TO:<nobody@example.org>", "550")
		c.do("RCPT TO:<fred@example.com>", "550")
		c.do("RCPT TO:<>", "501")
		c.do("RCPT TO:<fred@example.org>", "250")
		c.do("RCPT TO:<wilma@example.org>", "250")
		c.do("RCPT TO:<fred@example.org>", "452")
		c.do("WHATEVER", "500")
		c.do("DATA", "354")
		c.do(hello+".", "250")
		for _, m := range []struct {
			want   float64
			name   string
			labels []string
		}{
			{1, "connections_total", nil},
			{1, "sessions", nil},
			{1, "commands_total", []string{"command=EHLO", "outcome=ok"}},
			{2, "commands_total", []string{"command=RCPT", "outcome=ok"}},
			{3, "commands_total", []string{"command=RCPT", "outcome=permanent"}},
			{1, "commands_total", []string{"command=RCPT", "outcome=temporary"}},
			{1, "commands_total", []string{"command=DATA", "outcome=ok"}},
			{1, "commands_total", []string{"command=unknown"}},
			{1, "recipients_refused_total", []string{"reason=unknown"}},
			{1, "recipients_refused_total", []string{"reason=not_local"}},
			{1, "recipients_refused_total", []string{"reason=malformed"}},
			{1, "recipients_refused_total", []string{"reason=too_many"}},
			{1, "deliveries_total", []string{"result=kept"}},
			{float64(len(hello)), "received_octets_total", nil},
			{1, "keep_seconds", nil},
		} {
			if got := r.counter(t, "restante_smtp_"+m.name, m.labels...); got != m.want {
				t.Errorf("%s%v is %v, want %v", m.name, m.labels, got, m.want)
			}
		}
	})
}

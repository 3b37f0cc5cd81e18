package provider

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/fake"
)

func TestAReplyAtEachStepHasItsResult(t *testing.T) {
	for _, c := range []struct {
		at, mode string
		want     relay.Result
	}{
		{"greeting", "status:421 too busy", relay.Temporary},
		{"greeting", "status:554 go away", relay.AccountFault},
		{"EHLO", "status:421 too busy", relay.Temporary},
		{"EHLO", "status:550 who are you", relay.AccountFault},
		{"AUTH", "status:454 4.7.0 later", relay.Temporary},
		{"AUTH", "status:535 5.7.8 wrong", relay.AccountFault},
		{"MAIL", "status:451 4.3.0 later", relay.Temporary},
		{"MAIL", "status:421 4.3.0 later", relay.Temporary},
		{"MAIL", "status:550 5.7.1 you may not", relay.AccountFault},
		{"MAIL", "status:530 5.7.0 who are you", relay.AccountFault},
		{"MAIL", "status:552 5.3.4 too large", relay.BadMessage},
		{"MAIL", "status:501 5.1.7 syntax", relay.BadMessage},
		{"RCPT", "status:450 4.2.0 greylisted", relay.Temporary},
		{"RCPT", "status:550 5.1.1 no such user", relay.BadRecipient},
		{"RCPT", "status:553 bad name", relay.BadRecipient},
		{"RCPT", "status:554 5.7.1 Relay access denied", relay.AccountFault},
		{"RCPT", "status:554 5.7.1 we do not know you", relay.AccountFault},
		{"RCPT", "status:550 5.7.1 not for Ann@example.net", relay.BadRecipient},
		{"RCPT", "status:552 5.2.2 full", relay.BadRecipient},
		{"RCPT", "status:552 too many", relay.Temporary},
		{"DATA", "status:451 4.3.0 later", relay.Temporary},
		{"DATA", "status:554 5.6.0 no", relay.BadMessage},
		{"dot", "status:451 4.3.0 later", relay.Temporary},
		{"dot", "status:421 4.3.0 later", relay.Temporary},
		{"dot", "status:552 5.3.4 too large", relay.BadMessage},
		{"dot", "status:550 5.7.1 looks bad", relay.BadMessage},
		{"dot", "status:550 5.1.1 no such user", relay.BadRecipient},
		{"dot", "status:550 5.1.8 bad sender", relay.BadMessage},
		{"dot", "status:535 5.7.0 who are you", relay.AccountFault},
	} {
		t.Run(c.at+" "+c.mode, func(t *testing.T) {
			bubble(t, smtpRig(withPassword), func(t *testing.T, r *rig) {
				r.set(t, fake.Setting{Mode: c.mode, At: c.at})
				o := r.send(t)
				want(t, o, c.want)
				code, text, _ := strings.Cut(strings.TrimPrefix(c.mode, "status:"), " ")
				if fmt.Sprint(o.Code) != code || !strings.HasSuffix(strings.TrimSpace(o.Enhanced+" "+o.Text), text) {
					t.Errorf("%d %q %q", o.Code, o.Enhanced, o.Text)
				}
				r.accepted(t, 0)
				r.set(t, fake.Setting{Mode: "ok"})
				want(t, r.send(t), relay.Success)
			})
		})
	}
}

// withPassword asks for one, which without TLS is for loopback only.
func withPassword(o *SMTPOptions, f *fake.SMTPOptions) {
	o.Username, o.Password, f.Username, f.Password = "user", "password", "user", "password"
}

func TestSilenceAndResetsAreAmbiguousAtTheDotAndNowhereElse(t *testing.T) {
	for _, step := range fake.Steps {
		if step == "STARTTLS" {
			continue // not in the clear
		}
		for _, mode := range []string{"hang", "reset"} {
			t.Run(step+" "+mode, func(t *testing.T) {
				bubble(t, smtpRig(withPassword), func(t *testing.T, r *rig) {
					result, patience := relay.Transport, time.Minute
					if step == "dot" {
						result, patience = relay.Ambiguous, 12*time.Minute
					}
					if mode == "reset" {
						patience = 0
					}
					r.set(t, fake.Setting{Mode: mode, At: step})
					start := time.Now()
					want(t, r.send(t), result)
					if spent := time.Since(start); spent != patience {
						t.Errorf("it took %v, want %v", spent, patience)
					}
					r.accepted(t, 0)
				})
			})
		}
	}
}

func TestEachRecipientHasItsOutcome(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 no such user", Recipient: "bob@example.net"})
		m := newMail(t, letter, "ann@example.net", "bob@example.net", "cy@example.net")
		m.Recipients = []int{2, 1, 0}
		out := r.sendMail(t, m)
		for i, result := range []relay.Result{relay.Success, relay.BadRecipient, relay.Success} {
			want(t, out[i], result)
		}
		if got := fmt.Sprint(r.accepted(t, 1)[0].To); got != "[cy@example.net ann@example.net]" {
			t.Errorf("it is for %s", got)
		}
	})
}

// Whom the next hop means it says where the mail is for him alone.
func TestARefusalAtTheEndThatNamesNobodyFailsOneAlone(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 one of them", At: "dot", Recipient: "bob@example.net"})
		out := r.sendMail(t, newMail(t, letter, "ann@example.net", "bob@example.net", "cy@example.net", "dee@example.net"))
		for i, result := range []relay.Result{relay.Success, relay.BadRecipient, relay.Success, relay.Success} {
			want(t, out[i], result)
		}
		if got := taken(r.accepted(t, 2)...); got != "[ann@example.net cy@example.net dee@example.net]" {
			t.Errorf("it reached %s", got)
		}
		if n := r.fake.Stats().Connections; n != 1 {
			t.Errorf("%d connections, want one", n)
		}
	})
}

func TestARefusalAtTheEndOfOneRecipientIsAboutHim(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 no such user", Recipient: "bob@example.net"})
		m := newMail(t, letter, "ann@example.net", "bob@example.net")
		m.Commit = func() error {
			return r.fake.Set(fake.Setting{Mode: "status:550 5.1.1 no such user", At: "dot"})
		}
		for _, o := range r.sendMail(t, m) {
			want(t, o, relay.BadRecipient)
		}
		if n := r.fake.Stats().Refused; n != 2 {
			t.Errorf("refused %d times, want once each", n)
		}
	})
}

func TestWhoIsMeantIsNotSoughtForever(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 one of them", At: "dot"})
		var to []string
		for n := range 100 {
			to = append(to, fmt.Sprintf("to%d@example.net", n))
		}
		found := map[relay.Result]int{}
		for _, o := range r.sendMail(t, newMail(t, letter, to...)) {
			found[o.Result]++
		}
		if n := r.fake.Stats().Refused; n != 1+splits || found[relay.BadRecipient] < 10 || found[relay.BadRecipient]+found[relay.Temporary] != 100 {
			t.Errorf("%d times, %v", n, found)
		}
	})
}

func TestWhoDoesNotAnswerAnyMoreIsNotAskedWhomHeMeant(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		r.set(t, fake.Setting{Mode: "status:550 5.1.1 one of them", At: "dot"})
		m := newMail(t, letter, "ann@example.net", "bob@example.net", "cy@example.net", "dee@example.net")
		commits := 0
		m.Commit = func() error {
			if commits++; commits == 2 {
				return r.fake.Set(fake.Setting{Mode: "hang-after-accept"})
			}
			return nil
		}
		out := r.sendMail(t, m)
		for i, result := range []relay.Result{relay.Ambiguous, relay.Ambiguous, relay.Transport, relay.Transport} {
			want(t, out[i], result)
		}
		r.accepted(t, 1)
	})
}

// dawdle takes 64 KiB of each content every 59 s, and thinks about the whole before it
// takes the mail.
func dawdle(t *testing.T, n *pipeNet, thinks time.Duration) {
	t.Helper()
	hosting(t, n, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, err := io.WriteString(c, "220 x\r\n")
		for step := 0; err == nil && step < 4; step++ {
			if _, err = in.ReadString('\n'); err == nil {
				_, err = io.WriteString(c, []string{"250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"}[step])
			}
		}
		for line := ""; err == nil && line != ".\r\n"; {
			time.Sleep(59 * time.Second)
			for took := 0; err == nil && took < 64<<10 && line != ".\r\n"; took += len(line) {
				line, err = in.ReadString('\n')
			}
		}
		time.Sleep(thinks)
		_, _ = io.WriteString(c, "250 ok\r\n") // whoever still listens
	})
}

// hosting speaks on each connection that is made, until the test ends.
func hosting(t *testing.T, n *pipeNet, speak func(net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := n.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				speak(c)
			})
		}
	})
	t.Cleanup(func() { _ = n.Close(); n.hangUp(); all.Wait() })
}

func TestWhoTakesAnOctetNowAndThenIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "x", Security: NoTLS, Dial: n.Dial})
		closing(t, p, err)
		dawdle(t, n, 0)
		content := letter + strings.Repeat("And so on.\r\n", 1<<20/12)
		start, m := time.Now(), newMail(t, content, "ann@example.net")
		want(t, p.Send(t.Context(), m)[0], relay.Transport)
		if spent := time.Since(start); spent != longest(m) || spent > 11*time.Minute {
			t.Errorf("it took %v", spent)
		}
	})
}

// A host may look at a mail for long once it has all of it.
func TestTheAnswerToAMailHasItsTimeAfterTheContent(t *testing.T) {
	for _, c := range []struct {
		thinks time.Duration
		want   relay.Result
	}{{9*time.Minute + 50*time.Second, relay.Success}, {10*time.Minute + 10*time.Second, relay.Ambiguous}} {
		synctest.Test(t, func(t *testing.T) {
			content := letter + strings.Repeat("And so on.\r\n", 1<<19/12)
			n := newPipeNet()
			p, err := NewMX(MXOptions{Hello: "x", Resolver: zone{hosts: map[string]bool{"a.example": true}}, Dial: n.Dial})
			closing(t, p, err)
			dawdle(t, n, c.thinks)
			start := time.Now()
			want(t, p.Send(t.Context(), newMail(t, content, "ann@a.example"))[0], c.want)
			if spent := time.Since(start); spent < 17*time.Minute {
				t.Errorf("it took %v", spent)
			}
		})
	}
}

func TestALargeMailHasMoreTime(t *testing.T) {
	m := newMail(t, letter, "ann@example.net", "bob@example.net")
	m.Submission.Octets = 64 << 20
	if got := longest(m); got != 10*time.Minute+2048*time.Second+4*time.Second {
		t.Errorf("%v", got)
	}
}

// taken are the recipients of mails, in order.
func taken(mails ...fake.Mail) string {
	var to []string
	for _, m := range mails {
		to = append(to, m.To...)
	}
	slices.Sort(to)
	return fmt.Sprint(to)
}

func TestWhenNobodyIsLeftTheConnectionIsUsedAgain(t *testing.T) {
	for _, without := range [][]string{nil, {"PIPELINING"}} {
		bubble(t, smtpRig(func(_ *SMTPOptions, f *fake.SMTPOptions) { f.Without = without }), func(t *testing.T, r *rig) {
			r.set(t, fake.Setting{Mode: "status:550 5.1.1 no such user", Recipient: "bob@example.net"})
			want(t, r.send(t), relay.Success)
			want(t, r.sendMail(t, newMail(t, letter, "bob@example.net"))[0], relay.BadRecipient)
			want(t, r.send(t), relay.Success)
			if n := r.fake.Stats().Connections; n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestCommandsLeaveTogether(t *testing.T) {
	for _, c := range []struct {
		without []string
		writes  int
	}{
		{nil, 4 + 1 + 2}, // 122 lines by 50, the first with QUIT of nobody; content; dot; EHLO
		{[]string{"PIPELINING"}, 122 + 1 + 2},
	} {
		bubble(t, smtpRig(func(_ *SMTPOptions, f *fake.SMTPOptions) { f.Without = c.without }), func(t *testing.T, r *rig) {
			var to []string
			for n := range 120 {
				to = append(to, fmt.Sprintf("ann%d@example.net", n))
			}
			for _, o := range r.sendMail(t, newMail(t, letter, to...)) {
				want(t, o, relay.Success)
			}
			r.accepted(t, 1)
			if writes, _ := r.net.written(); writes > c.writes {
				t.Errorf("without %v: %d writes, want at most %d", c.without, writes, c.writes)
			}
		})
	}
}

func TestWhatTheServerDoesNotTakeIsNotTried(t *testing.T) {
	for _, c := range []struct {
		without  string
		max      int64
		change   func(s *relay.Submission)
		enhanced string
	}{
		{"8BITMIME", 0, func(s *relay.Submission) { s.EightBit = true }, "5.6.3"},
		{"SMTPUTF8", 0, func(s *relay.Submission) { s.UTF8 = true }, "5.6.7"},
		{"", int64(len(letter)) - 1, func(*relay.Submission) {}, "5.3.4"},
	} {
		for _, lacks := range []bool{false, true} {
			bubble(t, smtpRig(func(_ *SMTPOptions, f *fake.SMTPOptions) {
				if lacks {
					f.Without, f.MaxOctets = []string{c.without}, c.max
				}
			}), func(t *testing.T, r *rig) {
				m := newMail(t, letter, "ann@example.net")
				c.change(m.Submission)
				o := r.sendMail(t, m)[0]
				if !lacks {
					want(t, o, relay.Success)
					return
				}
				want(t, o, relay.BadMessage)
				if o.Enhanced != c.enhanced || !o.Unasked {
					t.Errorf("%s, want %s; unasked: %v", o.Enhanced, c.enhanced, o.Unasked)
				}
				r.accepted(t, 0)
			})
		}
	}
}

func TestAConnectionIsKeptForAMinuteAndAHundredMails(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		connections := func(want int64) {
			t.Helper()
			if got := r.fake.Stats().Connections; got != want {
				t.Errorf("%d connections, want %d", got, want)
			}
		}
		for range perConn {
			want(t, r.send(t), relay.Success)
		}
		connections(1)
		want(t, r.send(t), relay.Success)
		connections(2)
		time.Sleep(idleFor - 1)
		want(t, r.send(t), relay.Success)
		connections(2)
		time.Sleep(idleFor)
		want(t, r.send(t), relay.Success)
		connections(3)
	})
}

func TestAProbeLeavesAConnectionForTheNextMail(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		want(t, r.Probe(t.Context()), relay.Success)
		want(t, r.send(t), relay.Success)
		if n := r.fake.Stats().Connections; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestAServerThatTakesLeaveOfAnIdleConnectionIsAskedOnce(t *testing.T) {
	bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
		want(t, r.send(t), relay.Success)
		r.set(t, fake.Setting{Mode: "status:421 4.4.2 idle for too long", At: "MAIL"})
		want(t, r.send(t), relay.Temporary) // the new connection hears the same
		if n := r.fake.Stats().Connections; n != 2 {
			t.Errorf("%d connections", n)
		}
		r.accepted(t, 1)
	})
}

func TestASendEndsWithItsContext(t *testing.T) {
	for _, at := range []string{"greeting", "MAIL", "DATA", "dot"} {
		bubble(t, smtpRig(nil), func(t *testing.T, r *rig) {
			r.set(t, fake.Setting{Mode: "hang", At: at})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			result := relay.Transport
			if at == "dot" {
				result = relay.Ambiguous
			}
			want(t, r.Send(ctx, newMail(t, letter, "ann@example.net"))[0], result)
			if spent := time.Since(start); spent != time.Second {
				t.Errorf("%s: it took %v", at, spent)
			}
			r.set(t, fake.Setting{Mode: "ok"})
			want(t, r.send(t), relay.Success)
		})
	}
}

func TestCredentialsAndMailKeepToTLS(t *testing.T) {
	server, client := certificates()
	for _, c := range []struct {
		name     string
		security Security
		offered  bool
		want     relay.Result
	}{
		{"required and offered", RequireSTARTTLS, true, relay.Success},
		{"required and not offered", RequireSTARTTLS, false, relay.Temporary},
		{"opportunistic and offered", OpportunisticTLS, true, relay.Success},
		{"opportunistic and not offered", OpportunisticTLS, false, relay.Success},
	} {
		t.Run(c.name, func(t *testing.T) {
			var heard recorder
			bubble(t, smtpRig(func(o *SMTPOptions, f *fake.SMTPOptions) {
				withPassword(o, f)
				o.Security, o.TLS, f.Log = c.security, client, heard.line
				if c.offered {
					f.TLS = server
				}
			}), func(t *testing.T, r *rig) {
				want(t, r.send(t), c.want)
				dialogue := heard.String()
				if before, _, found := strings.Cut(dialogue, "C: AUTH PLAIN "); c.offered && (!found || !strings.Contains(before, "C: STARTTLS")) {
					t.Errorf("the credentials were said in the clear:\n%s", dialogue)
				}
				if c.want != relay.Success && strings.Contains(dialogue, "C: AUTH") {
					t.Errorf("the credentials were said:\n%s", dialogue)
				}
			})
		})
	}
	_, err := NewSMTP(SMTPOptions{Addr: "smtp.example.org:25", Hello: "relay.example.org", Security: OpportunisticTLS, Username: "user", Password: "x"})
	if err == nil {
		t.Error("credentials may go out in the clear")
	}
}

func TestACertificateOfSomebodyElseIsRefusedUnlessTLSIsABonus(t *testing.T) {
	server, _ := certificates()
	for security, result := range map[Security]relay.Result{RequireSTARTTLS: relay.Transport, OpportunisticTLS: relay.Success} {
		bubble(t, smtpRig(func(o *SMTPOptions, f *fake.SMTPOptions) {
			o.Security, f.TLS = security, server // without the roots
		}), func(t *testing.T, r *rig) {
			want(t, r.send(t), result)
		})
	}
}

func TestAuthenticationKnowsPlainAndLogin(t *testing.T) {
	for _, c := range []struct {
		like, password string
		want           relay.Result
	}{
		{"", "password", relay.Success},
		{"", "other", relay.AccountFault},
		{"sparkpost", "password", relay.Success},
		{"sparkpost", "other", relay.AccountFault},
	} {
		var heard recorder
		bubble(t, smtpRig(func(o *SMTPOptions, f *fake.SMTPOptions) {
			withPassword(o, f)
			o.Password, f.Log = c.password, heard.line
			o.preset = presets[c.like+"-smtp"]
		}), func(t *testing.T, r *rig) {
			want(t, r.send(t), c.want)
			if login := strings.Contains(heard.String(), "C: AUTH LOGIN\n"); login != (c.like == "sparkpost") {
				t.Errorf("AUTH LOGIN: %v", login)
			}
		})
	}
}

func TestTheEnvelopeIsSaidAsTheSubmissionHasIt(t *testing.T) {
	var heard recorder
	bubble(t, smtpRig(func(_ *SMTPOptions, f *fake.SMTPOptions) { f.Log = heard.line }), func(t *testing.T, r *rig) {
		m := newMail(t, letter, `"fred flint"@example.net`)
		m.Submission.EightBit, m.Submission.UTF8 = true, true
		want(t, r.sendMail(t, m)[0], relay.Success)
		null := newMail(t, letter, "ann@example.net")
		null.Submission.From = mailbox.Address{}
		want(t, r.sendMail(t, null)[0], relay.Success)
	})
	size := fmt.Sprintf(" SIZE=%d", len(letter))
	for _, line := range []string{
		"C: EHLO relay.example.org\n",
		"C: MAIL FROM:<fred@example.org>" + size + " BODY=8BITMIME SMTPUTF8\n",
		"C: RCPT TO:<\"fred flint\"@example.net>\n",
		"C: MAIL FROM:<>" + size + "\n",
	} {
		if !strings.Contains(heard.String(), line) {
			t.Errorf("%q is not in\n%s", line, heard.String())
		}
	}
}

// script plays a server that says what it is told to, a line after each of ours.
func script(t *testing.T, n *pipeNet, lines ...string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := n.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for i, line := range lines {
			if i > 0 {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
			if line == "" {
				continue // a pipe would wait for somebody to read nothing
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
		_, _ = in.WriteTo(discard{})
	}()
	t.Cleanup(func() { _ = n.Close(); n.hangUp(); <-done })
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestRubbishFromAServerHasADefinedOutcome(t *testing.T) {
	const greeting, ehlo, go4 = "220 x\r\n", "250 x\r\n", "354 go\r\n"
	for _, c := range []struct {
		name  string
		lines []string
		want  relay.Result
	}{
		{"HTTP", []string{"HTTP/1.1 400 Bad Request\r\n"}, relay.Transport},
		{"no number", []string{"hello\r\n"}, relay.Transport},
		{"a number that is none of SMTP", []string{"999 x\r\n"}, relay.Transport},
		{"a line without end", []string{strings.Repeat("2", 2*replyLine)}, relay.Transport},
		{"lines without end", []string{strings.Repeat("220-x\r\n", 2*replyLines)}, relay.Transport},
		{"numbers that differ", []string{"220-x\r\n250 x\r\n"}, relay.Transport},
		{"an empty line", []string{"\r\n"}, relay.Transport},
		{"only a number", []string{"220\r\n", "250\r\n", "250\r\n", "250\r\n", "354\r\n", "", "", "", "", "", "", "", "", "", "250\r\n"}, relay.Success},
		{"rubbish to MAIL", []string{greeting, ehlo, "ok\r\n"}, relay.Transport},
		{"rubbish to the content", []string{greeting, ehlo, ehlo, ehlo, go4, "", "", "", "", "", "", "", "", "", "ok\r\n"}, relay.Ambiguous},
		{"go on, after the content", []string{greeting, ehlo, ehlo, ehlo, go4, "", "", "", "", "", "", "", "", "", go4}, relay.Ambiguous},
		{"half a reply to the content", []string{greeting, ehlo, ehlo, ehlo, go4, "", "", "", "", "", "", "", "", "", "250-x\r\n"}, relay.Ambiguous},
		{"numbers that differ, to the content", []string{greeting, ehlo, ehlo, ehlo, go4, "", "", "", "", "", "", "", "", "", "250-x\r\n550 x\r\n"}, relay.Ambiguous},
		{"a reply in the midst of the content", []string{greeting, ehlo, ehlo, ehlo, go4, "", "", "552 5.3.4 stop\r\n"}, relay.BadMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "x", Security: NoTLS, Dial: n.Dial})
				closing(t, p, err)
				script(t, n, c.lines...)
				want(t, p.Send(t.Context(), newMail(t, letter, "ann@example.net"))[0], c.want)
			})
		})
	}
}

// Only a content could end that transaction.
func TestAServerThatWantsAContentForNobodyIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "x", Security: NoTLS, Dial: n.Dial})
		closing(t, p, err)
		script(t, n, "220 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250 x\r\n", "550 5.1.1 no\r\n", "354 go\r\n")
		want(t, p.Send(t.Context(), newMail(t, letter, "ann@example.net"))[0], relay.BadRecipient)
		if c := p.take(); c != nil {
			t.Error("the connection is kept")
			_ = c.net.Close()
		}
	})
}

func TestALineSaidBeforeTLSIsNotTakenForOneInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		_, client := certificates()
		p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "x", TLS: client, Dial: n.Dial})
		closing(t, p, err)
		script(t, n, "220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n250-x\r\n250 AUTH PLAIN\r\n")
		o := p.Send(t.Context(), newMail(t, letter, "ann@example.net"))[0]
		want(t, o, relay.Transport)
		if !strings.Contains(o.Text, errRubbish.Error()) {
			t.Errorf("text %q", o.Text)
		}
	})
}

func TestPresetsNeedWhatTheirMakersAskFor(t *testing.T) {
	for _, c := range []struct {
		name string
		o    PresetOptions
		addr string // empty: an error
		user string
	}{
		{"mailgun-smtp", PresetOptions{Username: "u", Password: "p"}, "smtp.mailgun.org:587", "u"},
		{"mailgun-smtp", PresetOptions{Username: "u", Password: "p", Region: "eu"}, "smtp.eu.mailgun.org:587", "u"},
		{"mailgun-smtp", PresetOptions{Password: "p"}, "", ""},
		{"mailgun-smtp", PresetOptions{Username: "u", Password: "p", Region: "moon"}, "", ""},
		{"sendgrid-smtp", PresetOptions{Password: "p"}, "smtp.sendgrid.net:587", "apikey"},
		{"ses-smtp", PresetOptions{Username: "u", Password: "p", Region: "eu-west-1"}, "email-smtp.eu-west-1.amazonaws.com:587", "u"},
		{"ses-smtp", PresetOptions{Username: "u", Password: "p"}, "", ""},
		{"postmark-smtp", PresetOptions{Username: "u", Password: "p"}, "smtp.postmarkapp.com:587", "u"},
		{"resend-smtp", PresetOptions{Password: "p"}, "smtp.resend.com:587", "resend"},
		{"sparkpost-smtp", PresetOptions{Password: "p", Addr: "127.0.0.1:2525"}, "127.0.0.1:2525", "SMTP_Injection"},
		{"other", PresetOptions{Username: "u", Password: "p"}, "", ""},
	} {
		got, err := Preset(c.name, c.o)
		if (err != nil) != (c.addr == "") || got.Addr != c.addr || got.Username != c.user {
			t.Errorf("%s %+v: %s, %s, %v", c.name, c.o, got.Addr, got.Username, err)
		}
		if err == nil && (got.Security != RequireSTARTTLS || got.Limits.Octets == 0 || got.Limits.Recipients == 0) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestTheKeyOfAMailIsTheSameForTheSameRecipientsOnly(t *testing.T) {
	a := newMail(t, letter, "ann@example.net", "bob@example.net")
	b, again := a, a
	b.Recipients = []int{0}
	if idempotencyKey(a) != idempotencyKey(again) || idempotencyKey(a) == idempotencyKey(b) {
		t.Error("the key does not tell mails apart")
	}
}

func TestManyAtATimeShareConnectionsAndNothingElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := serveSMTP(t, l, fake.SMTPOptions{})
	p, err := NewSMTP(SMTPOptions{Addr: l.Addr().String(), Hello: "x", Security: NoTLS})
	closing(t, p, err)
	results := make(chan error)
	for n := range 8 {
		go func() {
			var failed error
			for i := range 20 {
				content := fmt.Sprintf("Message-ID: <%d.%d@example.org>\r\n\r\n%s", n, i, strings.Repeat(".\r\n", 100*i))
				if o := p.Send(context.Background(), newMail(t, content, "ann@example.net"))[0]; o.Result != relay.Success {
					failed = errors.Join(failed, errors.New(o.Text))
				}
			}
			results <- failed
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	seen := map[string]bool{}
	for _, m := range f.Log() {
		seen[m.MessageID] = true
	}
	if len(seen) != 160 || f.Stats().Connections > 16 {
		t.Errorf("%d mails on %d connections", len(seen), f.Stats().Connections)
	}
}

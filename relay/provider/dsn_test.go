package provider

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"restante/mailbox"
	"restante/relay"
)

// offering is a host that says some extensions and takes all mail. It records what it is
// told.
func offering(t *testing.T, n *pipeNet, heard *recorder, extensions ...string) {
	t.Helper()
	hosting(t, n, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, err := io.WriteString(c, "220 x\r\n")
		for content := false; err == nil; {
			var line string
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
			answer := "250 ok\r\n"
			switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
			case content && line != ".\r\n":
				continue
			case content:
				content = false
			case verb == "EHLO":
				answer = "250-x\r\n250-" + strings.Join(extensions, "\r\n250-") + "\r\n250 HELP\r\n"
			case verb == "MAIL" || verb == "RCPT":
				heard.line(strings.TrimSpace(line))
			case verb == "DATA":
				answer, content = "354 go\r\n", true
			}
			_, err = io.WriteString(c, answer)
		}
	})
}

func TestWhatTheSenderWantsToHearGoesOnToWhoKnowsOfIt(t *testing.T) {
	for _, c := range []struct {
		offers, from string
		to           []string
	}{
		{"DSN", " RET=FULL ENVID=a+2Bb+3Dc+20d", []string{
			"", " NOTIFY=NEVER", " NOTIFY=FAILURE,DELAY ORCPT=rfc822;Ann+2Bx@example.net", " NOTIFY=NEVER", ` NOTIFY=FAILURE ORCPT=utf-8;\x{E9}\x{2B}@example.net`, " NOTIFY=DELAY",
		}},
		{"8BITMIME", "", []string{"", "", "", "", "", ""}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, heard := newPipeNet(), &recorder{}
			offering(t, n, heard, c.offers)
			p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "relay.example.org", Security: NoTLS, Dial: n.Dial})
			closing(t, p, err)
			m := newMail(t, letter, "a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net", "f@example.net")
			s := m.Submission
			s.EnvelopeID, s.FullReturn = "a+b=c d", true
			s.Notify = []relay.Notify{
				0, relay.NotifyNever, relay.NotifySuccess | relay.NotifyFailure | relay.NotifyDelay, relay.NotifySuccess, relay.NotifyFailure, relay.NotifyDelay,
			}
			s.Original = []string{"", "", "rfc822;Ann+x@example.net", "", "utf-8;é+@example.net", "x400;odd"}
			for _, o := range p.Send(t.Context(), m) {
				want(t, o, relay.Success)
			}
			expected := []string{"MAIL FROM:<fred@example.org>" + c.from}
			for i, what := range c.to {
				expected = append(expected, "RCPT TO:<"+s.Recipients[i].String()+">"+what)
			}
			if got := strings.TrimSpace(heard.String()); got != strings.Join(expected, "\n") {
				t.Errorf("it was told\n%s\nwant\n%s", got, strings.Join(expected, "\n"))
			}
		})
	}
}

func TestOneOfManyRecipientsIsWantedToBeHeardOfByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, heard := newPipeNet(), &recorder{}
		offering(t, n, heard, "DSN")
		p, err := NewSMTP(SMTPOptions{Addr: testAddr, Hello: "relay.example.org", Security: NoTLS, Dial: n.Dial})
		closing(t, p, err)
		m := newMail(t, letter, "a@example.net", "b@example.net")
		m.Submission.Notify = []relay.Notify{relay.NotifyFailure, relay.NotifyNever}
		m.Submission.From, m.Recipients = mailbox.Address{}, []int{1}
		want(t, p.Send(t.Context(), m)[0], relay.Success)
		if got := heard.String(); got != "MAIL FROM:<>\nRCPT TO:<b@example.net> NOTIFY=NEVER\n" {
			t.Errorf("it was told\n%s", got)
		}
	})
}

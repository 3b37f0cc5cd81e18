// Package provider hands mail to next hops: smarthosts by SMTP, with presets for common
// ones ([SMTP], [Preset]); the HTTP interfaces of [Mailgun], [SES] and [SendGrid]; and
// the hosts that receive mail for a domain ([MX]).
//
// Every provider calls Commit when nothing but the final dot, or the last octet of the
// request, is left to be said. What breaks before is Transport and nothing was sent;
// what breaks after is Ambiguous. What the next hop says is read with tables of rules,
// which know the words of each maker, since the same number may mean that a recipient
// does not exist or that the account is closed.
package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"restante/relay"
)

// Timeouts of a next hop. A zero one is the default.
type Timeouts struct {
	Connect time.Duration // a TCP connection, and a TLS handshake: 10 s
	Command time.Duration // an answer before the content, and progress of the content: 60 s
	Reply   time.Duration // the answer to the complete content: as below
}

// How long the answer to a complete content is waited for. Who gives up sooner than a host
// that looks for viruses sends it the mail again and again (RFC 5321, section 4.5.3.2.6). A
// smarthost may be an agent, which waits as long for a host of its own.
const (
	hostReply      = 10 * time.Minute
	smarthostReply = 12 * time.Minute
	makerReply     = 2 * time.Minute // by HTTP, where proxies do not wait for longer
)

func (t Timeouts) orDefault(reply time.Duration) Timeouts {
	t.Connect = cmp.Or(t.Connect, 10*time.Second)
	t.Command = cmp.Or(t.Command, time.Minute)
	t.Reply = cmp.Or(t.Reply, reply)
	return t
}

// A transaction of SMTP takes no longer than this up to the end of its content, and the time
// that the content takes at a slow pace, and its recipients: who takes an octet now and then
// is left at last.
const (
	transactionTime = 10 * time.Minute
	slowest         = 32 << 10 // octets a second
	slowestRcpt     = 2 * time.Second
)

// longest is how long a mail may take in one transaction, without the answer to it.
func longest(m relay.Mail) time.Duration {
	return transactionTime + time.Duration(m.Submission.Octets/slowest)*time.Second + time.Duration(len(m.Recipients))*slowestRcpt
}

// inTime ends a context when a mail has taken too long: longer by the time of the answer,
// once its content is complete.
func inTime(ctx context.Context, m *relay.Mail, reply time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	end := time.Now().Add(longest(*m))
	over := time.AfterFunc(time.Until(end), func() { cancel(context.DeadlineExceeded) })
	commit := m.Commit
	m.Commit = func() error {
		err := commit()
		if err == nil {
			over.Reset(time.Until(end) + reply)
		}
		return err
	}
	return ctx, func() {
		over.Stop()
		cancel(nil)
	}
}

// A Dial opens connections, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// connect dials within a time.
func (d Dial) connect(ctx context.Context, addr string, t Timeouts) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Connect)
	defer cancel()
	if d == nil {
		d = (&net.Dialer{}).DialContext
	}
	return d(ctx, "tcp", addr)
}

// Texts of outcomes without a reply.
const (
	textClosed     = "the service is being closed"
	textContent    = "the content could not be read"
	textBrokenOff  = "broken off before the end of the content"
	textUnanswered = "no answer to the complete content"
	textNoEightBit = "the next hop does not take 8bit content"
	textNoUTF8     = "the next hop does not take internationalised addresses"
	textTooLarge   = "larger than the next hop takes"
)

func transport(text string) relay.Outcome {
	return relay.Outcome{Result: relay.Transport, Text: oneLine(text)}
}

func ambiguous(text string) relay.Outcome {
	return relay.Outcome{Result: relay.Ambiguous, Text: oneLine(text)}
}

// badMessage is the outcome where the next hop need not be asked.
func badMessage(enhanced, text string) relay.Outcome {
	return relay.Outcome{Result: relay.BadMessage, Enhanced: enhanced, Text: text, Unasked: true}
}

// all is one outcome for each of n recipients.
func all(n int, o relay.Outcome) []relay.Outcome {
	out := make([]relay.Outcome, n)
	for i := range out {
		out[i] = o
	}
	return out
}

// textMost is the most octets of what is told about a reply.
const textMost = 512

// oneLine makes what somebody else wrote fit to be shown.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s[:min(len(s), 4*textMost)])
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > textMost {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// A source is a content that is read once, and fails unless it is as long as it was
// promised: half a message must not look like one.
type source struct {
	io.ReadCloser
	left int64
}

var errLength = errors.New("provider: the content is not as long as it was promised")

func open(ctx context.Context, m relay.Mail) (*source, error) {
	r, err := m.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("provider: open content %s: %w", m.Message, err)
	}
	return &source{r, m.Submission.Octets}, nil
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("provider: read a content: %w", err)
	}
	if s.left < 0 || err == io.EOF && s.left > 0 {
		return 0, errLength
	}
	return n, err
}

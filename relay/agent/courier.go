package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"strings"
	"sync/atomic"
	"time"

	"restante/internal/spool"
	"restante/mailbox"
	"restante/relay"
	"restante/smtp"
)

// A server waits 12 minutes for the answer to a complete mail, and takes silence for a mail
// that may have been sent. So an agent does not begin to hand over the end of a mail when
// it is late, has 10 minutes left for its next hop then (RFC 5321, section 4.5.3.2.6), and
// answers before the time of the server is over.
const (
	roomTimeout   = 10 * time.Second
	commitTimeout = 45 * time.Second
	answerTimeout = 11 * time.Minute
)

// spoolMemory is how much of a mail is kept in memory, in octets.
const spoolMemory = 256 << 10

var errLate = errors.New("agent: too late to begin")

// A courier hands each message to the provider while the server waits.
type courier struct {
	provider     relay.Provider
	room         chan struct{} // holds one for each mail under way
	spool        string
	log          *slog.Logger
	sent, failed atomic.Int64
}

// Submit always fails with a reply: what the provider said, also of success.
func (c *courier) Submit(ctx context.Context, l smtp.Letter, content io.Reader) (mailbox.MessageID, error) {
	id := ids.Next()
	s := &spool.Spool{Dir: c.spool, Memory: spoolMemory} // providers have to know how long it is, and may begin again
	defer s.Close()
	if _, err := io.Copy(s, content); err != nil {
		return id, fmt.Errorf("agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	begun := time.Now()
	o := c.send(ctx, mailOf(id, l, s, begun))
	if o.Result == relay.Success {
		c.sent.Add(1)
	} else {
		c.failed.Add(1)
	}
	c.log.Info("mail handed over", "message", id, "to", l.Recipients[0].Address.String(), "result", o.Result.String(),
		"code", o.Code, "enhanced", o.Enhanced, "text", o.Text, "duration", time.Since(begun))
	return id, replyFor(o)
}

// mailOf is a message for its one recipient.
func mailOf(id mailbox.MessageID, l smtp.Letter, s *spool.Spool, begun time.Time) relay.Mail {
	to := l.Recipients[0]
	return relay.Mail{
		Message: id,
		Submission: &relay.Submission{
			From: l.ReversePath, Recipients: []mailbox.Address{to.Address}, Notify: []relay.Notify{relay.Notify(to.Notify)},
			Original: []string{to.Original}, EnvelopeID: l.EnvelopeID, FullReturn: l.FullReturn,
			UTF8: l.UTF8, EightBit: l.EightBit, Signed: sealed(s.Open()), Octets: s.Octets(), Accepted: begun,
		},
		Recipients: []int{0},
		Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(s.Open()), nil },
		Commit: func() error {
			if time.Since(begun) > commitTimeout {
				return errLate
			}
			return nil
		},
	}
}

// sealed reports whether taking the body of a message apart would break it (RFC 1847). Servers
// that know that the provider does so do not send such mail.
func sealed(content io.Reader) bool {
	m, err := mail.ReadMessage(io.LimitReader(content, 2*relay.MaxHeader))
	if err != nil {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(m.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	return kind == "multipart/signed" || kind == "multipart/encrypted"
}

func (c *courier) send(ctx context.Context, m relay.Mail) relay.Outcome {
	if m.Submission.Signed && c.provider.Limits().Reassembles {
		return relay.Outcome{Result: relay.BadMessage, Enhanced: "5.6.3", Text: "the next hop would break what is signed or encrypted", Unasked: true}
	}
	wait, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	select {
	case c.room <- struct{}{}:
	case <-wait.Done():
		return relay.Outcome{Result: relay.Throttled, Text: "the agent has as much as it takes", Until: time.Now().Add(time.Second)}
	}
	defer func() { <-c.room }()
	out := c.provider.Send(ctx, m)
	if len(out) != 1 {
		return relay.Outcome{Result: relay.Ambiguous, Text: "the provider did not say what became of it"}
	}
	return out[0]
}

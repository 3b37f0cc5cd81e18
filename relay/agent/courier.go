package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"restante/internal/spool"
	"restante/mailbox"
	"restante/relay"
	"restante/smtp"
)

// A server waits 120 s for the answer to a complete mail, and takes silence for a mail
// that may have been sent. So an agent does not begin to hand over the end of a mail when
// it is late, and answers before that time is over.
const (
	roomTimeout   = 10 * time.Second
	commitTimeout = 45 * time.Second
	answerTimeout = 110 * time.Second
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
			From: l.ReversePath, Recipients: []mailbox.Address{to.Address}, EnvelopeID: l.EnvelopeID, FullReturn: l.FullReturn,
			UTF8: l.UTF8, EightBit: l.EightBit, Octets: s.Octets(), Accepted: begun,
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

func (c *courier) send(ctx context.Context, m relay.Mail) relay.Outcome {
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

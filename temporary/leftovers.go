package temporary

import (
	"context"
	"errors"
	"time"

	"restante/mailbox"
)

const (
	leftoverQueue   = 16_384
	leftoverTimeout = 10 * time.Second // for one
	leftoverPause   = time.Second      // after one that failed
)

// A leftover is what is to be done of a mailbox that was removed or evicted.
type leftover struct {
	resident
	vacant bool // the address is; the mail may be there
}

// leftovers wait for their removal. All of it expires by itself in the end.
type leftovers struct{ queue chan leftover }

func newLeftovers() *leftovers { return &leftovers{queue: make(chan leftover, leftoverQueue)} }

// leave leaves something for later. Where too much waits, it is left to expire.
func (m *Mailboxes) leave(l leftover) {
	select {
	case m.left.queue <- l:
	default:
		m.metrics.abandoned.Inc()
	}
}

// clear removes what is left, and tries again what fails until it has expired.
func (m *Mailboxes) clear(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-m.left.queue:
			if !m.options.Now().Before(l.expires) {
				continue
			}
			l, err := m.clearOne(ctx, l)
			if err == nil {
				continue
			}
			if ctx.Err() == nil {
				m.options.Log.Debug("what is left of a mailbox stays", "maildrop", l.maildrop, "err", err)
			}
			m.leave(l)
			if pause(ctx, leftoverPause) != nil {
				return
			}
		}
	}
}

// clearOne removes what is left of one, and says what is left then.
func (m *Mailboxes) clearOne(ctx context.Context, l leftover) (leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, leftoverTimeout)
	defer cancel()
	if !l.vacant {
		if err := m.vacate(ctx, l.resident); err != nil && !errors.Is(err, mailbox.ErrNotFound) {
			return l, err
		}
		l.vacant = true
	}
	return l, m.empty(ctx, l.maildrop)
}

package temporary

import (
	"context"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	trimmers    = 2                // how many maildrops are trimmed at a time
	trimQueue   = 4096             // maildrops that wait for it
	trimTimeout = 30 * time.Second // for one
	maxLengths  = 1 << 16          // maildrops of which it is known how many messages they hold
)

// trims say which maildrops may hold more messages than are shown. Listing each of
// them after each delivery would cost a query on Cassandra: so it is counted what is
// delivered here since the last look.
type trims struct {
	limit int
	queue chan mailbox.MaildropID

	mu      sync.Mutex
	pending map[mailbox.MaildropID]bool // in the queue, or being looked at
	lengths map[mailbox.MaildropID]int  // at most so many, if no other server delivers
}

func newTrims(limit int) *trims {
	return &trims{
		limit:   limit,
		queue:   make(chan mailbox.MaildropID, trimQueue),
		pending: make(map[mailbox.MaildropID]bool),
		lengths: make(map[mailbox.MaildropID]int),
	}
}

// made notes a maildrop that is empty.
func (t *trims) made(drop mailbox.MaildropID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(drop, 0)
}

// set notes how many messages a maildrop holds. The caller has the lock.
func (t *trims) set(drop mailbox.MaildropID, length int) {
	if _, known := t.lengths[drop]; !known && len(t.lengths) >= maxLengths {
		for other := range t.lengths { // any: it is looked at once more
			delete(t.lengths, other)
			break
		}
	}
	t.lengths[drop] = length
}

// delivered notes a delivery. It reports false where the maildrop should be looked at
// and too many wait for it already.
func (t *trims) delivered(drop mailbox.MaildropID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	length, known := t.lengths[drop]
	if known {
		t.lengths[drop] = length + 1
	}
	return known && length+1 <= t.limit || t.wait(drop)
}

// wait puts a maildrop into the queue, unless it waits or is being looked at. It
// reports false where too many wait. The caller has the lock.
func (t *trims) wait(drop mailbox.MaildropID) bool {
	if t.pending[drop] {
		return true
	}
	select {
	case t.queue <- drop:
		t.pending[drop] = true
		return true
	default:
		return false
	}
}

// begin is called before a maildrop is looked at: what is delivered from now on may
// not be seen.
func (t *trims) begin(drop mailbox.MaildropID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(drop, 0)
}

// end notes how many messages were left in a maildrop, or that it could not be told.
// Where enough was delivered meanwhile, it waits again.
func (t *trims) end(drop mailbox.MaildropID, length int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, drop)
	since, known := t.lengths[drop]
	switch {
	case err != nil:
		delete(t.lengths, drop)
	case known:
		t.lengths[drop] = length + since
		if length+since > t.limit {
			t.wait(drop) // if it cannot, the next delivery comes back to it
		}
	}
}

// trim removes the oldest messages of maildrops that hold more than they show.
func (m *Mailboxes) trim(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case drop := <-m.trims.queue:
			m.trims.begin(drop)
			length, err := m.trimOne(ctx, drop)
			m.trims.end(drop, length, err)
			if err != nil && ctx.Err() == nil {
				m.options.Log.Warn("full mailbox not trimmed", "maildrop", drop, "err", err)
			}
		}
	}
}

func (m *Mailboxes) trimOne(ctx context.Context, drop mailbox.MaildropID) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	list, err := m.options.Maildrops.List(ctx, drop)
	if err != nil {
		return 0, err
	}
	surplus := len(list) - m.options.MaxMessages
	if surplus <= 0 {
		return len(list), nil
	}
	if err := m.options.Deliveries.Expunge(ctx, drop, list[:surplus]...); err != nil {
		return 0, err
	}
	m.metrics.trimmed.Add(float64(surplus))
	return m.options.MaxMessages, nil
}

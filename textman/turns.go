package textman

import (
	"context"
	"fmt"
	"sync"

	"restante/mailbox"
)

// turns are taken by those who take from the same maildrop, so that within this
// process no text is returned twice.
type turns struct {
	mu    *sync.Mutex
	drops map[mailbox.MaildropID]*turn
}

type turn struct {
	held    chan struct{} // holds one while somebody has the turn
	callers int           // who has it, and who wait
}

func newTurns() turns { return turns{new(sync.Mutex), make(map[mailbox.MaildropID]*turn)} }

// take waits for the turn at a maildrop. The caller ends it with done.
func (t turns) take(ctx context.Context, drop mailbox.MaildropID) (done func(), err error) {
	t.mu.Lock()
	mine := t.drops[drop]
	if mine == nil {
		mine = &turn{held: make(chan struct{}, 1)}
		t.drops[drop] = mine
	}
	mine.callers++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.callers--; mine.callers == 0 {
			delete(t.drops, drop)
		}
	}
	select {
	case mine.held <- struct{}{}:
		return func() { <-mine.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for others who take: %w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}

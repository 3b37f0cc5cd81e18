package cassandra

import (
	"context"
	"fmt"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// Parts on their way at the same time, at first and at most: the first keep one
	// small node busy, the most a large cluster.
	firstParts, mostParts = 8, 32
	// A part is tried so often, and not for longer than a sender waits that cannot
	// send (RFC 5321, section 4.5.3.2.5).
	partTries    = 6
	partPatience = 3 * time.Minute
	// partPause is the pause before a part is tried again.
	partPause = 200 * time.Millisecond
)

// A window bounds how many parts of large contents are on their way at once by what
// the cluster answers in time: each answer widens it a little, each that does not come
// halves it, as a sender does with segments (RFC 5681, section 3.1). A part that was
// too late is sent again: a large message has hundreds, of which otherwise none could
// be too late.
type window struct {
	mu      sync.Mutex
	size    float64 // how many may be on their way
	busy    int     // how many are
	halved  int     // how often it was
	waiting []chan struct{}
}

func newWindow() *window { return &window{size: firstParts} }

// carry has a part written in its turn, and again as long as it is too late. The
// context of the caller ends it.
func (w *window) carry(ctx context.Context, write func() error) error {
	deadline := time.Now().Add(partPatience)
	for tries := 1; ; tries++ {
		halved, err := w.enter(ctx)
		if err != nil {
			return err
		}
		err = write()
		late := tooLate(err)
		w.leave(halved, err == nil, late)
		if !late || tries == partTries || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(partPause):
		case <-ctx.Done():
			return err
		}
	}
}

// tooLate reports whether a statement failed because there is too much to do.
func tooLate(err error) bool {
	if err == nil {
		return false
	}
	o := outcomeOf(err)
	return o == timedOut || o == overloaded
}

// enter waits for a turn.
func (w *window) enter(ctx context.Context) (halved int, err error) {
	w.mu.Lock()
	if len(w.waiting) == 0 && w.busy < int(w.size) {
		defer w.mu.Unlock()
		w.busy++
		return w.halved, nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, other := range w.waiting {
			if other == turn {
				w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
				return 0, fmt.Errorf("%w: too much to write: %w", mailbox.ErrUnavailable, ctx.Err())
			}
		}
		w.busy-- // the turn has come meanwhile
		w.wake()
		return 0, fmt.Errorf("%w: too much to write: %w", mailbox.ErrUnavailable, ctx.Err())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.halved, nil
}

// leave ends a turn that began when the window had been halved so often. Of those that
// were on their way together and were too late, one halves it. What failed for another
// reason says nothing about how much there is to do.
func (w *window) leave(halved int, inTime, late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	switch {
	case inTime && w.halved == 0: // by one for each round of answers
		w.size = min(w.size+1/w.size, mostParts)
	case inTime: // carefully, once it was known to be too wide
		w.size = min(w.size+1/(8*w.size), mostParts)
	case late && halved == w.halved:
		w.size = max(w.size/2, 1)
		w.halved++
	}
	w.wake()
}

// wake gives turns to those who wait longest. The caller has the lock.
func (w *window) wake() {
	for len(w.waiting) > 0 && w.busy < int(w.size) {
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
		w.busy++
	}
}

package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"restante/perf/letter"
	"restante/perf/wire"
)

// A Walk retrieves one message after the other, all those of a maildrop round and
// round, in one session per connection, each of a user of its own. An operation is
// one RETR. Every message is verified once in a session and then only received, as
// it is the server that is measured.
type Walk struct {
	Load
	// Shuffle has the messages retrieved in an order of chance that is the same in
	// each round, so that the server cannot know which is next.
	Shuffle bool
}

// Run retrieves until the load's end. It adds the figure "MiB/s".
func (w Walk) Run(ctx context.Context) (*Tally, error) {
	t, err := drive(ctx, w.Load, func(number int) worker { return &walker{Walk: w, number: number} })
	return withThroughput(t), err
}

// An extent is what is known of a message: its octets, once it was verified, and
// those it has on the wire, once it was discarded.
type extent struct{ octets, onWire int64 }

type walker struct {
	Walk
	number  int
	pop3    *wire.POP3
	order   []int // of message-numbers
	seen    []extent
	turn    int
	checker letter.Checker
}

func (w *walker) do(ctx context.Context, _ int) (int64, error) {
	if w.pop3 == nil {
		if err := w.open(ctx); err != nil {
			return 0, err
		}
	}
	octets, err := w.step()
	if err != nil {
		err = errors.Join(err, w.pop3.Close())
		w.pop3 = nil
	}
	return octets, err
}

func (w *walker) open(ctx context.Context) error {
	p, err := login(ctx, w.Load, w.number)
	if err != nil {
		return err
	}
	n, _, err := p.Stat()
	if err == nil && n == 0 {
		err = fmt.Errorf("walk: nothing to retrieve for %s", w.User(w.number))
	}
	if err != nil {
		return errors.Join(err, p.Close())
	}
	w.pop3, w.turn = p, 0
	w.order, w.seen = make([]int, n), make([]extent, n)
	for i := range w.order {
		w.order[i] = i + 1
	}
	if w.Shuffle {
		rand.Shuffle(n, func(a, b int) { w.order[a], w.order[b] = w.order[b], w.order[a] })
	}
	return nil
}

// step retrieves the next message.
func (w *walker) step() (int64, error) {
	i := w.turn % len(w.order)
	w.turn++
	number, seen := w.order[i], &w.seen[i]
	if seen.octets == 0 {
		err := retrieve(w.pop3, number, &w.checker)
		seen.octets = w.checker.Octets()
		return seen.octets, err
	}
	octets, err := w.pop3.Discard(number)
	if err != nil {
		return 0, err
	}
	seen.onWire = cmp.Or(seen.onWire, octets)
	if octets < seen.octets || octets != seen.onWire {
		err = fmt.Errorf("%w: %d octets on the wire, of %d, once %d", letter.ErrDamaged, octets, seen.octets, seen.onWire)
	}
	return seen.octets, err
}

func (w *walker) close() {
	if w.pop3 != nil {
		_ = w.pop3.Quit()
	}
}

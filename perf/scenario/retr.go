package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"restante/perf/letter"
	"restante/perf/wire"
)

// A Retr retrieves message 1 again and again in one session per connection. An
// operation is one RETR. All of them are verified, or only the first one of each
// session.
type Retr struct {
	Load
	// Discard has messages only received after the first one, so that it is the
	// server that is measured: to take the dots out of a message and hash it costs
	// about as much as to send it. Each must still have as many octets as the others.
	Discard bool
}

// wide is a read buffer for large messages.
const wide = 256 << 10

// Run retrieves until the load's end. It adds the figure "MiB/s".
func (r Retr) Run(ctx context.Context) (*Tally, error) {
	r.Options.ReadBuffer = wide
	t, err := drive(ctx, r.Load, func(number int) worker { return &fetcher{Retr: r, number: number} })
	return withThroughput(t), err
}

// withThroughput adds the mean throughput of one operation at a time.
func withThroughput(t *Tally) *Tally {
	if t != nil && t.Elapsed > 0 {
		t.Figures = map[string]float64{"MiB/s": float64(t.Octets) / (1 << 20) / t.Elapsed.Seconds()}
	}
	return t
}

type fetcher struct {
	Retr
	number   int
	pop3     *wire.POP3
	checker  letter.Checker
	verified bool  // once in this session
	onWire   int64 // octets of the first one that was discarded
}

func (f *fetcher) do(ctx context.Context, _ int) (int64, error) {
	if f.pop3 == nil {
		var err error
		if f.pop3, err = login(ctx, f.Load, f.number); err != nil {
			return 0, err
		}
		f.verified, f.onWire = false, 0
	}
	if err := f.fetch(); err != nil {
		err = errors.Join(err, f.pop3.Close())
		f.pop3 = nil
		return 0, err
	}
	return f.checker.Octets(), nil
}

func (f *fetcher) fetch() error {
	if !f.Discard || !f.verified {
		f.verified = true
		return retrieve(f.pop3, 1, &f.checker)
	}
	octets, err := f.pop3.Discard(1)
	if err != nil {
		return err
	}
	least := f.checker.Octets() + int64(len(".\r\n"))
	f.onWire = cmp.Or(f.onWire, octets)
	if octets < least || octets != f.onWire {
		return fmt.Errorf("%w: %d octets on the wire, of %d, once %d", letter.ErrDamaged, octets, least, f.onWire)
	}
	return nil
}

func (f *fetcher) close() {
	if f.pop3 != nil {
		_ = f.pop3.Quit()
	}
}

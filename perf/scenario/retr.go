package scenario

import (
	"context"
	"errors"

	"restante/perf/letter"
	"restante/perf/wire"
)

// A Retr retrieves message 1 again and again in one session per connection, and
// verifies it each time. An operation is one RETR.
type Retr struct{ Load }

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
	number  int
	pop3    *wire.POP3
	checker letter.Checker
}

func (f *fetcher) do(ctx context.Context, _ int) (int64, error) {
	if f.pop3 == nil {
		var err error
		if f.pop3, err = login(ctx, f.Load, f.number); err != nil {
			return 0, err
		}
	}
	if err := retrieve(f.pop3, 1, &f.checker); err != nil {
		err = errors.Join(err, f.pop3.Close())
		f.pop3 = nil
		return 0, err
	}
	return f.checker.Octets(), nil
}

func (f *fetcher) close() {
	if f.pop3 != nil {
		_ = f.pop3.Quit()
	}
}

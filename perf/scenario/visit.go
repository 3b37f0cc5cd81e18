package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"restante/perf/latency"
	"restante/perf/wire"
)

// A Visit is a Login that also tells how long only the login and STAT took, from
// USER to the answer of STAT, without connecting, the greeting and QUIT. An operation
// is the whole visit.
type Visit struct {
	Load
	// Expect is the number of messages that STAT must tell; negative for any.
	Expect int
}

// Run visits until the load's end. It adds the figures "login + STAT p50 ms" and the
// same for p95 and p99.
func (v Visit) Run(ctx context.Context) (*Tally, error) {
	s := &stopwatch{}
	t, err := drive(ctx, v.Load, func(int) worker { return &caller{Visit: v, total: s} })
	if t != nil {
		t.Figures = s.figures("login + STAT")
	}
	return t, err
}

// A stopwatch has the times of all connections.
type stopwatch struct {
	mu    sync.Mutex
	times latency.Histogram
}

func (s *stopwatch) add(h *latency.Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times.Merge(h)
}

func (s *stopwatch) figures(name string) map[string]float64 {
	return map[string]float64{
		name + " p50 ms": ms(s.times.Quantile(0.50)),
		name + " p95 ms": ms(s.times.Quantile(0.95)),
		name + " p99 ms": ms(s.times.Quantile(0.99)),
	}
}

type caller struct {
	Visit
	mine  latency.Histogram
	total *stopwatch
}

func (c *caller) do(ctx context.Context, i int) (int64, error) {
	p, err := wire.DialPOP3(ctx, c.Address, c.Options)
	if err != nil {
		return 0, err
	}
	defer func() { _ = p.Close() }() // after an error; QUIT closes too
	began := time.Now()
	if err := p.Login(c.User(i), c.Password); err != nil {
		return 0, err
	}
	n, _, err := p.Stat()
	if err != nil {
		return 0, err
	}
	c.mine.Record(time.Since(began))
	if c.Expect >= 0 && n != c.Expect {
		return 0, fmt.Errorf("visit: STAT tells %d messages, not %d", n, c.Expect)
	}
	return 0, p.Quit()
}

func (c *caller) close() { c.total.add(&c.mine) }

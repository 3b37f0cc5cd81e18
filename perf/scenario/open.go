package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/perf/wire"
)

// An Open opens sessions that do nothing, to see what memory those take. Connections
// is the number of sessions and Duration how long all of them are open at the same
// time. An operation is one session that still answered at the end; its latency is
// that of the login.
type Open struct {
	Load
	// Logins is how many log in at the same time.
	Logins int
}

// Run opens the sessions, waits for the duration and has each answer STAT.
func (o Open) Run(ctx context.Context) (*Tally, error) {
	if o.Connections < 1 || o.Duration <= 0 || o.Logins < 1 {
		return nil, errors.New("scenario: open needs connections, a duration and logins")
	}
	began := time.Now()
	sessions := make([]*wire.POP3, o.Connections)
	defer func() {
		for _, s := range sessions {
			if s != nil {
				_ = s.Close()
			}
		}
	}()
	l := o.Load
	l.Connections, l.Count, l.Duration, l.Rate = o.Logins, o.Connections, 0, 0
	t, err := Repeat{Load: l, Do: func(_ context.Context, _, i int) (_ int64, err error) {
		sessions[i], err = login(ctx, l, i) // which ends with the context, later than the load
		return 0, err
	}}.Run(ctx)
	if err != nil {
		return t, err
	}
	if !Pause(ctx, o.Duration) {
		return t, ctx.Err()
	}
	t.Operations = 0
	for i, s := range sessions {
		if s == nil {
			continue // counted when it failed
		}
		if _, _, err := s.Stat(); err != nil {
			t.Errors++
			t.Faults = addFault(t.Faults, fmt.Errorf("open: session %d: %w", i, err))
			continue
		}
		t.Operations++
	}
	t.Elapsed = time.Since(began)
	t.Figures = map[string]float64{"sessions": float64(t.Operations)}
	return t, nil
}

package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Delete empties one maildrop in one session. The operation is DELE of every
// message and QUIT together.
type Delete struct {
	Load
	// Expect is how many messages must be there; negative for any number.
	Expect int
}

// Run empties the maildrop of the first user. It adds the figures "messages",
// "DELE s" for marking them all and "QUIT s" for removing them.
func (d Delete) Run(ctx context.Context) (*Tally, error) {
	p, err := login(ctx, d.Load, 0)
	if err != nil {
		return nil, err
	}
	n, _, err := p.Stat()
	if err == nil && d.Expect >= 0 && n != d.Expect {
		err = fmt.Errorf("delete: the maildrop has %d messages, not %d", n, d.Expect)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	t := &Tally{}
	start := time.Now()
	if err := p.DeleAll(n); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	marked := time.Now()
	if err := p.Quit(); err != nil {
		return nil, err
	}
	t.Elapsed = time.Since(start)
	t.Operations = 1
	t.Latency.Record(t.Elapsed)
	t.Figures = map[string]float64{
		"messages": float64(n),
		"DELE s":   marked.Sub(start).Seconds(),
		"QUIT s":   time.Since(marked).Seconds(),
	}
	return t, nil
}

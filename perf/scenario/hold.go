package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Hold has many sessions retrieve a large message at once, all of them slowly,
// to see what memory that takes. Connections is the number of sessions and
// Duration how long they all read at the same time. An operation is one session
// that was still being served at the end.
type Hold struct {
	Load
	Speed int // octets a second that each session reads
}

// slowBuffer keeps the kernel from taking the message in at once.
const slowBuffer = 64 << 10

// Run opens the sessions, waits until every one receives its message, lets them
// read for the duration and drops them. It adds the figure "sessions".
func (h Hold) Run(ctx context.Context) (*Tally, error) {
	if h.Connections < 1 || h.Duration <= 0 || h.Speed < 1 {
		return nil, errors.New("scenario: hold needs connections, a duration and a speed")
	}
	h.Options.SocketBuffer = slowBuffer
	h.Options.ReadBuffer = 4 << 10
	began := time.Now()
	r := &rendezvous{all: make(chan struct{}), missing: int64(h.Connections)}
	var mu sync.Mutex
	t := &Tally{}
	var sessions sync.WaitGroup
	for i := range h.Connections {
		sessions.Go(func() {
			octets, err := h.hold(ctx, i, r)
			mu.Lock()
			defer mu.Unlock()
			t.Octets += octets
			if err != nil {
				t.Errors++
				t.Faults = addFault(t.Faults, err)
				return
			}
			t.Operations++
		})
	}
	sessions.Wait()
	t.Elapsed = time.Since(began)
	t.Latency.Record(t.Elapsed)
	t.Figures = map[string]float64{"sessions": float64(t.Operations)}
	return t, ctx.Err()
}

// A rendezvous is over when all have come.
type rendezvous struct {
	missing int64
	all     chan struct{}
}

func (r *rendezvous) arrive() {
	if atomic.AddInt64(&r.missing, -1) == 0 {
		close(r.all)
	}
}

// hold is one session. It reads from the start, and until the duration after
// everyone has begun.
func (h Hold) hold(ctx context.Context, i int, r *rendezvous) (int64, error) {
	p, err := login(ctx, h.Load, i)
	if err == nil {
		if err = p.AskRetr(1); err != nil {
			err = errors.Join(err, p.Close())
		}
	}
	r.arrive() // those that failed as well, or the others would wait for ever
	if err != nil {
		return 0, err
	}
	defer func() { _ = p.Close() }()
	buf := make([]byte, 4<<10)
	step := time.Duration(float64(len(buf)) / float64(h.Speed) * float64(time.Second))
	var octets int64
	var end <-chan time.Time
	all := r.all
	for {
		n, err := p.Trickle(buf)
		if octets += int64(n); err != nil {
			return octets, fmt.Errorf("hold: after %d octets: %w", octets, err)
		}
		select {
		case <-ctx.Done():
			return octets, ctx.Err()
		case <-end:
			return octets, nil
		case <-all:
			all, end = nil, time.After(h.Duration)
		case <-time.After(step):
		}
	}
}

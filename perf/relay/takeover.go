package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"time"

	"restante/perf/scenario"
)

// takeover is the trial of a server that dies or sleeps with a full queue.
type takeover struct {
	settings `embed:""`

	Queue  int           `default:"2000" help:"Mails that wait when it happens."`
	Octets int           `default:"2048" help:"Octets of a body."`
	Freeze time.Duration `help:"Stop the server for so long, and let it go on, instead of killing it." placeholder:"DURATION"`
}

const (
	// concurrency is how many mails a server hands over at a time, and so how many of a
	// server that dies may arrive twice.
	concurrency = 64
	// takenOver is how long it may take until another has handed over what a dead server
	// had.
	takenOver = time.Minute
	// slowly is how long the fakes take for a mail while the queue fills.
	slowly = "slow:5s"
)

func (t *takeover) Run(ctx context.Context, out io.Writer) error {
	return t.play(ctx, out, plan{}, t.trial)
}

func (t *takeover) trial(ctx context.Context, s *stage) (*verdict, error) {
	l := newLedger(rand.Uint64())
	first, others := s.nodes[0], s.nodes[1:]
	for _, f := range s.fakes {
		if err := f.do(ctx, setting{Mode: slowly}); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	// Some leave while the queue fills.
	most := int(1.1*float64(t.Queue)) + 2*concurrency
	if err := (traffic{nodes: []*node{first}, ledger: l, rate: 400, octets: t.Octets}).run(ctx, 0, most); err != nil {
		return nil, fmt.Errorf("fill the queue: %w", err)
	}
	left, err := first.left(ctx)
	if err != nil {
		return nil, err
	}
	what := "killed"
	var ended time.Time
	switch {
	case t.Freeze > 0:
		what = fmt.Sprintf("frozen for %v", t.Freeze)
		err = first.signal(syscall.SIGSTOP)
		ended = time.Now()
	default:
		ended = time.Now()
		err = first.Kill()
	}
	if err != nil {
		return nil, err
	}
	s.say("node 1 is %s with %d mails in its queue", what, left)
	for _, f := range s.fakes {
		if err := f.do(ctx, works); err != nil {
			return nil, err
		}
	}
	switch {
	case t.Freeze > 0:
		if !scenario.Pause(ctx, t.Freeze) {
			_ = first.signal(syscall.SIGCONT)
			return nil, ctx.Err()
		}
		err = first.signal(syscall.SIGCONT)
		s.say("node 1 goes on")
		others = s.nodes
	case len(others) == 0: // nobody else is there: it comes back itself
		others = s.nodes
		err = first.start(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := s.drained(ctx, l, heldAtMost, false, others...); err != nil {
		s.say("%v; missing: %q", err, l.missing())
	}

	v := &verdict{name: fmt.Sprintf("takeover, a server is %s", what)}
	v.arrived(l)
	v.copies(l, concurrency)
	v.atLeast("mails in its queue then", float64(left), float64(t.Queue))
	done := l.lastArrival().Sub(ended)
	switch {
	case t.Freeze > 0 && len(s.nodes) == 1:
		v.told("s until all had arrived", done.Seconds())
	default:
		v.atMost("s until all had arrived", done.Seconds(), takenOver.Seconds())
	}
	v.part("all, from when they were due", l, window{began, ended})
	return v, nil
}

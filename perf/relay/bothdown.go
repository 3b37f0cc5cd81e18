package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"restante/perf/scenario"
)

// bothDown is the trial of a time without services.
type bothDown struct {
	settings `embed:""`

	Rate   float64       `default:"50" help:"Mails a second."`
	Octets int           `default:"2048" help:"Octets of a body."`
	Before time.Duration `default:"10s" help:"How long both are up at first."`
	Dead   time.Duration `default:"60s" help:"How long both are away."`
	After  time.Duration `default:"20s" help:"How long both are up then."`
	Retry  bool          `help:"In the end, try at once what is held because nobody knows whether it arrived."`
}

func (b *bothDown) Run(ctx context.Context, out io.Writer) error {
	return b.play(ctx, out, plan{agents: true, wide: true}, b.trial)
}

func (b *bothDown) trial(ctx context.Context, s *stage) (*verdict, error) {
	l := newLedger(rand.Uint64())
	v := &verdict{name: fmt.Sprintf("both down for %v, %s mails/s", b.Dead, number(b.Rate))}
	began := time.Now()
	mails := traffic{nodes: s.nodes, ledger: l, rate: b.Rate, octets: b.Octets}.start(ctx, b.Before+b.Dead+b.After)
	defer mails.end()
	if !scenario.Pause(ctx, b.Before) {
		return nil, ctx.Err()
	}
	killed, err := s.kill(s.agents...)
	if err != nil {
		return nil, err
	}
	s.say("both are killed")
	// Until then mail may be tried in vain, which does not count.
	if err := s.await(ctx, "both services are down on every node", func() (bool, error) { return s.all(ctx, "down") }); err != nil {
		return nil, err
	}
	known := time.Now()
	scenario.Pause(ctx, time.Second) // what was picked before then has failed
	before, err := s.handed(ctx)
	if err != nil {
		return nil, err
	}
	if !scenario.Pause(ctx, time.Until(killed.Add(b.Dead))) {
		return nil, ctx.Err()
	}
	after, err := s.handed(ctx)
	if err != nil {
		return nil, err
	}
	waiting, burned, held := 0, 0, 0
	for _, n := range s.nodes {
		entries, err := n.queue(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			waiting++
			switch {
			case e.State == "held":
				held++
			case e.Attempts > 0:
				burned++
			}
		}
	}
	started := time.Now()
	for _, a := range s.agents {
		if err := s.start(a); err != nil {
			return nil, err
		}
	}
	s.say("both are started; %d mails wait", waiting)
	if err := mails.wait(); err != nil {
		s.say("some mail was not taken: %v", err)
	}
	if err := s.drained(ctx, l, heldAtMost, b.Retry, s.nodes...); err != nil {
		s.say("%v; missing: %q", err, l.missing())
	}
	v.arrived(l)
	v.copies(l, 2*atATime)
	v.atLeast("mails that waited when the services came back", float64(waiting), 0.8*b.Rate*b.Dead.Seconds())
	v.exactly("mails that no service heard of and an attempt counts of", burned, 0)
	v.exactly("attempts while both were known to be down", after-before, 0)
	v.told("mails whose fate is not known", float64(held))
	v.told("s until both were known to be down", known.Sub(killed).Seconds())
	v.part("while both are up", l, window{began, killed})
	v.part("while both are down", l, window{known, started})
	last := l.lastArrival()
	v.told("s from the return to the last arrival", last.Sub(started).Seconds())
	return v, nil
}

// handed is how many mails the servers have handed to services, or have tried to.
func (s *stage) handed(ctx context.Context) (sum int, err error) {
	for _, n := range s.nodes {
		services, err := n.services(ctx)
		if err != nil {
			return 0, err
		}
		for _, each := range services {
			for _, n := range each.Results {
				sum += int(n)
			}
		}
	}
	return sum, nil
}

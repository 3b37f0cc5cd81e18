package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"time"

	"restante/perf/rig"
	"restante/perf/scenario"
)

// adoption is the trial of a data centre that dies with a full queue, and of another that
// is told to go on with it.
type adoption struct {
	settings `embed:""`

	Queue      int           `default:"500" help:"Mails that wait when it happens."`
	Octets     int           `default:"2048" help:"Octets of a body."`
	Replicated time.Duration `default:"5s" help:"How long nothing is submitted before it happens, so that all of it has reached the other data centre."`
}

func (a *adoption) Run(ctx context.Context, out io.Writer) error {
	a.Store = "cassandra"
	if a.Layout.Datacenters < 2 {
		a.Layout = rig.Layout{Datacenters: 2, Nodes: 1}
	}
	return a.play(ctx, out, plan{apart: true}, a.trial)
}

func (a *adoption) trial(ctx context.Context, s *stage) (*verdict, error) {
	l := newLedger(rand.Uint64())
	dies, adopts := s.nodes[0], s.nodes[1]
	for _, f := range s.fakes {
		if err := f.do(ctx, setting{Mode: slowly}); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	most := int(1.1*float64(a.Queue)) + 2*concurrency
	if err := (traffic{nodes: s.nodes[:1], ledger: l, rate: 100, octets: a.Octets}).run(ctx, 0, most); err != nil {
		return nil, fmt.Errorf("fill the queue: %w", err)
	}
	scenario.Pause(ctx, a.Replicated)
	left, err := dies.left(ctx)
	if err != nil {
		return nil, err
	}
	there, err := adopts.left(ctx)
	if err != nil {
		return nil, err
	}
	ended := time.Now()
	dead, err := s.killDatacenter(ctx, dies)
	if err != nil {
		return nil, err
	}
	s.say("%s is dead with %d mails in its queue", dead, left)
	for _, f := range s.fakes {
		if err := f.do(ctx, works); err != nil {
			return nil, err
		}
	}
	// Nobody takes it over before he is told to: from there it may only be out of reach.
	scenario.Pause(ctx, takenOver/2)
	unasked, err := adopts.left(ctx)
	if err != nil {
		return nil, err
	}
	told := time.Now()
	command := exec.CommandContext(ctx, s.binary, "relay", "adopt", "--yes", "--admin", adopts.Admin, "--admin-token", adopts.token, dead)
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("adopt %s: %w: %s", dead, err, out)
	}
	s.say("node %s is told to go on with it", adopts.name)
	if err := s.drained(ctx, l, heldAtMost, false, adopts); err != nil {
		s.say("%v; missing: %q", err, l.missing())
	}

	v := &verdict{name: "adoption of a data centre"}
	v.arrived(l)
	v.copies(l, concurrency)
	v.atLeast("mails in its queue then", float64(left), float64(a.Queue))
	v.exactly("mails in the queue of the other before it was told", max(there, unasked), 0)
	v.atMost("s from the command until all had arrived", l.lastArrival().Sub(told).Seconds(), takenOver.Seconds())
	v.part("all, from when they were due", l, window{began, ended})
	return v, nil
}

// killDatacenter kills a server, and all of Cassandra that is in its data centre, which it
// names.
func (s *stage) killDatacenter(ctx context.Context, n *node) (name string, err error) {
	name = s.cluster.Datacenters()[0]
	errs := []error{n.Kill()}
	for _, each := range s.cluster.Nodes {
		if each.Datacenter == name {
			errs = append(errs, s.cluster.Do(ctx, "kill", each.Name))
		}
	}
	return name, errors.Join(errs...)
}

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"restante/perf/peer"
	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/scenario"
)

// A step is one scenario for each server that takes part.
type step struct {
	name string
	// takes tells whether a server takes part, nil for all that speak POP3.
	takes func(s *peer.Server) bool
	// prepare runs once before the first round, unmeasured; it may be nil.
	prepare func(ctx context.Context, b *bench, c *contender) error
	run     func(ctx context.Context, b *bench, c *contender) ([]figure, error)
	// after puts things back for the next round; it may be nil.
	after func(ctx context.Context, b *bench, c *contender) error
}

// A figure is what a step tells of a server.
type figure struct {
	name   string
	better report.Better
	value  float64
	// of is who did it, if not the server: what it is compared with.
	of string
}

// steps are those of the plan that were asked for.
func (b *bench) steps() []step {
	return slices.DeleteFunc(plan(b.cli), func(s step) bool { return b.Only != nil && !b.Only.MatchString(s.name) })
}

// play prepares every step and takes all of them through all rounds. The order
// of the servers turns by one each round, so that none is always the one that
// runs behind a certain other. A server that fails a step is noted and left out
// of that step from then on.
func (b *bench) play(ctx context.Context, steps []step) {
	failed := map[string]bool{}
	each := func(s step, turn int, what string, do func(c *contender) error) {
		for i := range b.contenders {
			c := b.contenders[(i+turn)%len(b.contenders)]
			key := c.kind.Name + ": " + s.name
			if ctx.Err() != nil || failed[key] || !s.takesPart(c.server) {
				continue
			}
			b.say("%s: %s", key, what)
			b.settle(ctx)
			if err := do(c); err != nil && ctx.Err() == nil {
				failed[key] = true
				b.result.Failures = append(b.result.Failures, fmt.Sprintf("%s, %s: %v", key, what, err))
				b.say("%s failed: %v", key, err)
			}
		}
	}
	for _, s := range steps {
		if s.prepare != nil {
			each(s, 0, "prepare", func(c *contender) error { return s.prepare(ctx, b, c) })
		}
	}
	for round := 1; round <= b.Rounds; round++ {
		for _, s := range steps {
			each(s, round-1, fmt.Sprintf("round %d", round), func(c *contender) error { return b.turn(ctx, s, round, c) })
		}
	}
}

// turn is one step of one server in one round. What it told before it failed
// counts.
func (b *bench) turn(ctx context.Context, s step, round int, c *contender) error {
	figures, err := s.run(ctx, b, c)
	b.record(s.name, round, c, figures)
	if err != nil || s.after == nil {
		return err
	}
	return s.after(ctx, b, c)
}

func (s step) takesPart(server *peer.Server) bool {
	if s.takes == nil {
		return pop3(server)
	}
	return s.takes(server)
}

func (b *bench) record(scenario string, round int, c *contender, figures []figure) {
	for _, f := range figures {
		server := c.kind.Name
		if f.of != "" {
			server = f.of
		}
		b.result.Measurements = append(b.result.Measurements, report.Measurement{
			Scenario: scenario, Figure: f.name, Better: f.better, Server: server, Round: round, Value: f.value,
		})
	}
	if len(figures) > 0 {
		b.say("    %s %s", report.Number(figures[0].value), figures[0].name)
	}
}

const (
	// calm is how much CPU all servers together may use between two looks and
	// still count as idle: two ticks, as housekeeping may be caught by chance.
	calm     = 20 * time.Millisecond
	lookTime = 400 * time.Millisecond
	patience = 60 * time.Second
)

// settle waits until every server, and any more that are given, is idle: until a queue is empty and what was
// deferred is done, so that nobody pays for the one before. After patience it
// goes on all the same.
func (b *bench) settle(ctx context.Context, more ...*peer.Server) {
	var pids []int
	for _, s := range more {
		pids = append(pids, s.PIDs()...)
	}
	for _, c := range b.contenders {
		if c.server != nil {
			pids = append(pids, c.server.PIDs()...)
		}
	}
	if len(pids) == 0 {
		return
	}
	last := time.Duration(-1)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		u, err := proc.System{}.Tree(pids...)
		if err != nil || (last >= 0 && u.CPU-last <= calm) {
			return
		}
		last = u.CPU
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookTime):
		}
	}
	b.say("    the servers do not come to rest")
}

// measure runs a load on a contender and fails if any operation did.
func measure(ctx context.Context, c *contender, r scenario.Runner) (scenario.Result, error) {
	return measureServer(ctx, c.server, r)
}

func measureServer(ctx context.Context, s *peer.Server, r scenario.Runner) (scenario.Result, error) {
	result, err := scenario.Measure(ctx, s.Name, r, s.PIDs()...)
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d of %d operations failed: %q", result.Errors, result.Errors+result.Operations, result.Faults)
	}
	return result, err
}

// speed are the figures of a load that repeats one operation, if it went well.
func speed(operations string, r scenario.Result, err error) ([]figure, error) {
	if err != nil {
		return nil, err
	}
	return []figure{
		{name: operations + "/s", better: report.More, value: r.Rate},
		{name: "p50 ms", better: report.Less, value: r.P50},
		{name: "p99 ms", better: report.Less, value: r.P99},
		{name: "server CPU ms", better: report.Less, value: r.ServerCPU},
		{name: "tool CPU ms", value: r.ToolCPU},
		{name: "others' CPU share", value: r.Others},
	}, nil
}

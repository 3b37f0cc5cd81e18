package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"restante/perf/peer"
	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

type measure struct {
	Layouts []rig.Layout   `default:"1x1,1x3,2x3" help:"Clusters to measure on, data centres x nodes."`
	Rounds  int            `default:"3" help:"How often the server and the bare program have their turn at every scenario."`
	Seconds float64        `default:"10" help:"Length of each turn that has no number of its own."`
	Warm    time.Duration  `default:"90s" help:"Load before the first round. Until Java has compiled what it runs, figures mean nothing."`
	Only    *regexp.Regexp `help:"Run only scenarios whose name matches." placeholder:"REGEXP"`
	List    bool           `help:"Print the names of the scenarios."`

	Large    int     `default:"10000" help:"Messages of the large maildrop."`
	Churn    []int   `default:"100000" help:"Messages delivered and deleted before a login; 0 for none. Repeatable."`
	Sessions int     `default:"1000" help:"Sessions that are open at once."`
	Uploads  int     `default:"64" help:"Deliveries of 25 MiB at once."`
	Rate     float64 `help:"Mails a second of the delivery at a fixed rate, of all clusters; 0 for what suits each."`

	Name string `default:"cassandra" help:"Name of the result."`
	Out  string `default:"perf/results" help:"Directory of results." type:"path"`
	Show string `help:"Only print the table of a saved result." type:"existingfile" placeholder:"FILE"`
}

func (m *measure) Run(ctx context.Context, c *common) error {
	switch {
	case m.Show != "":
		saved, err := report.Load(m.Show)
		if err != nil {
			return err
		}
		return saved.Markdown(os.Stdout)
	case m.List:
		for _, s := range plan(m) {
			if _, err := fmt.Println(s.name); err != nil {
				return err
			}
		}
		return nil
	}
	result := report.Comparison{
		Name: m.Name, Date: time.Now(), Machine: report.Machine(), Rounds: m.Rounds,
		Command: report.Command(),
		Servers: []report.ServerInfo{{Name: bareName, Version: "Cassandra alone, as the limit of every server on it"}},
	}
	err := c.within(ctx, func(b rig.Binaries, dir string) error {
		for _, l := range m.Layouts {
			if err := on(ctx, b, dir, l, func(r *rig.Rig) error { return m.on(ctx, r, &result) }); err != nil {
				return err
			}
		}
		return nil
	})
	if len(result.Measurements) == 0 {
		return err
	}
	result.Notes = verdicts(&result)
	path, saveErr := result.Save(m.Out)
	if saveErr == nil {
		say(os.Stderr, "written to %s", path)
		saveErr = result.Markdown(os.Stdout)
	}
	if n := len(result.Failures); n > 0 && err == nil {
		err = fmt.Errorf("%d scenarios failed", n)
	}
	return errors.Join(err, saveErr)
}

// A bench measures on one cluster.
type bench struct {
	*measure
	*rig.Rig
	server *peer.Server
	result *report.Comparison
	round  int // from 1
	drops  map[string]bool
}

// bareName is who is measured beside the server.
const bareName = "bare"

// on measures everything on one cluster. What fails is noted; only what everything
// depends on is an error.
func (m *measure) on(ctx context.Context, r *rig.Rig, result *report.Comparison) error {
	b := &bench{measure: m, Rig: r, result: result, drops: map[string]bool{}}
	var err error
	if b.server, err = r.Serve(ctx, "server", r.Datacenters()[0], users); err != nil {
		return err
	}
	if !slices.ContainsFunc(result.Servers, func(s report.ServerInfo) bool { return s.Name == report.Ours }) {
		result.Servers = append(result.Servers, report.ServerInfo{Name: report.Ours, Version: b.server.Version})
	}
	steps := slices.DeleteFunc(plan(m), func(s step) bool { return m.Only != nil && !m.Only.MatchString(s.name) })
	if err := b.warm(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	failed := map[string]bool{}
	try := func(s step, what string, do func() error) {
		if ctx.Err() != nil || failed[s.name] {
			return
		}
		say(os.Stderr, "%s: %s: %s", name(b.Layout), s.name, what)
		if err := do(); err != nil && ctx.Err() == nil {
			failed[s.name] = true
			note := fmt.Sprintf("%s: %s, %s: %v", name(b.Layout), s.name, what, err)
			b.result.Failures = append(b.result.Failures, note)
			say(os.Stderr, "failed: %v", err)
		}
	}
	for _, s := range steps {
		if s.prepare != nil {
			try(s, "prepare", func() error { return s.prepare(ctx, b) })
		}
	}
	for b.round = 1; b.round <= m.Rounds; b.round++ {
		for _, s := range steps {
			// Who goes first changes, so that none is always the one behind the other.
			turns := []string{bareName, report.Ours}
			if b.round%2 == 0 {
				slices.Reverse(turns)
			}
			for _, side := range turns {
				run := s.ours
				if side == bareName {
					run = s.bare
				}
				if run != nil {
					try(s, fmt.Sprintf("round %d, %s", b.round, side), func() error { return b.turn(ctx, s, side, run) })
				}
			}
		}
	}
	return ctx.Err()
}

// turn is one side of a step. What it told before it failed counts.
func (b *bench) turn(ctx context.Context, s step, side string, run run) error {
	b.settle(ctx)
	figures, err := run(ctx, b)
	for _, f := range figures {
		b.result.Measurements = append(b.result.Measurements, report.Measurement{
			Scenario: name(b.Layout) + ": " + s.name, Figure: f.name, Better: f.better, Server: side, Round: b.round, Value: f.value,
		})
	}
	if len(figures) > 0 {
		say(os.Stderr, "    %s %s", report.Number(figures[0].value), figures[0].name)
	}
	return err
}

const (
	lookTime = 500 * time.Millisecond
	patience = 60 * time.Second
)

// settle waits until flushes and compactions are over, so that nobody pays for the
// one before: until all nodes together use little more than a node that has nothing
// to do. After patience it goes on all the same.
func (b *bench) settle(ctx context.Context) {
	calm := time.Duration(len(b.Nodes)+1) * 15 * time.Millisecond
	last := time.Duration(-1)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		u, err := proc.System{}.Tree(append(b.server.PIDs(), b.PID())...)
		if err != nil || last >= 0 && u.CPU-last <= calm {
			return
		}
		last = u.CPU
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookTime):
		}
	}
	say(os.Stderr, "    the cluster does not come to rest")
}

// A cost is what a load on the server cost Cassandra, in ms of CPU an operation, and
// the share of all processors that neither of them nor the tool has used.
type cost struct{ cassandra, others float64 }

// load runs a load on a server and measures it and the cluster. It fails if any
// operation did.
func (b *bench) load(ctx context.Context, s *peer.Server, r scenario.Runner) (scenario.Result, cost, error) {
	cluster, err := proc.Start(proc.System{}, b.PID())
	if err != nil {
		return scenario.Result{}, cost{}, err
	}
	result, err := scenario.Measure(ctx, s.Name, r, s.PIDs()...)
	used, stopErr := cluster.Stop()
	if err == nil {
		err = stopErr
	}
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d of %d operations failed: %q", result.Errors, result.Errors+result.Operations, result.Faults)
	}
	return result, cost{
		cassandra: float64(used.Server) / float64(time.Millisecond) / float64(max(result.Operations, 1)),
		others:    max(0, result.Others-used.Share()),
	}, err
}

// warm has Cassandra and the server do a little of everything, for long enough.
func (b *bench) warm(ctx context.Context) error {
	say(os.Stderr, "%s: warming up for %v", name(b.Layout), b.Warm)
	if err := fillReaders(ctx, b); err != nil {
		return err
	}
	each := b.Warm / 6
	for _, work := range []func(ctx context.Context) error{
		func(ctx context.Context) error {
			_, err := b.Bare(ctx, "write", "-n", "32", "--users", fmt.Sprint(spread), "--pattern", bareWarm, "--duration", each.String())
			return err
		},
		func(ctx context.Context) error {
			return b.warmServer(ctx, each, func(l scenario.Load) scenario.Runner {
				l.Address, l.Connections, l.First = b.server.SMTP, 32, warmers
				return scenario.Deliver{Load: l, Pipelined: true, Size: small, From: peer.Sender}
			})
		},
		func(ctx context.Context) error {
			return b.warmServer(ctx, each, func(l scenario.Load) scenario.Runner { return scenario.Visit{Load: l, Expect: letters} })
		},
		func(ctx context.Context) error {
			return b.warmServer(ctx, each, func(l scenario.Load) scenario.Runner { return scenario.Walk{Load: l, Shuffle: true} })
		},
		func(ctx context.Context) error {
			_, err := b.Bare(ctx, "list", "-n", "8", "--users", fmt.Sprint(readers), "--expect", fmt.Sprint(letters), "--duration", each.String())
			return err
		},
		func(ctx context.Context) error {
			_, err := b.Bare(ctx, "read", "-n", "8", "--users", fmt.Sprint(readers), "--duration", each.String())
			return err
		},
	} {
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) warmServer(ctx context.Context, d time.Duration, r func(l scenario.Load) scenario.Runner) error {
	l := b.pop3(8, 0, readers)
	l.Duration = d
	_, _, err := b.load(ctx, b.server, r(l))
	return err
}

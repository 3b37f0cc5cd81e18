package sweep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// A Stage is the servers that are measured, and how.
type Stage struct {
	SMTP, POP3 string
	// Targets are all servers, in all data centres, for Delays and ServerCounts.
	Targets   []scenario.Target
	Restante  []int // roots of the process trees of all servers
	Cassandra []int // and of all nodes; none for the embedded store
	// Stored tells how many octets all nodes have on their disks, when all is there
	// that was acknowledged; nil where that cannot be told.
	Stored func(ctx context.Context) (int64, error)
	// Link tells how many octets have gone between data centres; nil where there is only
	// one.
	Link func(ctx context.Context) (int64, error)
	// Statements tells how many all servers have sent to Cassandra; nil where there is
	// none.
	Statements func(ctx context.Context) (float64, error)
	// Settle waits until nothing is left to do of the load before; it may be nil.
	Settle func(ctx context.Context) error

	Pattern, Password string // of users, who are numbered from 0 to Users-1
	Users             int
	Sender            string

	Rounds  int
	Seconds float64 // how long each load lasts at most
	Rate    float64 // mails a second of loads at a rate

	// Mark is what all points have in common: where they come from, and conditions.
	Mark report.Point
	// Say tells how far the run is.
	Say func(format string, args ...any)
}

func (s *Stage) check() error {
	switch {
	case s.Rounds < 1 || s.Seconds <= 0:
		return errors.New("sweep: a load needs rounds and seconds")
	case s.Users < mostRecipients:
		return fmt.Errorf("sweep: %d users are too few: %d are needed", s.Users, mostRecipients)
	}
	return nil
}

// load is for one user.
func (s *Stage) load(addr string, user, connections int) scenario.Load {
	return scenario.Load{
		Address: addr, Connections: connections, First: user, Users: 1, Pattern: s.Pattern, Password: s.Password,
		Duration: s.duration(), Options: wire.Options{Timeout: time.Minute},
	}
}

func (s *Stage) duration() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }

// point is a figure here; its conditions are those of the stage and its own.
func (s *Stage) point(sweep string, x float64, unit string, at map[string]float64) report.Point {
	p := s.Mark
	p.Sweep, p.X, p.Unit = sweep, x, unit
	p.At = maps.Clone(s.Mark.At)
	if p.At == nil {
		p.At = map[string]float64{}
	}
	maps.Copy(p.At, at)
	delete(p.At, sweep)
	return p
}

// turned is in which order values are measured in a round: there and back, so that what
// changes with time is not taken for what changes with the value.
func turned[T any](values []T, round int) []T {
	values = slices.Clone(values)
	if round%2 == 1 {
		slices.Reverse(values)
	}
	return values
}

func (s *Stage) settle(ctx context.Context) error {
	if s.Settle == nil {
		return ctx.Err()
	}
	return s.Settle(ctx)
}

// counts are what goes up with every operation.
type counts struct {
	link       int64
	statements float64
}

// count reads what has gone between data centres so far, and to Cassandra.
func (s *Stage) count(ctx context.Context) (c counts, err error) {
	if s.Link != nil {
		if c.link, err = s.Link(ctx); err != nil {
			return c, err
		}
	}
	if s.Statements != nil {
		c.statements, err = s.Statements(ctx)
	}
	return c, err
}

// run is one load, whose cost and latency are rounds of a point. It fails if any
// operation did: what an error costs is not what a mail costs.
func (s *Stage) run(ctx context.Context, all *report.Rounds, p report.Point, series string, r scenario.Runner) (scenario.Result, error) {
	if err := s.settle(ctx); err != nil {
		return scenario.Result{}, err
	}
	before, err := s.count(ctx)
	if err != nil {
		return scenario.Result{}, err
	}
	nodes, err := proc.Start(proc.System{}, s.Cassandra...)
	if err != nil {
		return scenario.Result{}, err
	}
	result, err := scenario.Measure(ctx, series, r, s.Restante...)
	used, stopErr := nodes.Stop()
	after, countErr := s.count(ctx)
	switch {
	case err != nil || stopErr != nil || countErr != nil:
		return result, errors.Join(err, stopErr, countErr)
	case ctx.Err() != nil:
		return result, ctx.Err()
	case result.Errors > 0 || result.Operations == 0:
		return result, fmt.Errorf("sweep: %s at %s %v: %d operations, %d failed: %q", series, p.Sweep, p.X, result.Operations, result.Errors, result.Faults)
	}
	p.Series = series
	add := func(metric, unit string, value float64) {
		p.Metric, p.UnitY = metric, unit
		all.Add(p, value)
	}
	add(RestanteCPU, "ms", result.ServerCPU)
	if len(s.Cassandra) > 0 {
		add(CassandraCPU, "ms", float64(used.Server)/float64(time.Millisecond)/float64(result.Operations))
	}
	if s.Link != nil {
		add(Link, "octets", float64(after.link-before.link)/float64(result.Operations))
	}
	if s.Statements != nil {
		add(Statements, "", (after.statements-before.statements)/float64(result.Operations))
	}
	add(P50, "ms", result.P50)
	add(P99, "ms", result.P99)
	add(Rate, "/s", result.Rate)
	s.Say("%s at %s %s: %s ms of CPU, p50 %s ms", series, p.Sweep, strings.TrimSpace(report.Short(p.X)+" "+p.Unit), report.Number(result.ServerCPU), report.Number(result.P50))
	return result, nil
}

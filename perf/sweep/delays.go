package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/perf/mission"
	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wire"
)

const (
	testUsers   = 80
	testSize    = 4 // KiB
	testReaders = 2 // few, so that a command waits for the server and not for others
	// lagRate is how many mails a second are looked for in the other data centre.
	lagRate  = 50
	lagEvery = 10 * time.Millisecond
	patience = time.Minute
)

// Mission is the performance test on all servers, as a warm-up.
func (s *Stage) Mission() mission.Test { return s.test(s.Targets) }

// test is the performance test at the rate of the stage.
func (s *Stage) test(targets []scenario.Target) mission.Test {
	return mission.Test{
		Clients: mission.Clients{
			Users: testUsers, Pattern: s.Pattern, Password: s.Password, Sender: s.Sender, Size: testSize << 10,
			Options: wire.Options{Timeout: time.Minute}, PIDs: s.Restante,
		},
		Targets: targets, Rate: s.Rate, Duration: s.duration(),
		Connections: 16 * len(targets), Readers: testReaders, Patience: patience,
	}
}

// fromDue is the time of a mail in the performance test.
const fromDue = "mail, from when it was due"

// commands are those of the performance test that are shown, by its names of them.
var commands = []struct{ series, timed string }{
	{Delivery, fromDue},
	{Login, "login"},
	{Stat, "STAT"},
	{Retrieve, "RETR"},
	{Removal, "QUIT that removes"},
}

// Delays varies the delay of the link, which set sets: what clients wait for at a fixed
// rate, and how long mail takes to the other data centre. All servers of the stage take
// part; those of the first and of the last of its targets are to be in different data
// centres, and the lag is measured one way in a round, the other way in the next.
func (s *Stage) Delays(ctx context.Context, set func(ctx context.Context, delay time.Duration) error, delays ...time.Duration) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var all report.Rounds
	for round := range s.Rounds {
		for _, delay := range turned(delays, round) {
			if err := set(ctx, delay); err != nil {
				return all.Points(), err
			}
			if err := s.delay(ctx, &all, round, float64(delay)/float64(time.Millisecond)); err != nil {
				return all.Points(), err
			}
		}
	}
	return all.Points(), nil
}

func (s *Stage) delay(ctx context.Context, all *report.Rounds, round int, ms float64) error {
	p := s.point(Delay, ms, "ms", map[string]float64{Size: testSize, Recipients: 1, Users: testUsers, Rate: s.Rate})
	o, err := s.mission(ctx, s.Targets)
	if err != nil {
		return fmt.Errorf("delay %v ms: %w", ms, err)
	}
	for _, c := range commands {
		took := o.Latency(c.timed)
		if took.Count == 0 {
			return fmt.Errorf("delay %v ms: %s was never timed", ms, c.timed)
		}
		addLatency(all, p, c.series, took)
	}
	lag := mission.Lag{
		Clients: s.test(s.Targets).Clients, Into: s.Targets[0], From: s.Targets[len(s.Targets)-1],
		Rate: lagRate, Duration: s.duration(), Every: lagEvery, Patience: patience,
	}
	if round%2 == 1 {
		lag.Into, lag.From = lag.From, lag.Into
	}
	listed, err := lag.Run(ctx)
	if err := errors.Join(err, listed.Err(), ctx.Err()); err != nil {
		return fmt.Errorf("lag at %v ms: %w", ms, err)
	}
	addLatency(all, s.point(Delay, ms, "ms", map[string]float64{Size: testSize, Recipients: 1, Users: testUsers, Rate: lagRate}), Lag, listed.Listed)
	s.Say("delay %s ms: delivery p50 %s ms, lag p99 %s ms", report.Short(ms), report.Number(o.Latency(fromDue).P50), report.Number(listed.Listed.P99))
	return nil
}

// mission is the performance test. It fails if anything was wrong.
func (s *Stage) mission(ctx context.Context, targets []scenario.Target) (*mission.Outcome, error) {
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	t := s.test(targets)
	t.Watch = s.watch
	o, err := t.Run(ctx)
	return o, errors.Join(err, o.Err(), ctx.Err())
}

// watch adds the CPU of Cassandra to a phase.
func (s *Stage) watch(string) (func(*scenario.Result) (map[string]float64, error), error) {
	nodes, err := proc.Start(proc.System{}, s.Cassandra...)
	if err != nil {
		return nil, err
	}
	return func(r *scenario.Result) (map[string]float64, error) {
		used, err := nodes.Stop()
		r.Others = max(0, r.Others-used.Share())
		return map[string]float64{CassandraCPU: float64(used.Server) / float64(time.Millisecond) / float64(max(r.Operations, 1))}, err
	}, nil
}

func addLatency(all *report.Rounds, p report.Point, series string, took mission.Latency) {
	p.Series, p.UnitY = series, "ms"
	p.Metric = P50
	all.Add(p, took.P50)
	p.Metric = P99
	all.Add(p, took.P99)
}

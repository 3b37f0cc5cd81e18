package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"restante/perf/mission"
	"restante/perf/report"
	"restante/perf/scenario"
)

// A Find is how the highest rate is looked for.
type Find struct {
	Step, Restful time.Duration
	Precision     float64
}

// ServerCounts varies how many servers clients go to, over the same cluster: what a mail takes
// and costs at a fixed rate, and, where it is to be found, the highest rate.
func (s *Stage) ServerCounts(ctx context.Context, find *Find, counts ...int) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var all report.Rounds
	for round := range s.Rounds {
		for _, n := range turned(counts, round) {
			targets, err := some(s.Targets, n)
			if err != nil {
				return all.Points(), err
			}
			if err := s.through(ctx, &all, targets, find, round); err != nil {
				return all.Points(), fmt.Errorf("%d servers: %w", n, err)
			}
		}
	}
	return all.Points(), nil
}

func (s *Stage) through(ctx context.Context, all *report.Rounds, targets []scenario.Target, find *Find, round int) error {
	at := map[string]float64{Size: testSize, Recipients: 1, Users: testUsers}
	n := float64(len(targets))
	o, err := s.mission(ctx, targets)
	if err != nil {
		return err
	}
	took := o.Latency(fromDue)
	at[Rate] = s.Rate
	p := s.point(Servers, n, "", at)
	addLatency(all, p, Mail, took)
	for _, phase := range o.Phases {
		if phase.Scenario != "deliver" {
			continue
		}
		p.Series, p.Metric, p.UnitY = Mail, RestanteCPU, "ms"
		all.Add(p, phase.ServerCPU)
		if len(s.Cassandra) > 0 {
			p.Metric = CassandraCPU
			all.Add(p, phase.Figures[CassandraCPU])
		}
		s.Say("%d servers: %s ms of CPU a mail, p50 %s ms", len(targets), report.Number(phase.ServerCPU), report.Number(took.P50))
	}
	if find == nil || round > 0 {
		return nil
	}
	curve, err := mission.Search{
		Test: s.test(targets), From: s.Rate, Step: find.Step, P99: time.Second, Precision: find.Precision,
		Restful: find.Restful, Behind: s.Cassandra,
	}.Run(ctx)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if err := curve.Err(); err != nil {
		return err
	}
	delete(at, Rate)
	p = s.point(Servers, n, "", at)
	p.Series, p.Metric, p.UnitY = Mail, Highest, "/s"
	all.Add(p, curve.Highest)
	s.Say("%d servers: %s mails/s at most", len(targets), report.Number(curve.Highest))
	return nil
}

// some are so many of the servers, from each data centre in turn.
func some(targets []scenario.Target, n int) ([]scenario.Target, error) {
	if n < 1 || n > len(targets) {
		return nil, fmt.Errorf("sweep: %d servers, of %d", n, len(targets))
	}
	rank := map[string]int{} // of the next server of a data centre
	type ranked struct {
		scenario.Target
		rank int
	}
	var all []ranked
	for _, t := range targets {
		all = append(all, ranked{t, rank[t.Datacenter]})
		rank[t.Datacenter]++
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return a.rank - b.rank })
	var chosen []scenario.Target
	for _, t := range all[:n] {
		chosen = append(chosen, t.Target)
	}
	return chosen, nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
)

// intake is the measurement of submission beside delivery.
type intake struct {
	settings `embed:""`

	Rounds      int           `default:"3" help:"How often both are measured, in turn."`
	Time        time.Duration `default:"5s" help:"How long each time."`
	Connections int           `short:"n" default:"32" help:"Connections that submit, or deliver."`
	Octets      int           `default:"4096" help:"Octets of a body."`
	Warm        time.Duration `default:"2s" help:"How long both are under load before they count."`
	Sending     bool          `help:"Let the services send meanwhile. Otherwise all waits in the queue until the end."`
}

// intakeShare is what submission has to reach of the rate of delivery.
const intakeShare = 0.7

func (in *intake) Run(ctx context.Context, out io.Writer) error {
	return in.play(ctx, out, plan{}, in.trial)
}

func (in *intake) trial(ctx context.Context, s *stage) (*verdict, error) {
	if !in.Sending {
		if err := s.maintain(ctx, true); err != nil {
			return nil, err
		}
	}
	n := s.nodes[0]
	load := scenario.Load{Connections: in.Connections, Users: users, Password: peer.Password}
	delivery, submission := load, load
	delivery.Address, delivery.Pattern = n.SMTP, peer.Pattern
	submission.Address, submission.Pattern, submission.Users = n.Submission, elsewhere, 1_000_000
	loads := []struct {
		name string
		load scenario.Deliver
	}{
		{"local delivery", scenario.Deliver{Load: delivery, Size: in.Octets, Pipelined: true, From: peer.Sender}},
		{"submission for elsewhere", scenario.Deliver{Load: submission, Size: in.Octets, Pipelined: true, From: fmt.Sprintf(peer.Pattern, 0), Login: true}},
	}
	var operations, seconds [2]float64
	submitted := int64(0)
	var results []scenario.Result
	for round := range in.Rounds + 1 {
		for i, each := range loads {
			each.load.Duration = in.Time
			if round == 0 {
				each.load.Duration = in.Warm
			}
			r, err := scenario.Measure(ctx, each.name, each.load, n.PIDs()...)
			if err == nil && (r.Errors > 0 || ctx.Err() != nil) {
				err = fmt.Errorf("%d errors: %q: %w", r.Errors, r.Faults, ctx.Err())
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", each.name, err)
			}
			if i == 1 {
				submitted += r.Operations
			}
			if round > 0 {
				r.Connections = in.Connections
				operations[i] += float64(r.Operations)
				seconds[i] += r.Seconds
				results = append(results, r)
			}
		}
	}
	if err := report.WriteTable(s.out, results...); err != nil {
		return nil, err
	}
	if err := report.Append(in.JSON, results...); err != nil {
		return nil, err
	}
	if err := s.maintain(ctx, false); err != nil {
		return nil, err
	}
	began, arrived := time.Now(), int64(0)
	err := s.awaitFor(ctx, heldAtMost, "all has been handed over", func() (bool, error) {
		scenario.Pause(ctx, 200*time.Millisecond)
		arrived = 0
		for _, f := range s.fakes {
			stats, err := f.stats(ctx)
			if err != nil {
				return false, err
			}
			arrived += stats.Accepted
		}
		return arrived >= submitted, nil
	})
	if err != nil {
		s.say("%v", err)
	}
	v := &verdict{name: "intake"}
	deliveries, submissions := operations[0]/max(seconds[0], 1), operations[1]/max(seconds[1], 1)
	v.told("local deliveries/s", deliveries)
	v.told("submissions/s", submissions)
	v.atLeast("submissions for each local delivery", submissions/max(deliveries, 1), intakeShare)
	v.exactly("mails that were submitted and have not arrived", int(submitted-arrived), 0)
	if !in.Sending {
		v.told("mails/s handed over afterwards", float64(submitted)/time.Since(began).Seconds())
	}
	return v, nil
}

// maintain keeps mail from both services, or gives it to them again.
func (s *stage) maintain(ctx context.Context, away bool) error {
	for _, name := range names {
		if err := s.nodes[0].patch(ctx, "/v1/services/"+name, map[string]bool{"maintenance": away}); err != nil {
			return err
		}
	}
	return nil
}

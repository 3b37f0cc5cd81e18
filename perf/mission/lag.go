package mission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"restante/perf/report"
	"restante/perf/scenario"
)

// A Lag is how long after its 250 a mail is listed to a reader elsewhere. A POP3 session
// sees what there was at its login, so each look is a login: many small maildrops take
// turns, and each is looked into only while it has a mail under way.
type Lag struct {
	Clients  // Users are how many mails may be under way
	Into     scenario.Target
	From     scenario.Target // where it is looked for
	Rate     float64         // mails a second
	Duration time.Duration
	// Every is how often it is looked for, which is how exact the lag is, as long as a
	// login takes less.
	Every    time.Duration
	Patience time.Duration
	Behind   []int // processes behind the servers, if there are any: see Search
}

// A LagOutcome is what a Lag came to. Each time includes the login that saw the mail.
type LagOutcome struct {
	Listed Latency         `json:"listed"`
	Result scenario.Result `json:"result"` // an operation is a mail, until it is listed and verified
}

// Run delivers, and looks for every mail.
func (l Lag) Run(ctx context.Context) (*LagOutcome, error) {
	if err := l.check(); err != nil {
		return new(LagOutcome), err
	}
	if l.Into.SMTP == "" || l.From.POP3 == "" || l.Rate <= 0 || l.Duration <= 0 || l.Every < 0 || l.Patience <= 0 {
		return new(LagOutcome), errors.New("mission: a lag needs a server to deliver to, another to look at, a rate, a duration and patience")
	}
	if err := l.prepare(ctx); err != nil {
		return new(LagOutcome), err
	}
	ended := func(*scenario.Result) (map[string]float64, error) { return nil, nil }
	if len(l.Behind) > 0 {
		var err error
		if ended, err = Behind(l.Behind...); err != nil {
			return new(LagOutcome), err
		}
	}
	result, err := scenario.Measure(ctx, "listed elsewhere", scenario.Visible{
		Load: scenario.Load{
			Address: l.Into.SMTP, Connections: l.Users, Rate: l.Rate, Duration: l.Duration,
			First: l.First, Users: l.Users, Pattern: l.Pattern, Password: l.Password, Options: l.Options,
		},
		POP3: l.From.POP3, Back: l.Into.POP3, Patience: l.Patience, Every: l.Every, Keep: keep, Size: l.Size, From: l.Sender,
	}, l.PIDs...)
	more, watchErr := ended(&result)
	if err == nil {
		err = watchErr
	}
	result.Figures = joined(result.Figures, more)
	f := result.Figures
	return &LagOutcome{Result: result, Listed: Latency{
		Name: "listed elsewhere, from 250", Count: uint64(result.Operations),
		P50: f["listed p50 ms"], P95: f["listed p95 ms"], P99: f["listed p99 ms"], P999: f["listed p99.9 ms"], Max: f["listed max ms"],
	}}, err
}

// prepare has every user logged in once everywhere: see run.prepare.
func (l Lag) prepare(ctx context.Context) error {
	for _, at := range []scenario.Target{l.From, l.Into} {
		if at.POP3 == "" {
			continue
		}
		t, err := scenario.Repeat{
			Load: scenario.Load{Connections: min(l.Users, 8), Count: l.Users},
			Do: func(ctx context.Context, _, user int) (int64, error) {
				return 0, l.clear(ctx, at, user, newTimes())
			},
		}.Run(ctx)
		if err == nil && t.Errors > 0 {
			err = fmt.Errorf("%d of %d failed: %q", t.Errors, l.Users, t.Faults)
		}
		if err != nil {
			return fmt.Errorf("first login at %s: %w", at.Name, err)
		}
	}
	return nil
}

// Err tells what the servers did wrong.
func (o *LagOutcome) Err() error {
	if o.Result.Errors > 0 {
		return fmt.Errorf("%d of %d mails: %q", o.Result.Errors, o.Result.Errors+o.Result.Operations, o.Result.Faults)
	}
	return nil
}

// Measurements are the figures of a pair of servers, for a table with others beside it.
func (o *LagOutcome) Measurements(server string, round int) []report.Measurement {
	t := table{server: server, round: round}
	t.latency(o.Listed)
	r := o.Result
	r.Figures = maps.Clone(r.Figures)
	maps.DeleteFunc(r.Figures, func(name string, _ float64) bool { return strings.HasPrefix(name, "listed ") })
	t.phase(r)
	return t.rows
}

package mission

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/scenario"
)

// A Search is for the highest rate that a server sustains. Its test gives all but the
// rate and the duration.
type Search struct {
	Test
	From      float64       // mails a second of the first step
	Step      time.Duration // how long each rate is tried
	P99       time.Duration // how long a mail may take, from when it was due
	Precision float64       // of the rate, 0.05 for 5 %
	Rest      time.Duration // pause between steps, at least
	Restful   time.Duration // and at most, while the server is still busy
	// Behind are processes behind the server: they must be idle then too, and what they
	// use is part of what a mail costs. They are watched instead of what Watch says.
	Behind []int
}

// A Point is one rate that was tried.
type Point struct {
	Rate      float64 `json:"rate"`
	Sustained float64 `json:"sustained"`
	P50       float64 `json:"p50_ms"` // of a mail, from when it was due
	P99       float64 `json:"p99_ms"`
	Accepted  int64   `json:"accepted"`
	Mails     int     `json:"mails"`
	// CPU of the server for a mail, that of the database behind it if there is one, and
	// the share of the machine that others took.
	ServerCPU   float64 `json:"server_cpu_ms"`
	DatabaseCPU float64 `json:"database_cpu_ms,omitempty"`
	Others      float64 `json:"others"`
	Why         string  `json:"why,omitempty"` // it was too much; empty: it was not
}

// A Curve is what a Search came to.
type Curve struct {
	Highest float64 `json:"highest"` // zero: no rate was sustained
	Points  []Point `json:"points"`  // from the lowest rate on
}

// lowest is where a search downwards ends.
const lowest = 1

// Run doubles the rate until it is too much, or halves it until it is not, and then
// halves what is between.
func (s Search) Run(ctx context.Context) (*Curve, error) {
	if s.From < lowest || s.Step <= 0 || s.P99 <= 0 || s.Precision <= 0 {
		return new(Curve), fmt.Errorf("mission: a search begins at %d mail/s or more, with a step, a limit and a precision", lowest)
	}
	s.Probe, s.Unread, s.Duration = 0, true, s.Step
	// Mail that has waited longer is too late in any case.
	s.Overtime = 2 * s.P99
	c := &Curve{}
	err := search(s.From, s.Precision, func(rate float64) (bool, error) {
		p, err := s.try(ctx, rate)
		if err != nil {
			return false, err
		}
		c.Points = append(c.Points, p)
		if p.Why == "" {
			c.Highest = max(c.Highest, rate)
		}
		return p.Why == "", s.rest(ctx)
	})
	slices.SortStableFunc(c.Points, func(a, b Point) int { return int(math.Copysign(1, a.Rate-b.Rate)) })
	return c, err
}

// search calls try with one rate after another, until it knows the highest good one to
// the precision.
func search(from, precision float64, try func(rate float64) (good bool, err error)) error {
	good, bad := 0.0, math.Inf(1)
	for rate := from; rate >= lowest; {
		ok, err := try(rate)
		if err != nil {
			return err
		}
		if ok {
			good = rate
		} else {
			bad = rate
		}
		switch {
		case math.IsInf(bad, 1):
			rate = 2 * good
		case good == 0:
			rate = bad / 2
		case bad <= good*(1+precision):
			return nil
		default:
			rate = (good + bad) / 2
		}
	}
	return nil
}

// try is one step.
func (s Search) try(ctx context.Context, rate float64) (Point, error) {
	t := s.Test
	t.Rate, t.Say = rate, nil
	if len(s.Behind) > 0 {
		t.Watch = func(string) (func(*scenario.Result) (map[string]float64, error), error) { return Behind(s.Behind...) }
	}
	o, err := t.Run(ctx)
	if ctx.Err() != nil {
		return Point{}, ctx.Err()
	}
	if err != nil && o.Accepted == 0 {
		return Point{}, err // there is no such server, rather than too much mail
	}
	took := o.Latency(fromDue)
	p := Point{Rate: rate, Sustained: o.Sustained, P50: took.P50, P99: took.P99, Accepted: o.Accepted, Mails: o.Mails}
	for _, phase := range o.Phases {
		if phase.Scenario == PhaseDeliver {
			p.ServerCPU, p.DatabaseCPU, p.Others = phase.ServerCPU, phase.Figures[CassandraCPU], phase.Others
		}
	}
	var why []string
	if wrong := errors.Join(err, o.Err()); wrong != nil {
		why = append(why, strings.ReplaceAll(wrong.Error(), "\n", "; "))
	}
	if p.P99 >= ms(s.P99) {
		why = append(why, fmt.Sprintf("p99 is %.0f ms", p.P99))
	}
	p.Why = strings.Join(why, "; ")
	s.say("%.1f mails/s: p50 %.1f ms, p99 %.1f ms %s", rate, p.P50, p.P99, p.Why)
	return p, nil
}

// calm is how much CPU in looking an idle server may use.
const (
	looking = 500 * time.Millisecond
	calm    = looking / 10
)

// rest waits until the server has done what it put off.
func (s Search) rest(ctx context.Context) error {
	if !scenario.Pause(ctx, s.Rest) {
		return ctx.Err()
	}
	pids := slices.Concat(s.PIDs, s.Behind)
	last := time.Duration(-1)
	for deadline := time.Now().Add(s.Restful - s.Rest); len(pids) > 0 && time.Now().Before(deadline); {
		u, err := proc.System{}.Tree(pids...)
		if err != nil {
			return fmt.Errorf("wait until the server is idle: %w", err)
		}
		if last >= 0 && u.CPU-last <= calm {
			return nil
		}
		last = u.CPU
		if !scenario.Pause(ctx, looking) {
			return ctx.Err()
		}
	}
	return nil
}

// Err is of a server that sustains nothing.
func (c *Curve) Err() error {
	if c.Highest > 0 {
		return nil
	}
	var why []string
	for _, p := range c.Points {
		why = append(why, fmt.Sprintf("%v mails/s: %s", p.Rate, p.Why))
	}
	return fmt.Errorf("no rate is sustained: %s", strings.Join(why, "; "))
}

// Measurements are the figures of a server, for a table with others beside it.
func (c *Curve) Measurements(server string, round int) []report.Measurement {
	t := table{server: server, round: round, scenario: "highest rate"}
	t.add("mails/s", report.More, c.Highest)
	for _, p := range c.Points {
		if p.Rate != c.Highest {
			continue
		}
		t.add("p50 ms", report.Neither, p.P50)
		t.add("p99 ms", report.Neither, p.P99)
		if p.ServerCPU > 0 { // or there was no process to look at
			t.add("CPU ms a mail, "+both, report.Less, p.ServerCPU+p.DatabaseCPU)
			t.add("server CPU ms a mail", report.Neither, p.ServerCPU)
		}
	}
	return t.rows
}

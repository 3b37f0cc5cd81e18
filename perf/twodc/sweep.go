package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/sweep"
)

// sweepRun varies one thing after another.
type sweepRun struct {
	Names []string `arg:"" optional:"" help:"Which of delay, nodes, size, maildrop, ever and users; all if none is named."`

	Rounds  int             `default:"3" help:"How often each value is measured, there and back."`
	Seconds float64         `default:"15" help:"How long each load lasts at most."`
	Rate    float64         `default:"20" help:"Mails a second where the rate stays the same."`
	Delays  []time.Duration `default:"0s,1ms,10ms,50ms" help:"Delays of the link, one way."`
	Sizes   []float64       `default:"1,4,16,64,256,1024,4096,25600" help:"Sizes of a mail, KiB."`
	Highest bool            `help:"With nodes: look for the highest rate as well, about five minutes for each number of servers."`
	Most    int             `default:"100000" help:"Users, messages of a maildrop, and mails ever delivered to one, up to this many; 1000000 takes an hour more."`
}

// A variation is one sweep.
type variation struct {
	name, what string
	takes      time.Duration // about
	run        func(context.Context, *stage, *sweep.Stage) ([]report.Point, error)
}

const (
	// drops is how many users a stage has for maildrops of all sorts, besides those who
	// come by the thousand.
	drops = 200
	// filling is about how many small mails a second come into one maildrop, and leave it,
	// and how many accounts are made, on two cores for everything: for the plan.
	filling = 150
	making  = 500
	// flushing is about how long it takes all nodes to have everything on their disks.
	flushing = 20 * time.Second
	// rest is about how long it takes them to come to rest, longest how long they are
	// waited for.
	rest    = 5 * time.Second
	longest = 20 * time.Second
	// overtime is how many times as long as planned a sweep may take, and leeway how much
	// longer a short one.
	overtime = 3
	leeway   = 5 * time.Minute
	// warmRate is how many mails a second everything is warmed up with, at least.
	warmRate = 100
)

func (r *sweepRun) Validate() error {
	if r.Rounds < 1 || r.Seconds <= 0 || r.Rate <= 0 {
		return errors.New("a sweep needs rounds, seconds and a rate")
	}
	_, err := r.choose(settings{})
	return err
}

// variations are all sweeps, in the order in which they are measured.
func (r *sweepRun) variations(s settings) []variation {
	load := time.Duration(r.Seconds * float64(time.Second))
	// each is what so many values take, in loads and what is behind a load.
	each := func(values, loads int) time.Duration {
		return time.Duration(r.Rounds*values*loads) * (load + rest)
	}
	of := func(count, rate int) time.Duration { return time.Duration(count/rate) * time.Second }
	servers := upTo([]int{1, 2, 4, 8}, 2*s.Servers)
	messages := upTo([]int{10, 100, 1000, 10_000, 100_000}, r.Most)
	ever := upTo([]int{10, 1000, 100_000, 1_000_000}, r.Most)
	users := upTo([]int{80, 1000, 10_000, 100_000}, r.Most)
	counts := variation{
		name: "nodes", what: fmt.Sprintf("%v/s through %s servers over the same cluster", r.Rate, list(servers)), takes: each(len(servers), 2),
		run: func(ctx context.Context, _ *stage, w *sweep.Stage) ([]report.Point, error) {
			return w.ServerCounts(ctx, r.find(), servers...)
		},
	}
	if r.Highest {
		counts.what += ", and the highest rate"
		counts.takes += time.Duration(len(servers)) * 5 * time.Minute
	}
	return []variation{
		{
			name: "delay", what: fmt.Sprintf("%v/s, then STAT, RETR, DELE and QUIT, then the lag, over a link of %s", r.Rate, list(r.Delays)), takes: each(len(r.Delays), 4),
			run: func(ctx context.Context, st *stage, w *sweep.Stage) ([]report.Point, error) {
				points, err := w.Delays(ctx, st.setDelay, r.Delays...)
				return points, errors.Join(err, st.setDelay(context.WithoutCancel(ctx), s.Delay))
			},
		},
		counts,
		{
			name: "size", what: fmt.Sprintf("delivery, RETR and what is stored, of mails of %s KiB", list(r.Sizes)), takes: each(len(r.Sizes), 2) + time.Duration(2*len(r.Sizes))*flushing,
			run: func(ctx context.Context, st *stage, w *sweep.Stage) ([]report.Point, error) {
				return st.uncompacted(ctx, func() ([]report.Point, error) { return first(w).Sizes(ctx, r.Sizes...) })
			},
		},
		{
			name: "maildrop", what: fmt.Sprintf("login to maildrops of %s messages", list(messages)), takes: each(len(messages), 1) + 2*of(sum(messages), filling),
			run: func(ctx context.Context, _ *stage, w *sweep.Stage) ([]report.Point, error) {
				return first(w).Maildrops(ctx, messages...)
			},
		},
		{
			name: "ever", what: fmt.Sprintf("login to maildrops that have had %s messages, and delivery to them", list(ever)), takes: each(len(ever), 2) + 2*of(sum(ever), filling),
			run: func(ctx context.Context, _ *stage, w *sweep.Stage) ([]report.Point, error) {
				return first(w).Ever(ctx, ever...)
			},
		},
		{
			name: "users", what: fmt.Sprintf("delivery and login with %s users", list(users)), takes: each(len(users), 3) + of(users[len(users)-1], making),
			run: func(ctx context.Context, st *stage, w *sweep.Stage) ([]report.Point, error) {
				return first(w).Population(ctx, st.makeUsers, users...)
			},
		},
	}
}

// first is a stage whose clients go to its first server alone, and whose points say so.
func first(w *sweep.Stage) *sweep.Stage {
	one := *w
	one.Mark.At = maps.Clone(w.Mark.At)
	one.Mark.At[sweep.Servers] = 1
	return &one
}

func (r *sweepRun) find() *sweep.Find {
	if !r.Highest {
		return nil
	}
	return &sweep.Find{Step: 20 * time.Second, Restful: longest, Precision: 0.1}
}

// choose has the sweeps that are named.
func (r *sweepRun) choose(s settings) ([]variation, error) {
	all := r.variations(s)
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	for _, name := range r.Names {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no sweep %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(v variation) bool { return len(r.Names) > 0 && !slices.Contains(r.Names, v.name) }), nil
}

func (r *sweepRun) Run(ctx context.Context, s *settings, out io.Writer) error {
	all, err := r.choose(*s)
	if err != nil {
		return err
	}
	steps := s.warming(max(r.Rate, warmRate))
	whole := s.Warm
	for _, v := range all {
		steps = append(steps, fmt.Sprintf("%s: %s; about %v", v.name, v.what, v.takes.Round(time.Minute)))
		whole += v.takes
	}
	steps = append(steps, fmt.Sprintf("%d rounds, loads of %v s: about %v in all; none is given more than %d times as long and %v", r.Rounds, r.Seconds, whole.Round(time.Minute), overtime, leeway))
	roomy := *s
	roomy.Users = max(s.Users, drops)
	return roomy.play(ctx, out, steps, func(ctx context.Context, st *stage) error { return r.on(ctx, st, all) })
}

// on measures sweeps on a stage.
func (r *sweepRun) on(ctx context.Context, st *stage, chosen []variation) error {
	w := r.measured(st)
	warm := w.Mission()
	warm.Rate = max(warm.Rate, warmRate)
	if err := st.warm(ctx, warm); err != nil {
		return err
	}
	err := r.all(ctx, st, w, chosen)
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, st.noPaxos(ctx))
}

// all measures one sweep after the other, and says in the end which targets they meet. One
// that fails, or is ended, leaves the points that it has.
func (r *sweepRun) all(ctx context.Context, st *stage, w *sweep.Stage, chosen []variation) error {
	var points []report.Point
	var errs []error
	for _, v := range chosen {
		if ctx.Err() != nil {
			break
		}
		st.say("%s: %s", v.name, v.what)
		mine, err := r.one(ctx, st, w, v)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
			st.say("%s: %v", v.name, err)
		}
		if err := errors.Join(report.Append(st.JSON, mine...), sweep.Table(st.out, mine)); err != nil {
			return errors.Join(append(errs, err)...)
		}
		points = append(points, mine...)
	}
	for _, verdict := range sweep.Judge(points) {
		st.say("%s", verdict)
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// one is one sweep, which ends in time.
func (r *sweepRun) one(ctx context.Context, st *stage, w *sweep.Stage, v variation) ([]report.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, overtime*v.takes+leeway)
	defer cancel()
	return v.run(ctx, st, w)
}

// measured is the stage as sweeps see it.
func (r *sweepRun) measured(st *stage) *sweep.Stage {
	t := st.targets()
	pids := append([]int{st.cassandraPID()}, st.serverPIDs()...)
	calm := time.Duration(len(st.rig.Nodes)+len(st.servers)) * 15 * time.Millisecond // of housekeeping
	return &sweep.Stage{
		SMTP: t[0].SMTP, POP3: t[0].POP3, Targets: t,
		Restante: st.serverPIDs(), Cassandra: []int{st.cassandraPID()},
		Stored: st.stored, Link: st.carried, Statements: func(ctx context.Context) (float64, error) {
			sent, err := st.stated(ctx)
			return sent.all, err
		},
		Settle:  sweep.Quiet(calm, longest, pids...),
		Pattern: peer.Pattern, Password: peer.Password, Users: st.Users, Sender: peer.Sender,
		Rounds: r.Rounds, Seconds: r.Seconds, Rate: r.Rate,
		Mark: report.Point{
			At:   map[string]float64{sweep.Copies: float64(st.copies()), sweep.Delay: milliseconds(st.Delay), sweep.Servers: float64(len(t))},
			Date: time.Now().Format(time.DateOnly), Machine: report.Machine(), Command: report.Command(),
			Version: st.version(),
		},
		Say: st.say,
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// upTo are those of the values, in order, that are no more than most, and the first at any
// rate.
func upTo(values []int, most int) []int {
	n := 1
	for n < len(values) && values[n] <= most {
		n++
	}
	return values[:n]
}

func sum(values []int) (all int) {
	for _, v := range values {
		all += v
	}
	return all
}

// list has values in words.
func list[T any](values []T) string {
	var words []string
	for _, v := range values {
		switch v := any(v).(type) {
		case int:
			words = append(words, report.Short(float64(v)))
		case float64:
			words = append(words, report.Short(v))
		default:
			words = append(words, fmt.Sprint(v))
		}
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

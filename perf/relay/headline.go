package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"restante/perf/scenario"
)

// headline is the trial of a service that dies.
type headline struct {
	settings `embed:""`

	Rate   float64       `default:"100" help:"Mails a second."`
	Octets int           `default:"2048" help:"Octets of a body."`
	Slow   time.Duration `default:"50ms" help:"How long the fakes take for a mail, so that some are under way when the service dies."`
	Kills  int           `default:"1" help:"How often the service is killed."`
	Before time.Duration `default:"30s" help:"How long both are up at first."`
	Dead   time.Duration `default:"30s" help:"How long the killed one stays away."`
	After  time.Duration `default:"45s" help:"How long both are up then, before the next kill or the end. Its share is looked at where that is longer than the 30 s in which it grows."`
	Retry  bool          `help:"In the end, try at once what is held because nobody knows whether it arrived, as an operator may. Otherwise the five minutes are waited for that such mail is held."`
}

// What is promised.
const (
	atATime       = 16                      // mails that an agent hands over: so many may arrive twice when it dies
	outAtMost     = 4500 * time.Millisecond // after its death
	backAtMost    = 3 * time.Second         // after its first beat
	arrivedAtMost = 5 * time.Second         // of 99 % of mails, whatever happens
	slowStart     = 30 * time.Second
	evenly        = 0.08 // how far a share may be from a half
	// heldAtMost is how long it takes until mail has arrived whose fate was not known: it
	// is held for five minutes, and may then meet the same once more.
	heldAtMost = 7 * time.Minute
)

func (h *headline) Run(ctx context.Context, out io.Writer) error {
	return h.play(ctx, out, plan{agents: true}, h.trial)
}

func (h *headline) trial(ctx context.Context, s *stage) (*verdict, error) {
	for _, f := range s.fakes {
		slow := setting{Mode: "slow:" + h.Slow.String()}
		if h.Slow <= 0 {
			slow = works
		}
		if err := f.do(ctx, slow); err != nil {
			return nil, err
		}
	}
	l := newLedger(rand.Uint64())
	w := startWatch(ctx, s.nodes)
	defer w.stop()
	v := &verdict{name: fmt.Sprintf("headline, %s mails/s, %d kills", number(h.Rate), h.Kills)}

	began := time.Now()
	mails := traffic{nodes: s.nodes, ledger: l, rate: h.Rate, octets: h.Octets}.start(ctx, h.Before+time.Duration(h.Kills)*(h.Dead+h.After))
	defer mails.end()

	last := window{began, began.Add(h.Before)}
	both := []window{last}
	var lives []life
	for range h.Kills {
		if !scenario.Pause(ctx, time.Until(last.to)) {
			return nil, ctx.Err()
		}
		dies, err := s.lifeOf(ctx, s.agents[0], h.Dead)
		if err != nil {
			return nil, err
		}
		last = window{dies.started, dies.started.Add(h.After)}
		both, lives = append(both, last), append(lives, dies)
	}
	if err := mails.wait(); err != nil {
		s.say("some mail was not taken: %v", err)
	}
	s.say("all is submitted")
	w.stop()
	if err := s.drained(ctx, l, heldAtMost, h.Retry, s.nodes...); err != nil {
		s.say("%v; missing: %q", err, l.missing())
	}

	v.arrived(l)
	v.copies(l, h.Kills*atATime)
	for i, each := range both {
		h.evenly(v, l, i, each)
	}
	for i, each := range lives {
		v.life(w, s, i+1, each)
		part := v.part(fmt.Sprintf("kill %d and 10 s after", i+1), l, window{each.killed.Add(-time.Second), each.killed.Add(10 * time.Second)})
		v.atMost(fmt.Sprintf("kill %d: 99 %% have arrived after, ms", i+1), ms(part.arrivals.Quantile(0.99)), ms(arrivedAtMost))
	}
	whole := v.part("all", l, window{began, time.Now()})
	v.atMost("99 % have arrived after, ms", ms(whole.arrivals.Quantile(0.99)), ms(arrivedAtMost))
	return v, nil
}

// evenly looks at the shares in a time with both services. The one that has come back is
// given its whole share after a while.
func (h *headline) evenly(v *verdict, l *ledger, kill int, w window) {
	what := "share of a before the first kill"
	if kill > 0 {
		what = fmt.Sprintf("share of a when it is back after kill %d", kill)
		w.from = w.from.Add(slowStart + backAtMost)
	}
	if !w.from.Before(w.to) {
		return
	}
	n := l.shares(w)
	v.within(what, float64(n["a"])/float64(max(n["a"]+n["b"], 1)), 0.5-evenly, 0.5+evenly)
}

// A life of a service that ended and began again.
type life struct {
	service         string
	killed, started time.Time
}

// lifeOf kills a service, and starts it after a while.
func (s *stage) lifeOf(ctx context.Context, a *agent, away time.Duration) (life, error) {
	killed, err := s.kill(a)
	if err != nil {
		return life{}, err
	}
	s.say("%s is killed", a.name)
	if !scenario.Pause(ctx, away) {
		return life{}, ctx.Err()
	}
	started := time.Now()
	if err := s.start(a); err != nil {
		return life{}, err
	}
	s.say("%s is started", a.name)
	return life{a.name, killed, started}, nil
}

// life holds what every node said of a service against when it died and came back.
func (v *verdict) life(w *watch, s *stage, kill int, of life) {
	for _, n := range s.nodes {
		what := func(text string) string { return fmt.Sprintf("kill %d: node %s %s, ms", kill, n.name, text) }
		out := w.out(n.name, of.service, window{of.killed, of.started})
		v.atMost(what("gives it no more mail after"), ms(out.Sub(of.killed)), ms(outAtMost))
		beat, back := w.back(n.name, of.service, of.started)
		v.atMost(what("has it up, after its first beat"), ms(back.Sub(beat)), ms(backAtMost))
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

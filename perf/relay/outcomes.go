package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"restante/perf/scenario"
)

// outcomes is the trial of answers that are not 250.
type outcomes struct {
	settings `embed:""`

	Only   string  `help:"Only those whose name this regular expression matches." placeholder:"REGEXP"`
	Rate   float64 `default:"40" help:"Mails a second."`
	Octets int     `default:"2048" help:"Octets of a body."`
}

// A rehearsal is one failure, from when both services work until they do again.
type rehearsal struct {
	name string
	play func(*outcomes, context.Context, *stage, *verdict) error
}

var rehearsals = []rehearsal{
	{"account fault", (*outcomes).accountFault},
	{"throttle", (*outcomes).throttle},
	{"refusal", (*outcomes).refusal},
	{"reset after taking", (*outcomes).reset},
	{"no answer after taking", (*outcomes).hang},
}

func (o *outcomes) Run(ctx context.Context, out io.Writer) error {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	return o.play(ctx, out, plan{}, func(ctx context.Context, s *stage) (*verdict, error) {
		v := &verdict{name: "outcomes"}
		for _, r := range rehearsals {
			if !only.MatchString(r.name) {
				continue
			}
			s.say("%s", r.name)
			v.about = r.name + ": "
			if err := r.play(o, ctx, s, v); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if err := s.recover(ctx); err != nil {
				return nil, err
			}
		}
		if len(v.checks) == 0 {
			return nil, fmt.Errorf("--only %s: there is no such failure", o.Only)
		}
		return v, nil
	})
}

// recover has both services work again.
func (s *stage) recover(ctx context.Context) error {
	for _, f := range s.fakes {
		if err := f.do(ctx, works); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := s.nodes[0].post(ctx, "/v1/services/"+name+"/reset"); err != nil {
			return err
		}
	}
	return s.await(ctx, "both services are up again", func() (bool, error) { return s.all(ctx, "up") })
}

// some submits mail for so long while service a does as it is set.
func (o *outcomes) some(ctx context.Context, s *stage, set setting, length time.Duration) (*ledger, window, error) {
	if err := s.fakes[0].do(ctx, set); err != nil {
		return nil, window{}, err
	}
	l, began := newLedger(rand.Uint64()), time.Now()
	err := traffic{nodes: s.nodes, ledger: l, rate: o.Rate, octets: o.Octets}.run(ctx, length, 0)
	return l, window{began, time.Now()}, err
}

// accountFault: what is wrong with our account is no fault of the mail.
func (o *outcomes) accountFault(ctx context.Context, s *stage, v *verdict) error {
	before, err := s.bounces(ctx)
	if err != nil {
		return err
	}
	l, w, err := o.some(ctx, s, setting{Mode: "authfail", At: "MAIL"}, 10*time.Second)
	if err != nil {
		return err
	}
	misconfigured := 0
	for _, n := range s.nodes {
		services, err := n.services(ctx)
		if err != nil {
			return err
		}
		for _, one := range services {
			misconfigured += count(one.Document.Name == "a" && one.State == "misconfigured")
		}
	}
	if err := s.drained(ctx, l, patience, false, s.nodes...); err != nil {
		s.say("%v", err)
	}
	bounces, err := s.bounces(ctx)
	if err != nil {
		return err
	}
	v.arrived(l)
	v.copies(l, 0)
	v.exactly("nodes that call the service misconfigured", misconfigured, len(s.nodes))
	v.exactly("mails that the service took", l.shares(window{w.from, time.Now()})["a"], 0)
	v.exactly("notifications to senders", len(bounces)-len(before), 0)
	v.part("all", l, w)
	return nil
}

// throttle: a service is given what it may be, and the other one the rest.
func (o *outcomes) throttle(ctx context.Context, s *stage, v *verdict) error {
	const perSecond, length = 5.0, 20 * time.Second
	limit := func(perSecond float64) error {
		err := s.nodes[0].patch(ctx, "/v1/services/a", map[string]any{"limits": map[string]float64{"rate_per_s": perSecond, "burst": perSecond}})
		if err != nil {
			return err
		}
		return s.await(ctx, "every node knows the limit", func() (bool, error) { return s.limited(ctx, "a", perSecond) })
	}
	before, err := s.fakes[0].stats(ctx)
	if err != nil {
		return err
	}
	if err := limit(perSecond); err != nil {
		return err
	}
	l, w, err := o.some(ctx, s, setting{Mode: "ok", Rate: perSecond}, length)
	if err != nil {
		return err
	}
	after, err := s.fakes[0].stats(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(limit(0), s.drained(ctx, l, patience, false, s.nodes...)); err != nil {
		s.say("%v", err)
	}
	v.arrived(l)
	v.copies(l, 0)
	given := float64(after.Accepted - before.Accepted)
	over := float64(after.Throttled - before.Throttled)
	v.atMost("mails it turned away, % of those it took", 100*over/max(given, 1), 5)
	v.atLeast("mails a second that it took", given/w.to.Sub(w.from).Seconds(), 0.7*perSecond)
	part := v.part("all", l, w)
	v.atMost("99 % have arrived after, ms", ms(part.arrivals.Quantile(0.99)), ms(arrivedAtMost))
	return nil
}

// limited reports whether every node keeps a service to a rate. What one is told, the
// others read from the store a second later.
func (s *stage) limited(ctx context.Context, name string, perSecond float64) (bool, error) {
	for _, n := range s.nodes {
		services, err := n.services(ctx)
		if err != nil {
			return false, err
		}
		for _, one := range services {
			if one.Document.Name == name && one.Document.Limits.PerSecond != perSecond {
				return false, nil
			}
		}
	}
	return true, nil
}

// refusal: a recipient that does not exist is told of once, and then not tried any more.
func (o *outcomes) refusal(ctx context.Context, s *stage, v *verdict) error {
	nobody := fmt.Sprintf("nobody-%x@elsewhere.example", rand.Uint32())
	for _, f := range s.fakes {
		if err := f.do(ctx, setting{Mode: "status:550 5.1.1 no such user here", Recipient: nobody}); err != nil {
			return err
		}
	}
	before, err := s.bounces(ctx)
	if err != nil {
		return err
	}
	for _, times := range []int{1, 2} {
		l := newLedger(rand.Uint64())
		if err := (traffic{nodes: s.nodes[:1], ledger: l, rate: 1, octets: o.Octets, to: nobody, submitters: 1}).run(ctx, 0, 1); err != nil {
			return err
		}
		var bounces []bounce
		err := s.await(ctx, "the sender is told", func() (bool, error) {
			var err error
			bounces, err = s.bounces(ctx)
			return len(bounces)-len(before) >= times, err
		})
		if err != nil {
			s.say("%v", err)
		}
		// A second notification would not be long in coming.
		scenario.Pause(ctx, time.Second)
		if bounces, err = s.bounces(ctx); err != nil {
			return err
		}
		about, tried := 0, 0
		for _, b := range bounces {
			if b.finalRecipient == nobody && b.action == "failed" && strings.HasPrefix(b.status, "5.1.1") {
				about++
				tried += count(b.lastAttempt != "")
			}
		}
		what := []string{"one mail", "another one"}[times-1]
		v.exactly("notifications after "+what, len(bounces)-len(before), times)
		v.exactly("of which are about the recipient, after "+what, about, times)
		v.exactly("of which tell of an attempt, after "+what, tried, 1)
	}
	return nil
}

// reset: nobody knows what became of a mail. It is held, and tried again.
func (o *outcomes) reset(ctx context.Context, s *stage, v *verdict) error {
	l, w, err := o.some(ctx, s, setting{Mode: "reset-after-accept"}, 5*time.Second)
	if err != nil {
		return err
	}
	if err := s.fakes[0].do(ctx, works); err != nil {
		return err
	}
	return o.unsure(ctx, s, v, l, w, true)
}

// hang is the same, but that the time of the answer has to run out first, and that nobody
// has the held mail tried before its time.
func (o *outcomes) hang(ctx context.Context, s *stage, v *verdict) error {
	l, w, err := o.some(ctx, s, setting{Mode: "hang-after-accept"}, 30*time.Second)
	if err != nil {
		return err
	}
	if err := s.fakes[0].do(ctx, works); err != nil {
		return err
	}
	return o.unsure(ctx, s, v, l, w, false)
}

// hangs is how long an answer is waited for (RFC 5321, section 4.5.3.2.6, asks for ten
// minutes, which is more patience than mail has that somebody waits for).
const hangs = 2 * time.Minute

func (o *outcomes) unsure(ctx context.Context, s *stage, v *verdict, l *ledger, w window, retry bool) error {
	if err := s.drained(ctx, l, hangs+heldAtMost, retry, s.nodes...); err != nil {
		s.say("%v; missing: %q", err, l.missing())
	}
	n := l.counts()
	v.arrived(l)
	v.atLeast("mails whose fate was not known", float64(n.copies), 1)
	v.atMost("arrivals of a mail", float64(n.most), 2)
	v.part("all", l, w)
	return nil
}

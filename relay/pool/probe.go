package pool

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/relay"
)

const (
	probeEvery   = 15 * time.Second // where all is well
	probeAgain   = 2 * time.Second  // where it is not, and where no service is up at all
	probeTimeout = 10 * time.Second
	probesAtOnce = 16
	probeFall    = 3 // failures in a row that bring down
	probeRise    = 2 // successes in a row that bring up
)

// probes are what was found out by asking.
type probes struct {
	good, bad int // in a row
	known     bool
	up        bool
	text      string // of the last failure

	running bool
	asked   bool      // by the operator
	last    time.Time // when it began
}

func (r *probes) judge() (State, string) {
	switch {
	case !r.known:
		return Probing, "was not probed often enough"
	case !r.up:
		return Down, "probes fail: " + r.text
	case r.bad > 0:
		return Suspect, "a probe failed: " + r.text
	}
	return Up, ""
}

func (r *probes) end(success bool, text string) {
	if success {
		r.good, r.bad = min(r.good+1, probeRise), 0
		if r.good == probeRise {
			r.known, r.up = true, true
		}
		return
	}
	r.good, r.bad, r.text = 0, min(r.bad+1, probeFall), text
	if r.bad == probeFall {
		r.known, r.up = true, false
	}
}

// dueProbe reports whether to probe now. An account that is broken is left alone: one that
// is tried again and again may be locked.
func (s *service) dueProbe(now time.Time) bool {
	p := s.pool
	if s.link == nil || s.probes.running || s.state == Misconfigured || s.state == Maintenance {
		return false
	}
	alarm := p.state == Down
	every := probeEvery
	switch s.state {
	case Suspect, Trial, Probing, Down:
		every = probeAgain
	}
	if s.state == Suspect && s.strangers.row >= suspectRow && s.probes.bad == 0 {
		every = probeEvery // they would not show it
	}
	if alarm {
		every = probeAgain
	}
	if !s.static && !(alarm && s.breaker.phase(now) == open) {
		return s.probes.asked
	}
	return s.probes.asked || s.probes.last.IsZero() || now.Sub(s.probes.last) >= every
}

// probeAll probes what is due, until the context ends.
func (p *Pool) probeAll(ctx context.Context) {
	var running errgroup.Group
	running.SetLimit(probesAtOnce)
	defer func() { _ = running.Wait() }() // they do not fail
	for {
		select {
		case <-p.kick:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		now := time.Now()
		for _, s := range p.services {
			if !s.dueProbe(now) {
				continue
			}
			l := s.link
			if !running.TryGo(func() error { p.probe(ctx, s, l); return nil }) {
				break // the next scan comes back to it
			}
			s.probes.running, s.probes.asked, s.probes.last = true, false, now
			l.users++
		}
		p.mu.Unlock()
	}
}

func (p *Pool) probe(ctx context.Context, s *service, l *link) {
	call, cancel := context.WithTimeout(ctx, probeTimeout)
	outcome := l.provider.Probe(call)
	cancel()
	limits := l.provider.Limits()
	p.mu.Lock()
	now := time.Now()
	s.probes.running = false
	if s.link == l && !errors.Is(ctx.Err(), context.Canceled) {
		s.learn(limits)
		s.probed(outcome, now)
		p.review(s, now)
		p.metrics.probes.WithLabelValues(s.name, outcome.Result.String()).Inc()
	}
	last := l.leave()
	p.mu.Unlock()
	if last {
		p.closeAll([]*link{l})
	}
}

// probed draws the consequences of a probe.
func (s *service) probed(o relay.Outcome, now time.Time) {
	switch o.Result {
	case relay.Success:
		s.probes.end(true, "")
		if s.pool.state == Down {
			s.breaker.offer(now) // there is nobody better to ask
		}
	case relay.Throttled:
		s.quota.throttle(now, o.Until)
	case relay.AccountFault:
		s.misconfigured = "probe: account fault: " + o.Text
	default:
		s.probes.end(false, o.Text)
	}
}

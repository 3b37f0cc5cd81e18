package pool

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/schedule"
)

// Pick chooses a service for a mail; see [relay.Pool]. A service that rests is not up. The
// one that is preferred is chosen if it can be.
func (p *Pool) Pick(w relay.Want) (relay.Picked, error) {
	now := time.Now()
	fits := func(t *schedule.Target) bool {
		s := t.Value().(*service)
		return s.suits(&w) && s.hasRoom(now) && !slices.Contains(w.Tried, s.name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.services[w.Prefer]; s != nil && s.inserted && fits(s.target) {
		return p.take(s, w.Recipients, now), nil
	}
	if t := p.scheduler(w.Domain).Pick(w.Domain, fits); t != nil {
		return p.take(t.Value().(*service), w.Recipients, now), nil
	}
	p.awaited = true
	return nil, p.why(&w, now)
}

// Changed is closed when one of the failures of Pick may have passed. Whoever waits takes
// it before he picks, or he may miss a change.
func (p *Pool) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// announce closes Changed. The caller holds the lock.
func (p *Pool) announce() {
	if p.awaited {
		p.awaited = false
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// announceIn does so later, unless it will be done sooner. The caller holds the lock.
func (p *Pool) announceIn(d time.Duration, now time.Time) {
	at := now.Add(d)
	if p.wake != nil && (!at.Before(p.wakeAt) || !p.wake.Stop()) {
		return
	}
	p.wakeAt = at
	p.wake = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.wake = nil
		p.announce()
	})
}

func (p *Pool) scheduler(domain string) schedule.Scheduler {
	if s := p.byDomain[domain]; s != nil {
		return s
	}
	return p.fallback
}

// why says why no service could be picked. The caller holds the lock.
func (p *Pool) why(w *relay.Want, now time.Time) error {
	var up, fit, untried, resting bool
	soonest := time.Duration(0) // until a rate allows a mail
	for _, s := range p.services {
		tried := slices.Contains(w.Tried, s.name)
		if !s.inserted {
			resting = resting || s.returns() && !tried && s.suits(w)
			continue
		}
		if !s.carries(w.Domain) {
			continue
		}
		up = true
		if !s.suits(w) {
			continue
		}
		fit = true
		if tried {
			continue
		}
		untried = true
		if wait := s.quota.wait(s.share(), now); wait > 0 && (soonest == 0 || wait < soonest) {
			soonest = wait
		}
	}
	switch {
	case !up:
		return relay.ErrNoService
	case !untried && resting:
		return relay.ErrResting
	case !fit:
		return relay.ErrUnfit
	case !untried:
		return relay.ErrTried
	}
	if soonest > 0 {
		p.announceIn(soonest, now)
	}
	return relay.ErrBusy
}

// returns reports whether a service that is not up is expected to be: one that the
// operator has taken out is not. For an account that is broken no mail fails.
func (s *service) returns() bool { return s.state < Draining }

// take keeps room for a mail. The caller holds the lock.
func (p *Pool) take(s *service, recipients int, now time.Time) *picked {
	k := &picked{pool: p, service: s, link: s.link, recipients: max(1, recipients), trial: s.state == Trial}
	s.target.Begin()
	s.link.users++
	s.quota.take(s.share(), now, k.recipients)
	if k.trial {
		s.breaker.trial = true
	}
	return k
}

// picked is room at a service.
type picked struct {
	pool       *Pool
	service    *service
	link       *link
	recipients int
	trial      bool
	done       atomic.Bool
}

func (k *picked) Name() string { return k.service.name }

// Release gives the room back unused. After Send it does nothing.
func (k *picked) Release() {
	if !k.done.CompareAndSwap(false, true) {
		return
	}
	k.end(func(s *service, now time.Time) {
		s.quota.giveBack(now, k.recipients)
		s.breaker.trial = s.breaker.trial && !k.trial
		s.target.End(0)
	})
}

// Send hands the mail over and takes note of what came of it.
func (k *picked) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	if !k.done.CompareAndSwap(false, true) {
		panic("pool: the room was given back before Send")
	}
	var ours atomic.Bool // it failed on this side, which says nothing about the service
	open, commit := m.Open, m.Commit
	m.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := open(ctx)
		if err != nil {
			ours.Store(true)
			return nil, err
		}
		return content{r, func() { ours.Store(true) }}, nil
	}
	m.Commit = func() error {
		err := commit()
		if err != nil {
			ours.Store(true)
		}
		return err
	}
	began := time.Now()
	outcomes := k.link.provider.Send(ctx, m)
	took := time.Since(began)
	limits := k.link.provider.Limits()
	v := verdictOf(outcomes)
	if ours.Load() || errors.Is(ctx.Err(), context.Canceled) {
		v.failed = false
	}
	k.end(func(s *service, now time.Time) {
		if k.pool.services[s.name] == s { // or what is counted would never be forgotten
			k.pool.metrics.sent(s.name, outcomes, took)
		}
		if s.link == k.link {
			s.learn(limits)
		}
		for _, o := range outcomes {
			s.results[o.Result]++
		}
		s.minute.add(now, 0, int64(len(outcomes)))
		if !v.succeeded {
			took = 0
		} else {
			s.took.add(took)
		}
		s.target.End(took)
		s.heed(v, m.Submission.Account, now, k.trial)
	})
	return outcomes
}

// heed draws the consequences of what came of a mail of an account of ours.
func (s *service) heed(v verdict, account mailbox.Address, now time.Time, trial bool) {
	if v.stranger != "" {
		if s.strangers.meet(account, v.stranger) && s.breaker.phase(now) == closed {
			s.breaker.open(now)
		}
		v.failed = v.failed || trial
	}
	switch {
	case v.succeeded:
		s.strangers = strangers{}
		s.quota.success(now)
		s.breaker.end(now, false, trial)
	case v.failed && (v.away || !s.document.Destinations):
		s.breaker.end(now, true, trial)
	case v.failed: // a destination did; the service itself has answered
		s.breaker.end(now, false, trial)
	case trial:
		s.breaker.trial = false // nothing was learnt
	}
	if v.throttled {
		s.quota.throttle(now, v.until)
	}
	if v.account != "" {
		s.misconfigured = v.account
	}
}

// end gives the room back, and closes a provider that was replaced.
func (k *picked) end(what func(s *service, now time.Time)) {
	p := k.pool
	p.mu.Lock()
	now := time.Now()
	what(k.service, now)
	if p.services[k.service.name] == k.service {
		p.review(k.service, now)
		p.announce()
	}
	last := k.link.leave()
	p.mu.Unlock()
	if last {
		p.closeAll([]*link{k.link})
	}
}

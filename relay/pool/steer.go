package pool

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"restante/mailbox"
)

// Steering is what the operator said about a service. It outlasts registrations, and goes
// over what the service says of itself; what is nil was not said.
type Steering struct {
	Admin    string    `json:"admin,omitempty"` // empty, draining or maintenance
	Weight   *float64  `json:"weight,omitempty"`
	Priority *int      `json:"priority,omitempty"`
	Senders  *[]string `json:"senders,omitempty"`
	Tags     *[]string `json:"tags,omitempty"`
	Limits   *Limits   `json:"limits,omitempty"` // beside those of the service
	Resets   int       `json:"resets,omitempty"` // how often it was reset
}

const draining, maintenance = "draining", "maintenance"

// over is a document as the operator changed it.
func (s Steering) over(d Document) Document {
	d.Weight = *cmp.Or(s.Weight, &d.Weight)
	d.Priority = *cmp.Or(s.Priority, &d.Priority)
	d.Senders = *cmp.Or(s.Senders, &d.Senders)
	d.Tags = *cmp.Or(s.Tags, &d.Tags)
	if s.Limits != nil {
		d.Limits = d.Limits.with(*s.Limits)
	}
	return d
}

func (s Steering) judge() (State, string) {
	switch s.Admin {
	case draining:
		return Draining, "by the operator"
	case maintenance:
		return Maintenance, "by the operator"
	}
	return Up, ""
}

// A Patch changes what the operator says about a service; what is nil stays.
type Patch struct {
	Weight      *float64  `json:"weight,omitempty"`
	Priority    *int      `json:"priority,omitempty"`
	Senders     *[]string `json:"senders,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`
	Limits      *Limits   `json:"limits,omitempty"`
	Maintenance *bool     `json:"maintenance,omitempty"`
}

// Patch changes a service for all processes on the store, if its revision still is the one
// of a [Status]; -1 is any. It fails with mailbox.ErrNotFound, ErrRevision, ErrInvalid or
// mailbox.ErrUnavailable.
func (p *Pool) Patch(ctx context.Context, name string, revision int64, c Patch) (Status, error) {
	return p.steer(ctx, name, func(k *service, s *Steering) error {
		if revision != -1 && revision != k.version {
			return ErrRevision
		}
		s.Weight = cmp.Or(c.Weight, s.Weight)
		s.Priority = cmp.Or(c.Priority, s.Priority)
		s.Senders = cmp.Or(c.Senders, s.Senders)
		s.Tags = cmp.Or(c.Tags, s.Tags)
		s.Limits = cmp.Or(c.Limits, s.Limits)
		if c.Maintenance != nil {
			s.Admin = ""
			if *c.Maintenance {
				s.Admin = maintenance
			}
		}
		if s.Limits != nil && !s.Limits.valid() {
			return fmt.Errorf("%w: limits: want no negative number", ErrInvalid)
		}
		d, err := s.over(k.registered).checked()
		if c.Senders != nil && err == nil {
			s.Senders = &d.Senders // in canonical form
		}
		return err
	})
}

// Drain lets a service finish what it has and gives it no more, in all processes on the
// store, until Resume. Both fail as Patch does.
func (p *Pool) Drain(ctx context.Context, name string) (Status, error) {
	return p.steer(ctx, name, func(_ *service, s *Steering) error { s.Admin = draining; return nil })
}

// Resume undoes Drain, and maintenance.
func (p *Pool) Resume(ctx context.Context, name string) (Status, error) {
	return p.steer(ctx, name, func(_ *service, s *Steering) error { s.Admin = ""; return nil })
}

// Reset forgets, in all processes on the store, that an account is broken, that mail
// failed and that the service asked for rest. It fails as Patch does.
func (p *Pool) Reset(ctx context.Context, name string) (Status, error) {
	return p.steer(ctx, name, func(_ *service, s *Steering) error { s.Resets++; return nil })
}

func (s *service) reset() {
	s.misconfigured, s.strangers = "", strangers{}
	s.breaker.reset()
	s.quota.reset()
	s.probes.asked = true
}

// Trip keeps mail of this process away from a service as if it had failed. It fails with
// mailbox.ErrNotFound.
func (p *Pool) Trip(name string) (Status, error) {
	return p.touch(name, func(s *service, now time.Time) { s.breaker.open(now) })
}

// Probe probes a service soon, from this process. It fails with mailbox.ErrNotFound.
func (p *Pool) Probe(name string) (Status, error) {
	return p.touch(name, func(s *service, _ time.Time) {
		s.probes.asked = true
		signal(p.kick)
	})
}

func (p *Pool) touch(name string, what func(*service, time.Time)) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[name]
	if s == nil {
		return Status{}, fmt.Errorf("pool: service %.70q: %w", name, mailbox.ErrNotFound)
	}
	now := time.Now()
	what(s, now)
	p.review(s, now)
	p.reviewAll(now)
	return s.status(now), nil
}

// Remove takes an agent out of the pool, for all processes on the store; what it is
// sending it may finish. One that still beats is told that it is not registered. It fails
// with mailbox.ErrNotFound, ErrStatic or mailbox.ErrUnavailable.
func (p *Pool) Remove(ctx context.Context, name string) error {
	return p.remove(ctx, name, "was removed by the operator", nil)
}

func (p *Pool) remove(ctx context.Context, name, reason string, may func(*service) error) error {
	if err := p.beginSteering(ctx); err != nil {
		return err
	}
	defer p.endSteering()
	k, err := p.find(name, func(s *service) error {
		switch {
		case may != nil:
			return may(s)
		case s.static:
			return ErrStatic
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.put(ctx, Register{Key: servicePrefix + name, Version: versionAfter(k.version), Kept: removedKept}); err != nil {
		return err
	}
	p.mu.Lock()
	var idle []*link
	if s := p.services[name]; s != nil && s.version == k.version {
		idle = p.drop(s, reason, time.Now())
	}
	p.mu.Unlock()
	p.closeAll(idle)
	return nil
}

// find is what is known of a service, if a check of it passes.
func (p *Pool) find(name string, check func(*service) error) (known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[name]
	if s == nil {
		return known{}, fmt.Errorf("pool: service %.70q: %w", name, mailbox.ErrNotFound)
	}
	if err := check(s); err != nil {
		return known{}, fmt.Errorf("pool: service %s: %w", name, err)
	}
	return s.known(), nil
}

// steer changes what the operator says about a service.
func (p *Pool) steer(ctx context.Context, name string, change func(*service, *Steering) error) (Status, error) {
	if err := p.beginSteering(ctx); err != nil {
		return Status{}, err
	}
	defer p.endSteering()
	if err := p.refresh(ctx, name); err != nil {
		return Status{}, err
	}
	rec := record{}
	k, err := p.find(name, func(s *service) error {
		rec = record{Epoch: s.epoch, Digest: s.digest, Steering: s.steering}
		if !s.static {
			d := s.registered
			rec.Document = &d
		}
		return change(s, &rec.Steering)
	})
	if err != nil {
		return Status{}, err
	}
	r, err := k.register(rec)
	if err == nil {
		err = p.put(ctx, r)
	}
	if err != nil {
		return Status{}, err
	}
	p.mu.Lock()
	idle := p.apply(name, r, time.Now())
	p.mu.Unlock()
	p.closeAll(idle)
	return p.Service(name)
}

// beginSteering waits until nobody else in this process writes registers.
func (p *Pool) beginSteering(ctx context.Context) error {
	select {
	case p.steering <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pool: wait for others: %w", unavailable(ctx.Err()))
	}
}

func (p *Pool) endSteering() { <-p.steering }

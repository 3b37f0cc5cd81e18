package pool

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"restante/mailbox"
)

// A record is what all processes on a store agree on about a service.
type record struct {
	Document *Document `json:"document,omitempty"` // that it registered with; none of a static service
	Epoch    Epoch     `json:"epoch,omitzero"`
	Digest   string    `json:"digest,omitempty"` // of its token
	Steering Steering  `json:"steering,omitzero"`
}

// A Registered is what a service is told when it has registered.
type Registered struct {
	Name     string
	Token    string // with which it beats; nobody can find it out later. Empty: it has one already
	Epoch    Epoch
	Interval time.Duration // between beats
	TTL      time.Duration // of a beat
	State    State
}

// An Answer is what a service is told when it beats.
type Answer struct {
	State State
	Epoch Epoch
	Next  time.Duration // until the next beat
	Drain bool          // it is given no more mail, and may end when it has sent what it has
}

// Register adds an agent to the pool, by the token of an enrolment. It is up after two
// beats. A name that is in use is taken over by a service at the same endpoint, where no
// two can be, and by any once it is down: the instance before is told that it is stale. It
// fails with ErrToken, ErrScope, ErrInvalid, ErrEndpoint, ErrConflict, ErrRate,
// mailbox.ErrFull or mailbox.ErrUnavailable.
func (p *Pool) Register(ctx context.Context, d Document, token string) (Registered, error) {
	d, err := p.applicant(d, token)
	if err != nil {
		return Registered{}, err
	}
	return p.register(ctx, d)
}

// Put registers an agent, or counts a beat of one that is registered with the same
// document, and reports which. It is for agents that remember nothing: what the beat says
// of epoch and number is not looked at. It fails as Register does.
func (p *Pool) Put(ctx context.Context, d Document, b Beat, token string) (r Registered, created bool, err error) {
	if err := b.check(); err != nil {
		return Registered{}, false, err
	}
	if d, err = p.applicant(d, token); err != nil {
		return Registered{}, false, err
	}
	b.Seq = 0
	if r, ok := p.again(d, b); ok {
		return r, false, nil
	}
	if p.options.Shared != nil && p.lookups.Allow() {
		if err := p.refresh(ctx, d.Name); err != nil {
			return Registered{}, false, err
		}
		if r, ok := p.again(d, b); ok {
			return r, false, nil
		}
	}
	if r, err = p.register(ctx, d); err != nil {
		return Registered{}, false, err
	}
	p.again(d, b)
	return r, true, nil
}

// again counts a beat of a service that is registered with this document.
func (p *Pool) again(d Document, b Beat) (Registered, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := p.services[d.Name]
	if s == nil || s.static || !p.alive(s, now) || !reflect.DeepEqual(d, s.registered) {
		return Registered{}, false
	}
	b.Epoch = s.epoch
	p.hear(s, b, now)
	return p.told(s), true
}

// applicant is the document of a service that may register by a token.
func (p *Pool) applicant(d Document, token string) (Document, error) {
	e, err := p.enrolment(token)
	if err != nil {
		return d, err
	}
	if d, err = d.checked(); err != nil {
		return d, err
	}
	if err := e.allows(d); err != nil {
		return d, err
	}
	switch {
	case !slices.Contains(p.options.AgentKinds, d.Kind):
		return d, fmt.Errorf("pool: register %s: %w: services of the kind %s do not register", d.Name, ErrInvalid, d.Kind)
	case d.Credentials != "":
		return d, fmt.Errorf("pool: register %s: %w: our credentials are not for agents", d.Name, ErrInvalid)
	case d.Endpoint == "":
		return d, fmt.Errorf("pool: register %s: %w: no endpoint", d.Name, ErrInvalid)
	}
	return d, nil
}

// register adds an agent whose document was checked.
func (p *Pool) register(ctx context.Context, d Document) (Registered, error) {
	if !p.registrations.Allow() {
		return Registered{}, fmt.Errorf("pool: register %s: %w", d.Name, ErrRate)
	}
	if err := p.admitted(ctx, d.Endpoint); err != nil {
		return Registered{}, err
	}
	if err := p.beginSteering(ctx); err != nil {
		return Registered{}, err
	}
	defer p.endSteering()
	if err := p.refresh(ctx, d.Name); err != nil {
		return Registered{}, err
	}
	before, err := p.place(d)
	if err != nil {
		return Registered{}, err
	}
	provider, err := p.options.Open(before.steering.over(d))
	if err != nil {
		return Registered{}, fmt.Errorf("pool: open service %s: %w: %w", d.Name, ErrInvalid, err)
	}
	opened := &link{provider: provider}
	token := newToken()
	r, err := before.register(record{Document: &d, Epoch: p.epochAfter(before.epoch), Digest: Digest(token), Steering: before.steering})
	if err == nil {
		err = p.put(ctx, r)
	}
	if err != nil {
		p.closeAll([]*link{opened})
		return Registered{}, err
	}

	p.mu.Lock()
	idle := p.applyOpened(d.Name, r, time.Now(), opened)
	s := p.services[d.Name]
	var told Registered
	if s != nil && s.version == r.Version {
		told = p.told(s)
		told.Token = token
	} else {
		err = fmt.Errorf("pool: register %s: %w", d.Name, ErrConflict) // another process was later
	}
	p.mu.Unlock()
	p.closeAll(idle)
	return told, err
}

// A known is what a register is written over.
type known struct {
	name     string
	version  int64
	epoch    Epoch
	steering Steering
}

// register is the next value of the register.
func (k known) register(r record) (Register, error) {
	data, err := json.Marshal(r)
	if err != nil || len(data) > maxData {
		return Register{}, fmt.Errorf("pool: write down service %s: %w: %w", k.name, ErrInvalid, err)
	}
	return Register{Key: servicePrefix + k.name, Version: versionAfter(k.version), Data: data}, nil
}

// place finds out whether there is a place for a service that registers.
func (p *Pool) place(d Document) (known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[d.Name]
	switch {
	case p.closed:
		return known{}, fmt.Errorf("pool: register %s: %w", d.Name, mailbox.ErrUnavailable)
	case s == nil && len(p.services) >= p.options.MaxServices:
		return known{}, fmt.Errorf("pool: register %s: %w", d.Name, mailbox.ErrFull)
	case s == nil:
		return known{name: d.Name}, nil
	case s.static, p.alive(s, time.Now()) && s.registered.Endpoint != d.Endpoint:
		return known{}, fmt.Errorf("pool: register %s: %w", d.Name, ErrConflict)
	}
	return s.known(), nil
}

func (s *service) known() known {
	return known{name: s.name, version: s.version, epoch: s.epoch, steering: s.steering}
}

// alive reports whether an agent has beaten or registered lately. The caller holds the lock.
func (p *Pool) alive(s *service, now time.Time) bool {
	return s.lease.age(now, p.polled) < p.options.TTL
}

// told is what a service is told about itself. The caller holds the lock.
func (p *Pool) told(s *service) Registered {
	return Registered{Name: s.name, Epoch: s.epoch, Interval: p.options.Interval, TTL: p.options.TTL, State: s.state}
}

// apply takes over a register of a service, unless it is older than what is known, and
// returns providers to close. The caller holds the lock.
func (p *Pool) apply(name string, r Register, now time.Time) []*link {
	return p.applyOpened(name, r, now, nil)
}

func (p *Pool) applyOpened(name string, r Register, now time.Time, opened *link) []*link {
	unused := func() []*link {
		if opened == nil {
			return nil
		}
		return []*link{opened}
	}
	s := p.services[name]
	if p.closed || s != nil && r.Version <= s.version {
		return unused()
	}
	if len(r.Data) == 0 {
		if s == nil || s.static {
			return unused()
		}
		return append(unused(), p.drop(s, "was removed", now)...)
	}
	var rec record
	if err := json.Unmarshal(r.Data, &rec); err != nil {
		p.log.Debug("service not understood", "service", name, "err", err)
		return unused()
	}
	if s == nil {
		if rec.Document == nil || len(p.services) >= p.options.MaxServices {
			return unused() // of a static service of another process, or one too many
		}
		s = newService(p, name, false)
		p.services[name] = s
	}
	s.version = r.Version
	reset := rec.Steering.Resets != s.steering.Resets
	s.steering = rec.Steering
	var idle []*link
	if anew := !s.static && rec.Document != nil && rec.Epoch != s.epoch; anew {
		s.registered, s.epoch, s.digest = *rec.Document, rec.Epoch, rec.Digest
		s.lease, s.heardBy, s.newcomer = lease{there: now}, make(map[string]uint64), !p.polled.IsZero()
		s.breaker.reset()
		idle = s.unlink()
		if opened != nil { // it has registered with this process
			s.lease = lease{here: now}
			s.describe()
			s.use(opened)
		} else {
			_ = s.open(now) // the reason is in the state, and it is tried again
		}
	} else {
		s.describe()
		idle = unused()
	}
	if reset {
		s.reset()
	}
	if s.inserted { // with another weight or priority, perhaps
		p.insert(s, s.weight(now))
	}
	p.review(s, now)
	p.announce()
	return idle
}

// drop removes a service. The caller holds the lock.
func (p *Pool) drop(s *service, reason string, now time.Time) []*link {
	delete(p.services, s.name)
	if s.inserted {
		p.withdraw(s)
	}
	p.record(Transition{Service: s.name, From: s.state, To: s.state, Removed: true, Reason: reason, At: now})
	p.metrics.forget(s.name)
	p.reviewAll(now)
	p.announce()
	return s.unlink()
}

// Beat counts a beat of a service that has registered, by the token that it was given. It
// fails with ErrUnregistered, ErrStale where a newer instance has registered, ErrToken,
// ErrInvalid or mailbox.ErrUnavailable.
func (p *Pool) Beat(ctx context.Context, name, token string, b Beat) (Answer, error) {
	if err := b.check(); err != nil {
		return Answer{}, err
	}
	for looked := false; ; looked = true {
		answer, err := p.beat(name, token, b)
		if err == nil || errors.Is(err, ErrStale) || looked || p.options.Shared == nil {
			return answer, err
		}
		if !p.lookups.Allow() {
			return Answer{}, fmt.Errorf("pool: beat of %.70q: %w", name, ErrRate)
		}
		// It may have registered with another process a moment ago.
		if err := p.refresh(ctx, name); err != nil {
			return Answer{}, err
		}
	}
}

func (p *Pool) beat(name, token string, b Beat) (Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[name]
	if err := s.owner(token, b.Epoch); err != nil {
		return Answer{}, fmt.Errorf("pool: beat of %.70q: %w", name, err)
	}
	p.hear(s, b, time.Now())
	return Answer{State: s.state, Epoch: s.epoch, Next: p.options.Interval, Drain: s.steering.Admin != ""}, nil
}

// owner fails unless the instance of an epoch may speak for a service.
func (s *service) owner(token string, epoch Epoch) error {
	switch {
	case s == nil || s.static:
		return ErrUnregistered
	case epoch.before(s.epoch):
		return ErrStale
	case s.epoch.before(epoch):
		return ErrUnregistered
	case subtle.ConstantTimeCompare([]byte(Digest(token)), []byte(s.digest)) != 1:
		return ErrToken
	}
	return nil
}

// hear counts a beat. Numbers are compared with those of beats heard here: an agent may
// count for each process by itself. The caller holds the lock.
func (p *Pool) hear(s *service, b Beat, now time.Time) {
	if b.Seq != 0 && b.Seq <= s.lease.seq {
		return // it comes late, and says nothing about now
	}
	s.lease.seq = max(s.lease.seq, b.Seq)
	if b.Capacity != s.lease.last.Capacity {
		defer p.announce()
	}
	s.lease.here = now
	s.lease.heard(b)
	s.beats++
	p.review(s, now)
	signal(p.toShare)
}

// Leave removes an agent at its own wish. It fails as Beat does.
func (p *Pool) Leave(ctx context.Context, name, token string, epoch Epoch) error {
	return p.remove(ctx, name, "left", func(s *service) error { return s.owner(token, epoch) })
}

// forgetEvery is how often it is looked for agents that have been down for long.
const forgetEvery = time.Minute

// forget removes them, until the context ends.
func (p *Pool) forget(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, name := range p.longDown() {
			if err := p.remove(ctx, name, "was down for long", nil); err != nil {
				p.log.Debug("dead service not forgotten; tried again", "service", name, "err", err)
			}
		}
	}
}

func (p *Pool) longDown() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.services {
		if !s.static && s.state == Down && time.Since(s.since) >= p.options.Forget {
			names = append(names, s.name)
		}
	}
	return names
}

package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/mailbox"
)

// Shared is the seam by which processes on one store share services; package pooltest has
// the suite that says whether a store keeps the promises written here. No clock of another
// process decides anything. Every method is safe for concurrent use, obeys the deadline of
// its context, and fails with mailbox.ErrUnavailable where trying again may help.
type Shared interface {
	// Put writes a register. Of several with the same key the one with the highest
	// version stays, in whatever order they arrive. Of the same version one stays, the
	// same for all who read: of those that are kept for ever the one whose data is
	// greater. When it returns nil the register is durable and found by Get and All. When
	// it fails, it may arrive yet.
	Put(ctx context.Context, r Register) error

	// Get is the register with a key. It fails with mailbox.ErrNotFound.
	Get(ctx context.Context, key string) (Register, error)

	// All are all registers, in no order.
	All(ctx context.Context) ([]Register, error)

	// Hear says that a process heard a beat. It overwrites what the same process said
	// of the same service before.
	Hear(ctx context.Context, h Heard) error

	// Heard is what was said last by each process of this data centre of each service,
	// in no order. What is older than ten minutes may have been forgotten.
	Heard(ctx context.Context) ([]Heard, error)
}

// A Register is a value that is overwritten as a whole.
type Register struct {
	Key     string // at most 256 octets
	Version int64  // write timestamp, microseconds since 1970
	Data    []byte // at most 1 MiB; none: what it was about is gone

	// Kept is how long after Put it is kept at least; 0: for ever. A store may forget
	// it then, and need not remember its version.
	Kept time.Duration
}

// A Heard is a beat of a service and who heard it.
type Heard struct {
	Service string
	Hearer  string // the process, by its name
	Seq     uint64 // another each time
	Data    []byte // what was heard, in a form that only package pool reads; at most 4 KiB
}

const (
	// sharedEvery is how often it is looked at what others wrote.
	sharedEvery = time.Second
	// beatsApart is the time between two beats of a service of which both are shared.
	beatsApart = 500 * time.Millisecond
	// sharesAtOnce is how many beats are written at a time.
	sharesAtOnce = 16
	// removedKept is how long it is remembered that something is gone. By then every
	// process has noticed.
	removedKept = 24 * time.Hour

	servicePrefix = "service/"
)

// versionAfter is a version above one that is known.
func versionAfter(known int64) int64 { return max(time.Now().UnixMicro(), known+1) }

// put writes a register where there is a store.
func (p *Pool) put(ctx context.Context, r Register) error {
	if p.options.Shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	if err := p.options.Shared.Put(ctx, r); err != nil {
		return fmt.Errorf("pool: write %s: %w", r.Key, unavailable(err))
	}
	return nil
}

// refresh reads what the store says of a service.
func (p *Pool) refresh(ctx context.Context, name string) error {
	if p.options.Shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	r, err := p.options.Shared.Get(ctx, servicePrefix+name)
	if errors.Is(err, mailbox.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pool: read service %s: %w", name, unavailable(err))
	}
	p.mu.Lock()
	idle := p.apply(name, r, time.Now())
	p.mu.Unlock()
	p.closeAll(idle)
	return nil
}

// poll looks again and again at what others wrote.
func (p *Pool) poll(ctx context.Context) {
	tick := time.NewTicker(sharedEvery)
	defer tick.Stop()
	for {
		if err := p.readShared(ctx); err != nil && ctx.Err() == nil {
			p.missed(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// readShared takes over what is in the store.
func (p *Pool) readShared(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	registers, err := p.options.Shared.All(ctx)
	if err != nil {
		return fmt.Errorf("pool: read registers: %w", err)
	}
	heard, err := p.options.Shared.Heard(ctx)
	if err != nil {
		return fmt.Errorf("pool: read beats: %w", err)
	}
	p.mu.Lock()
	now := time.Now()
	var idle []*link
	for _, r := range registers {
		if name, ok := strings.CutPrefix(r.Key, servicePrefix); ok {
			idle = append(idle, p.apply(name, r, now)...)
		}
		if digest, ok := strings.CutPrefix(r.Key, enrolmentPrefix); ok {
			p.applyEnrolment(digest, r)
		}
	}
	p.polled = now
	for _, h := range heard {
		p.hearFromOther(h, now)
	}
	if p.pollFailed {
		p.pollFailed = false
		p.log.Info("shared services are read again")
		for _, s := range p.services {
			if !s.lease.there.IsZero() {
				s.lease.there = now // others could not tell either
			}
		}
	}
	p.mu.Unlock()
	p.closeAll(idle)
	return nil
}

// missed notes that the store could not be read: what it said last is believed.
func (p *Pool) missed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pollFailed {
		p.pollFailed = true
		p.log.Warn("shared services are not read; what was known stays", "err", err)
	}
}

// hearFromOther takes note of what another process heard. That it is there says nothing: it
// may be old, unless the service has registered since. That it changed does. The caller holds the lock.
func (p *Pool) hearFromOther(h Heard, now time.Time) {
	s := p.services[h.Service]
	if s == nil || s.static || h.Hearer == p.options.Node {
		return
	}
	seen, known := s.heardBy[h.Hearer]
	s.heardBy[h.Hearer] = h.Seq
	if known && seen == h.Seq || !known && !s.newcomer {
		return
	}
	var b Beat
	if err := json.Unmarshal(h.Data, &b); err != nil || b.Epoch != s.epoch {
		return // of an instance that is gone, or not known yet
	}
	s.lease.there = now
	s.lease.heard(b)
	p.review(s, now)
}

// share writes which beats were heard, until the context ends.
func (p *Pool) share(ctx context.Context) {
	for {
		select {
		case <-p.toShare:
		case <-ctx.Done():
			return
		}
		var writes errgroup.Group
		writes.SetLimit(sharesAtOnce)
		for _, h := range p.unshared() {
			writes.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
				defer cancel()
				if err := p.options.Shared.Hear(ctx, h); err != nil {
					p.log.Debug("beat not shared; the next will be", "service", h.Service, "err", err)
				}
				return nil
			})
		}
		_ = writes.Wait() // they do not fail
	}
}

// unshared are the beats that others do not know.
func (p *Pool) unshared() []Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var all []Heard
	for _, s := range p.services {
		if s.beats == s.sharedBeats || now.Sub(s.sharedAt) < beatsApart {
			continue
		}
		data, err := json.Marshal(s.lease.last)
		if err != nil {
			continue // cannot be: it came as JSON or could have
		}
		s.sharedBeats, s.sharedAt = s.beats, now
		all = append(all, Heard{Service: s.name, Hearer: p.options.Node, Seq: s.beats, Data: data})
	}
	return all
}

// unavailable marks an error as one that may pass, unless it says what it is.
func unavailable(err error) error {
	return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
}

// maxData is how large a record may be.
const maxData = 1 << 20

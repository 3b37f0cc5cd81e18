package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// A Directory knows the routes of addresses; [mailbox.Directory] is one.
type Directory interface {
	// Lookup is the live route of exactly this address, or mailbox.ErrNotFound.
	Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error)

	// Recall is the route that exactly this address had a short while ago, where
	// that is remembered.
	Recall(a mailbox.Address) (mailbox.Route, bool)
}

// Options configures [Passwords]. Where a field says so, zero is a default.
type Options struct {
	Directory Directory
	Domain    string  // completes a user name that has none
	Hasher    *Hasher // nil means one of its own

	Floor    time.Duration // how long a failure takes at least; 0 means 1 s
	CacheTTL time.Duration // how long a right password is remembered; 0 means 5 min

	AccountFailures Limit // of one network; zero means 10, and one more every 30 s. All may have eight times that
	NetworkFailures Limit // zero means 60, and one more every second. An IPv4 /24 or IPv6 /48 may have eight times that

	InFlight        int // attempts under way in all; 0 means 1024
	NetworkInFlight int // attempts under way from one network; 0 means 256

	Registerer prometheus.Registerer // nil means no metrics
}

// How many right passwords are remembered.
const cacheSize = 16384

// Passwords is the [Verifier] over the hashes of a directory.
//
// A user name is the address of an account or temporary address, or a local-part
// of the default domain. It is the address itself: neither an alias nor a detail
// (fred+lists) leads to somebody's mail, so an account has one name to guess at.
//
// Whoever fails learns that he failed, and nothing else. All failures are one
// error. Each takes its turn at the hasher, also one that is throttled and gives
// the turn back unused, and is answered when Floor has passed since it began, the
// wait for the turn not counted. An unknown user costs a hash as a known one does.
// Where the work outlasts Floor, the answer comes at the next multiple of it.
type Passwords struct {
	directory Directory
	domain    string
	hasher    *Hasher
	floor     time.Duration
	verified  *verified
	throttle  *throttle
	gate      *gate
	metrics   metrics
}

// NewPasswords returns a verifier.
func NewPasswords(o Options) *Passwords {
	o = o.withDefaults()
	return &Passwords{
		directory: o.Directory,
		domain:    o.Domain,
		hasher:    o.Hasher,
		floor:     o.Floor,
		verified:  newVerified(cacheSize, o.CacheTTL),
		throttle:  newThrottle(o.AccountFailures, o.NetworkFailures),
		gate:      newGate(o.InFlight, o.NetworkInFlight),
		metrics:   newMetrics(o.Registerer),
	}
}

func (o Options) withDefaults() Options {
	if o.Hasher == nil {
		o.Hasher = NewHasher(HasherOptions{Registerer: o.Registerer})
	}
	if o.Floor <= 0 {
		o.Floor = time.Second
	}
	if o.CacheTTL <= 0 {
		o.CacheTTL = 5 * time.Minute
	}
	if o.AccountFailures == (Limit{}) {
		o.AccountFailures = Limit{Burst: 10, Every: 30 * time.Second}
	}
	if o.NetworkFailures == (Limit{}) {
		o.NetworkFailures = Limit{Burst: 60, Every: time.Second}
	}
	if o.InFlight <= 0 {
		o.InFlight = 1024
	}
	if o.NetworkInFlight <= 0 {
		o.NetworkInFlight = 256
	}
	return o
}

// Verify implements [Verifier]. A right password that was checked a short while ago
// is not hashed again, and holds for as long as the directory recalls the route that
// it belongs to. Nobody is turned away by what is recalled. It fails with
// mailbox.ErrUnavailable where storage does not answer or too many attempts are
// under way, which says nothing of the account. When ctx ends, Verify returns as soon
// as a hash that is being computed is done.
func (p *Passwords) Verify(ctx context.Context, a Attempt) (Identity, error) {
	began := time.Now()
	id, how, err := p.verify(ctx, a, began)
	p.metrics.attempts.WithLabelValues(string(how)).Inc()
	return id, err
}

func (p *Passwords) verify(ctx context.Context, a Attempt, began time.Time) (Identity, outcome, error) {
	user := p.address(a.User)
	if route, ok := p.directory.Recall(user); ok && p.verified.has(p.verified.proof(user, a.Password, route.Secret)) {
		return Identity{Address: user, Maildrop: route.Maildrop}, cached, nil
	}
	route, err := p.lookup(ctx, user)
	if err != nil {
		return Identity{}, unavailable, err
	}
	id := Identity{Address: user, Maildrop: route.Maildrop}
	proof := p.verified.proof(user, a.Password, route.Secret)
	if p.verified.has(proof) {
		return id, cached, nil
	}

	from := networkOf(a.Remote)
	if !p.gate.enter(from) {
		return Identity{}, unavailable, fmt.Errorf("too many attempts at once: %w", mailbox.ErrUnavailable)
	}
	defer p.gate.leave(from)
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()

	queued := time.Now()
	if err := p.hasher.enter(ctx); err != nil {
		return Identity{}, unavailable, err
	}
	waited := time.Since(queued)
	how := p.check(candidate{user, route.Secret, a.Password, proof, from})
	if how == right || how == cached {
		return id, how, nil
	}
	p.hold(ctx, began.Add(waited))
	return Identity{}, how, ErrCredentials
}

// address is what a user name means, or the zero address if it is none.
func (p *Passwords) address(name string) mailbox.Address {
	if !strings.Contains(name, "@") {
		name += "@" + p.domain
	}
	user, err := mailbox.ParseAddress(name)
	if err != nil {
		return mailbox.Address{}
	}
	return user
}

// lookup finds the route of a user: one without a secret if nobody can log in with
// that name. The error wraps mailbox.ErrUnavailable.
func (p *Passwords) lookup(ctx context.Context, user mailbox.Address) (mailbox.Route, error) {
	if user == (mailbox.Address{}) {
		return mailbox.Route{}, nil
	}
	route, err := p.directory.Lookup(ctx, user)
	switch {
	case errors.Is(err, mailbox.ErrNotFound):
		return mailbox.Route{}, nil
	case err != nil:
		return mailbox.Route{}, fmt.Errorf("look up user: %w: %w", mailbox.ErrUnavailable, err)
	case route.Kind != mailbox.Account && route.Kind != mailbox.Temporary:
		return mailbox.Route{}, nil
	}
	return route, nil
}

// A candidate is an attempt whose turn it is.
type candidate struct {
	user           mailbox.Address
	hash, password string
	proof          proof
	from           network
}

// check decides an attempt and ends its turn. The price is one hash, unless the
// attempt is throttled or an equal one was found right while this one waited: a
// client that opens many connections at once costs a hash or two, not one for
// each.
func (p *Passwords) check(c candidate) outcome {
	defer p.hasher.leave()
	if p.verified.has(c.proof) {
		return cached
	}
	counts := p.throttle.tally(c.user, c.from)
	if counts.spent(time.Now()) {
		return throttled
	}
	if p.hasher.matches(c.hash, c.password) {
		p.verified.add(c.proof)
		p.throttle.welcome(c.user, c.from)
		return right
	}
	counts.failed(time.Now())
	if c.hash == "" {
		return unknown
	}
	return wrong
}

// hold waits until a whole number of floors, and at least one, has passed since
// began, or until ctx ends.
func (p *Passwords) hold(ctx context.Context, began time.Time) {
	floors := max(1, (time.Since(began)+p.floor-1)/p.floor)
	timer := time.NewTimer(time.Until(began.Add(floors * p.floor)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

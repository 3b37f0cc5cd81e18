// Package pool keeps the services that mail is sent through: those of the configuration
// and those that register themselves. It finds out which of them work, and chooses one
// for each mail.
//
// What a service is worth is judged by each process for itself. Its state is the worst
// of what the operator says, whether it beats, how its probes went, what came of the
// mail it was given, and what it may still send; see [State]. Processes on one store
// share what was registered, what the operator said and which beats were heard; see
// [Shared].
package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/schedule"
)

// Options configures [New]. Where a field says so, zero is a default.
type Options struct {
	Static     []Document  // services of the configuration
	Enrolments []Enrolment // of the configuration
	// Open makes the provider of a service. It is called again when the service
	// changes, and must not wait for anybody.
	Open func(Document) (relay.Provider, error)

	Shared Shared // nil: no other process has the store
	// Processes is how many use the services at the same time, this one among them: each
	// keeps to its part of their limits. Nil: this one alone.
	Processes func() int
	Node      string              // this process, other than all others on the store; may be empty without Shared
	IDs       *mailbox.MessageIDs // nil: of its own

	AgentKinds []string       // that may register; nil: smtp
	Networks   []netip.Prefix // where agents may be; nil: [Loopback]
	// Resolve looks up the addresses of an agent's host; nil: as the system does.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	Scheduler   string            // empty: schedule.Default
	Schedulers  map[string]string // by sender domain, where not the same for all
	Concurrency int               // mails at a time through one service; 0: 16
	MaxServices int               // 0: 1,000
	Interval    time.Duration     // between beats; 0: 1 s
	TTL         time.Duration     // of a beat; 0: 3 s
	Forget      time.Duration     // until an agent that is down is removed; 0: a day

	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
}

func (o Options) withDefaults() (Options, error) {
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.MaxServices = cmp.Or(o.MaxServices, 1000)
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.TTL = cmp.Or(o.TTL, 3*time.Second)
	o.Forget = cmp.Or(o.Forget, 24*time.Hour)
	o.Scheduler = cmp.Or(o.Scheduler, schedule.Default)
	if o.AgentKinds == nil {
		o.AgentKinds = []string{"smtp"}
	}
	if o.Networks == nil {
		o.Networks = Loopback
	}
	if o.Resolve == nil {
		o.Resolve = resolve
	}
	if o.IDs == nil {
		o.IDs = new(mailbox.MessageIDs)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Open == nil:
		return o, errors.New("pool: nothing opens providers")
	case o.Shared != nil && o.Node == "":
		return o, errors.New("pool: a process that shares a store needs a name")
	case o.Concurrency < 0 || o.MaxServices < 0:
		return o, errors.New("pool: a limit is negative")
	case o.Interval < 0 || o.TTL < 2*o.Interval:
		return o, fmt.Errorf("pool: beats each %v would be late after %v", o.Interval, o.TTL)
	case len(o.Static) > o.MaxServices:
		return o, fmt.Errorf("pool: %d services are configured, and %d are allowed", len(o.Static), o.MaxServices)
	}
	return o, nil
}

const (
	// scanEvery is how often it is looked at what time did.
	scanEvery = 250 * time.Millisecond
	// sharedTimeout is how long a call of the store may take.
	sharedTimeout = 2 * time.Second
	// lookupsPerSecond is how often beats of a service that is not known here are looked
	// up in the store.
	lookupsPerSecond = 50
	// registrationsPerSecond is how often services may register.
	registrationsPerSecond, registrationsAtOnce = 10, 50
)

// Pool is the services and what is known of them. It is safe for concurrent use.
type Pool struct {
	options       Options
	log           *slog.Logger
	metrics       *metrics
	registrations *rate.Limiter
	lookups       *rate.Limiter
	steering      chan struct{} // held while a register is read, changed and written
	kick          chan struct{} // holds one: probes may be due
	toShare       chan struct{} // holds one: beats were heard

	mu         sync.Mutex
	services   map[string]*service
	processes  int                   // that share the limits
	enrolments map[string]*enrolment // by the digest of the token
	fallback   schedule.Scheduler
	byDomain   map[string]schedule.Scheduler
	state      State // of the pool itself: Probing at first, then Up or Down
	polled     time.Time
	pollFailed bool
	closed     bool

	changed chan struct{}
	awaited bool        // somebody may wait for it to be closed
	wake    *time.Timer // closes it when a rate allows the next mail; nil: nobody waits for one
	wakeAt  time.Time

	events events
}

var _ relay.Pool = (*Pool)(nil)

// New returns a pool of the services of the configuration. [Pool.Run] finds out which of
// them work; before, nothing can be picked.
func New(o Options) (*Pool, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		options:       o,
		log:           o.Log,
		registrations: rate.NewLimiter(registrationsPerSecond, registrationsAtOnce),
		lookups:       rate.NewLimiter(lookupsPerSecond, lookupsPerSecond),
		steering:      make(chan struct{}, 1),
		kick:          make(chan struct{}, 1),
		toShare:       make(chan struct{}, 1),
		services:      make(map[string]*service),
		enrolments:    make(map[string]*enrolment),
		byDomain:      make(map[string]schedule.Scheduler),
		state:         Probing,
		changed:       make(chan struct{}),
	}
	if p.fallback, err = schedule.New(o.Scheduler); err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	for domain, name := range o.Schedulers {
		if p.byDomain[domain], err = schedule.New(name); err != nil {
			return nil, fmt.Errorf("pool: scheduler of %s: %w", domain, err)
		}
	}
	for _, e := range o.Enrolments {
		if err := e.check(); err != nil {
			return nil, err
		}
		p.enrolments[e.Digest] = &enrolment{Enrolment: e, configured: true}
	}
	p.metrics = newMetrics(p)
	if err := p.metrics.register(o.Registerer); err != nil {
		return nil, fmt.Errorf("pool: register metrics: %w", err)
	}
	for _, d := range o.Static {
		if err := p.addStatic(d); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *Pool) addStatic(d Document) error {
	d, err := d.checked()
	if err != nil {
		return err
	}
	if p.services[d.Name] != nil {
		return fmt.Errorf("pool: two services are called %s", d.Name)
	}
	s := newService(p, d.Name, true)
	s.registered = d
	if err := s.open(time.Now()); err != nil {
		return fmt.Errorf("pool: open service %s: %w", d.Name, err)
	}
	p.services[d.Name] = s
	return nil
}

// Run does what is done in the background, until the context ends: it notices beats that
// do not come, probes, and exchanges with other processes what is shared. Then it closes
// all providers, and nothing can be picked any more.
func (p *Pool) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { p.scan(ctx) })
	all.Go(func() { p.probeAll(ctx) })
	all.Go(func() { p.forget(ctx) })
	if p.options.Shared != nil {
		all.Go(func() { p.poll(ctx) })
		all.Go(func() { p.share(ctx) })
	}
	all.Wait()
	p.close()
}

// close lets go of all providers, once what they are used for has ended.
func (p *Pool) close() {
	p.mu.Lock()
	p.closed = true
	var idle []*link
	for _, s := range p.services {
		if s.inserted {
			p.withdraw(s)
		}
		idle = append(idle, s.unlink()...)
	}
	if p.wake != nil {
		p.wake.Stop()
	}
	p.events.close()
	p.mu.Unlock()
	p.closeAll(idle)
}

// closeAll closes providers that nobody uses. The caller does not hold the lock.
func (p *Pool) closeAll(idle []*link) {
	for _, l := range idle {
		if err := l.provider.Close(); err != nil {
			p.log.Debug("provider not closed", "err", err)
		}
	}
}

// scan looks again and again at what time did.
func (p *Pool) scan(ctx context.Context) {
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	for {
		p.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pool) look() {
	processes := 1
	if p.options.Processes != nil {
		processes = p.options.Processes()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.processes = processes
	now := time.Now()
	for _, s := range p.services {
		p.review(s, now)
	}
	p.reviewAll(now)
	signal(p.kick)
}

// review judges a service anew and does what follows. The caller holds the lock.
func (p *Pool) review(s *service, now time.Time) {
	if p.closed {
		return
	}
	if s.link == nil && s.openFailed != "" && !now.Before(s.openAgain) {
		_ = s.open(now) // the reason is in the state
	}
	before := s.state
	state, reason := s.judge(now)
	if state != before {
		s.since = now
		p.record(Transition{Service: s.name, From: before, To: state, Reason: reason, At: now})
	}
	s.state, s.reason = state, reason
	if state == Up && (before == Down || before == Probing || before == Trial) {
		s.returned = now
	}
	switch weight := s.weight(now); {
	case state > Trial:
		if s.inserted {
			p.withdraw(s)
			p.reviewAll(now)
		}
	case !s.inserted:
		p.insert(s, weight)
		p.reviewAll(now)
		p.announce()
	case s.movedFrom(weight):
		p.insert(s, weight)
	case state != before:
		p.announce() // there is more room
	}
}

// reviewAll says whether the pool as a whole works. The caller holds the lock.
func (p *Pool) reviewAll(now time.Time) {
	up, known := false, false
	for _, s := range p.services {
		up = up || s.state <= Throttled
		known = known || s.state != Probing
	}
	before := p.state
	switch {
	case up:
		p.state = Up
	case known || len(p.services) == 0 && before == Up:
		p.state = Down // of those that were never up nothing is known yet
	}
	if p.state == before {
		return
	}
	t := Transition{From: before, To: p.state, Reason: "a service is up", At: now}
	if p.state == Down {
		t.Reason = "no service is up: mail waits"
	}
	p.record(t)
	signal(p.kick)
}

// record tells of a transition. The caller holds the lock.
func (p *Pool) record(t Transition) {
	p.events.add(t)
	p.metrics.transitions.WithLabelValues(t.To.String()).Inc()
	level := slog.LevelInfo
	if t.To == Down || t.To == Misconfigured {
		level = slog.LevelWarn
	}
	p.log.Log(context.Background(), level, "service changed", "service", t.Service, "from", t.From, "to", t.To, "reason", t.Reason)
}

func (p *Pool) insert(s *service, weight float64) {
	s.inserted, s.insertedWeight = true, weight
	for sched := range p.schedulers() {
		sched.Insert(s.target, weight, s.document.Priority)
	}
}

func (p *Pool) withdraw(s *service) {
	s.inserted = false
	for sched := range p.schedulers() {
		sched.Remove(s.target)
	}
}

func (p *Pool) schedulers() func(yield func(schedule.Scheduler) bool) {
	return func(yield func(schedule.Scheduler) bool) {
		if !yield(p.fallback) {
			return
		}
		for _, s := range p.byDomain {
			if !yield(s) {
				return
			}
		}
	}
}

// sorted are the services by name. The caller holds the lock.
func (p *Pool) sorted() []*service {
	all := make([]*service, 0, len(p.services))
	for _, s := range p.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int { return cmp.Compare(a.name, b.name) })
	return all
}

// signal puts one into a channel that holds one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

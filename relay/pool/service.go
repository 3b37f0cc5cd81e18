package pool

import (
	"cmp"
	"io"
	"slices"
	"time"

	"restante/relay"
	"restante/relay/schedule"
)

// A service is what is known of one. The lock of the pool guards it.
type service struct {
	pool   *Pool
	name   string
	static bool

	// What all processes on the store agree on.
	registered Document // or configured
	steering   Steering
	version    int64
	epoch      Epoch  // of an agent
	digest     string // of the token of an agent

	document Document // as the operator changed it
	senders  map[string]struct{}
	limits   Limits       // the narrowest
	takes    relay.Limits // of the provider

	link       *link
	openFailed string
	openAgain  time.Time // when to try again

	// What this process found out.
	lease         lease
	probes        probes
	breaker       breaker
	quota         quota
	strangers     strangers
	misconfigured string

	state    State
	reason   string
	since    time.Time
	returned time.Time // from when it is given a growing share

	target         *schedule.Target
	inserted       bool // it can be chosen
	insertedWeight float64

	beats, sharedBeats uint64 // heard here, and told to others
	sharedAt           time.Time
	heardBy            map[string]uint64 // what other processes said last
	newcomer           bool              // it has registered since this process looks
	results            [relay.Ambiguous + 1]uint64
	minute             window // recipients of the last minute
	took               durations
}

// A link is a provider with those who use it.
type link struct {
	provider relay.Provider
	users    int
	retired  bool
}

const (
	// slowStart is how long it takes until a service that returned has its whole share,
	// of which it has startShare at first.
	slowStart  = 30 * time.Second
	startShare = 0.1
	// openEvery is how often opening a provider is tried.
	openEvery = 15 * time.Second
)

func newService(p *Pool, name string, static bool) *service {
	s := &service{
		pool: p, name: name, static: static,
		breaker: newBreaker(), quota: newQuota(), minute: newWindow(time.Minute, 12),
		state: Probing, since: time.Now(),
		beats:   uint64(time.Now().UnixMicro()), // other than what a process of this name said before
		heardBy: make(map[string]uint64),
	}
	s.sharedBeats = s.beats
	s.target = schedule.NewTarget(name, s)
	return s
}

// open makes the provider, anew where there is one. What was replaced is closed by the
// last that uses it, or by the caller through unlink.
func (s *service) open(now time.Time) error {
	s.describe()
	provider, err := s.pool.options.Open(s.document)
	if err != nil {
		s.openFailed, s.openAgain = err.Error(), now.Add(openEvery)
		return err
	}
	s.use(&link{provider: provider})
	return nil
}

func (s *service) use(l *link) {
	s.link, s.openFailed = l, ""
	s.learn(l.provider.Limits())
}

// unlink lets go of the provider, and returns it if nobody uses it any more.
func (s *service) unlink() []*link {
	l := s.link
	if l == nil {
		return nil
	}
	s.link, l.retired = nil, true
	if l.users == 0 {
		return []*link{l}
	}
	return nil
}

// leave ends a use, and reports whether the caller is to close the provider.
func (l *link) leave() bool {
	l.users--
	return l.retired && l.users == 0
}

// describe makes the document of what was registered and what the operator said.
func (s *service) describe() {
	s.document = s.steering.over(s.registered)
	s.senders = make(map[string]struct{}, len(s.document.Senders))
	for _, domain := range s.document.Senders {
		s.senders[domain] = struct{}{}
	}
	s.limits = s.document.Limits.with(ofProvider(s.takes))
}

// learn takes over what the provider knows of the next hop.
func (s *service) learn(l relay.Limits) {
	s.takes = l
	s.limits = s.document.Limits.with(ofProvider(l))
}

// judge finds the worst of what is the matter.
func (s *service) judge(now time.Time) (State, string) {
	state, reason := Up, "works"
	worse := func(other State, why string) {
		if other > state {
			state, reason = other, why
		}
	}
	worse(s.steering.judge())
	if s.misconfigured != "" {
		worse(Misconfigured, s.misconfigured)
	}
	if s.openFailed != "" {
		worse(Down, "cannot be opened: "+s.openFailed)
	}
	if s.static {
		worse(s.probes.judge())
	} else {
		worse(s.lease.judge(now, s.pool.polled, s.pool.options.TTL))
	}
	broken, why := s.breaker.judge(now)
	if s.strangers.row >= suspectRow {
		broken, why = max(broken, Suspect), cmp.Or(why, "works")+"; refuses senders: "+s.strangers.text
	}
	worse(broken, why)
	worse(s.quota.judge(s.share(), now))
	return state, reason
}

// weight is what the service counts just now.
func (s *service) weight(now time.Time) float64 {
	weight := s.document.Weight
	if percent := s.lease.last.Percent; percent > 0 {
		weight *= float64(percent) / 100
	}
	if s.state == Trial {
		return weight * startShare
	}
	if !s.returned.IsZero() {
		part := min(1, now.Sub(s.returned).Seconds()/slowStart.Seconds())
		weight *= startShare + (1-startShare)*part
	}
	return weight
}

// movedFrom reports whether the weight has changed so much that it is worth the work.
func (s *service) movedFrom(weight float64) bool {
	moved := weight - s.insertedWeight
	whole := weight == s.document.Weight && moved != 0
	return whole || max(moved, -moved) >= s.document.Weight/20
}

// room is how many mails it takes at a time.
func (s *service) room() int {
	room := narrowest(s.pool.options.Concurrency, s.limits.Concurrency)
	return max(1, narrowest(room, s.lease.last.Capacity))
}

// carries reports whether it may carry mail of a domain.
func (s *service) carries(domain string) bool {
	if len(s.senders) == 0 {
		return true
	}
	_, may := s.senders[domain]
	return may
}

// suits reports whether it takes such a mail.
func (s *service) suits(w *relay.Want) bool {
	return s.carries(w.Domain) &&
		(s.limits.Octets == 0 || w.Octets <= s.limits.Octets) &&
		!(s.takes.NoUTF8 && w.UTF8) &&
		!(w.Signed && (s.takes.Reassembles || s.document.Reassembles))
}

// share are the limits of rate and quota that this process keeps to.
func (s *service) share() Limits { return s.limits.among(s.pool.processes) }

// hasRoom reports whether it has room for a mail now.
func (s *service) hasRoom(now time.Time) bool {
	if s.state == Trial && s.breaker.trial {
		return false
	}
	return s.target.Outstanding() < s.room() && s.quota.wait(s.share(), now) == 0
}

// durations are the last ones.
type durations struct {
	last [256]time.Duration
	n    int
}

func (d *durations) add(took time.Duration) {
	d.last[d.n%len(d.last)] = took
	d.n++
}

// quantile is the duration that a part of them did not exceed; 0 where there is none.
func (d *durations) quantile(part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d.last[:min(d.n, len(d.last))]))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// A content tells of errors when it is read, which are no fault of the service.
type content struct {
	io.ReadCloser
	failed func()
}

func (c content) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		c.failed()
	}
	return n, err
}

package pool

import (
	"fmt"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// A Status is what this process knows of a service.
type Status struct {
	Document Document // as the operator changed it
	Static   bool
	Steering Steering
	Revision int64 // another after each change by the operator and each registration
	Epoch    Epoch

	State  State
	Reason string
	Since  time.Time

	BeatAge   time.Duration // since the last beat; -1: none was heard
	Note      string        // what the service says about itself
	Weight    float64       // just now; 0: it is given no mail
	Sending   int           // mails
	Room      int           // for mails at a time
	Resting   time.Time     // until when; zero: it does not
	NextTrial time.Time     // of one whose mail failed; zero: there is no need
	Minute    int64         // recipients of the last minute
	Day       int64         // recipients of the last 24 hours
	Results   map[string]uint64
	P50, P99  time.Duration // of the last mails that were taken
}

// Services are all services, by name.
func (p *Pool) Services() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var all []Status
	for _, s := range p.sorted() {
		all = append(all, s.status(now))
	}
	return all
}

// Service is one of them. It fails with mailbox.ErrNotFound.
func (p *Pool) Service(name string) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[name]
	if s == nil {
		return Status{}, fmt.Errorf("pool: service %.70q: %w", name, mailbox.ErrNotFound)
	}
	return s.status(time.Now()), nil
}

func (s *service) status(now time.Time) Status {
	st := Status{
		Document: s.document, Static: s.static, Steering: s.steering, Revision: s.version, Epoch: s.epoch,
		State: s.state, Reason: s.reason, Since: s.since,
		BeatAge: -1, Note: s.lease.last.Note,
		Sending: s.target.Outstanding(), Room: s.room(), NextTrial: s.breaker.until,
		Minute: s.minute.sum(now)[0], Day: s.quota.day.sum(now)[0],
		Results: make(map[string]uint64, len(s.results)),
		P50:     s.took.quantile(0.5), P99: s.took.quantile(0.99),
	}
	if s.lease.beats > 0 || !s.lease.here.IsZero() {
		st.BeatAge = s.lease.age(now, s.pool.polled)
	}
	if s.inserted {
		st.Weight = s.weight(now)
	}
	if now.Before(s.quota.until) {
		st.Resting = s.quota.until
	}
	for r, n := range s.results {
		st.Results[relay.Result(r).String()] = n
	}
	return st
}

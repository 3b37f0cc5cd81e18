package temporary

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"restante/mailbox"
)

// A resident is a live mailbox, as far as the population knows it. There may be many,
// so it holds little.
type resident struct {
	address  mailbox.Address
	maildrop mailbox.MaildropID
	expires  time.Time
}

// A population counts the live mailboxes. Where they are limited, it knows each of
// them and says which have to go: the coldest by windowed TinyLFU, which looks at how
// often and how lately each was used. Without a limit it knows only how many end in
// each second, whatever their number.
type population struct {
	now    func() time.Time
	filled chan struct{} // closed when those of before the start are in

	mu      sync.Mutex
	known   *otter.Cache[mailbox.MaildropID, resident] // nil: no limit
	evicted []resident                                 // in the call under way
	ends    map[int64]*cohort                          // by the second
	passed  int64                                      // the last second whose cohort has ended
	live    int
	ended   int                               // since expire was called last
	expired []map[mailbox.MaildropID]struct{} // still among the known
}

// A cohort are the live mailboxes that end in the same second.
type cohort struct {
	count int
	drops map[mailbox.MaildropID]struct{} // nil where there is no limit
}

func newPopulation(limit int, now func() time.Time) *population {
	p := &population{now: now, filled: make(chan struct{}), ends: make(map[int64]*cohort), passed: now().Unix()}
	if limit > 0 {
		p.known = otter.Must(&otter.Options[mailbox.MaildropID, resident]{
			MaximumSize: limit,
			// From the start it is known how often each is used. Otherwise that begins
			// when there is half as many as may be, and the first were the first to go.
			InitialCapacity: min(limit, maxInitial),
			// Every call has the lock of the population, and maintenance is part of the
			// call, so that it is known what goes when it returns.
			Executor: func(f func()) { f() },
			OnAtomicDeletion: func(e otter.DeletionEvent[mailbox.MaildropID, resident]) {
				if e.Cause == otter.CauseOverflow {
					p.evicted = append(p.evicted, e.Value)
				}
			},
		})
	}
	return p
}

// maxInitial is for how many mailboxes memory is taken before they are there.
const maxInitial = 1 << 20

// endOf is the second at whose beginning a mailbox has ended.
func endOf(expires time.Time) int64 {
	sec := expires.Unix()
	if expires.Nanosecond() > 0 {
		sec++
	}
	return sec
}

// ready waits until the mailboxes that were there before are counted, if they are
// limited: before that nobody can tell how many more may be.
func (p *population) ready(ctx context.Context) error {
	if p.known == nil {
		return nil
	}
	select {
	case <-p.filled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("live mailboxes are being counted: %w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}

// add counts a mailbox and says which have to go for it.
func (p *population) add(r resident) (evicted []resident) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
	end := endOf(r.expires)
	if end <= p.passed {
		return nil
	}
	if p.known != nil {
		if _, counted := p.known.GetEntryQuietly(r.maildrop); counted {
			return nil
		}
		r.address.Local = strings.Clone(r.address.Local) // nothing of what it was parsed from
		p.known.Set(r.maildrop, r)
	}
	c := p.ends[end]
	if c == nil {
		c = new(cohort)
		if p.known != nil {
			c.drops = make(map[mailbox.MaildropID]struct{})
		}
		p.ends[end] = c
	}
	c.count++
	p.live++
	if p.known == nil {
		return nil
	}
	c.drops[r.maildrop] = struct{}{}
	p.known.CleanUp()
	evicted, p.evicted = p.evicted, nil
	for _, gone := range evicted {
		p.leave(gone)
	}
	return evicted
}

// addUnknown counts mailboxes of which only the ends are known.
func (p *population) addUnknown(ends map[int64]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
	for end, count := range ends {
		if end <= p.passed {
			continue
		}
		if p.ends[end] == nil {
			p.ends[end] = new(cohort)
		}
		p.ends[end].count += count
		p.live += count
	}
}

// use notes that a mailbox is used.
func (p *population) use(drop mailbox.MaildropID) {
	if p.known == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.GetIfPresent(drop)
}

// remove counts a mailbox no more. One that was not counted, since another server made
// it, cannot be told from one that was where there is no limit: the count is right
// again when their second is over.
func (p *population) remove(r resident) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
	if p.known != nil {
		if _, counted := p.known.Invalidate(r.maildrop); !counted {
			return
		}
	}
	p.leave(r)
}

// leave takes a mailbox from its cohort. The caller has the lock.
func (p *population) leave(r resident) {
	c := p.ends[endOf(r.expires)]
	if c == nil {
		return
	}
	delete(c.drops, r.maildrop)
	c.count--
	p.live--
	if c.count == 0 {
		delete(p.ends, endOf(r.expires))
	}
}

// expire takes out the mailboxes that have ended, and says how many since it was asked
// last, and whether there are more to forget.
func (p *population) expire() (ended int, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
	ended, p.ended = p.ended, 0
	return ended, len(p.expired) > 0
}

// pass takes out the mailboxes that have ended. The caller has the lock.
func (p *population) pass() {
	now := p.now().Unix()
	if now-p.passed > int64(len(p.ends)) { // after a long while, or a leap of the clock
		for second := range p.ends {
			if second <= now {
				p.end(second)
			}
		}
		p.passed = now
	}
	for p.passed < now {
		p.passed++
		p.end(p.passed)
	}
	p.forget(forgetAtOnce)
}

// end takes out a cohort. The caller has the lock.
func (p *population) end(second int64) {
	c := p.ends[second]
	if c == nil {
		return
	}
	delete(p.ends, second)
	p.live -= c.count
	p.ended += c.count
	if len(c.drops) > 0 {
		p.expired = append(p.expired, c.drops)
	}
}

// forgetAtOnce is how many mailboxes are forgotten at a time: others wait for the lock.
const forgetAtOnce = 500

// forget takes so many mailboxes that have ended from the known ones. The caller has
// the lock.
func (p *population) forget(most int) {
	for len(p.expired) > 0 {
		for drop := range p.expired[0] {
			if most--; most < 0 {
				return
			}
			delete(p.expired[0], drop)
			p.known.Invalidate(drop)
		}
		p.expired = p.expired[1:]
	}
}

func (p *population) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
	return p.live
}

const (
	// expireInterval is how often it is looked for mailboxes that have ended.
	expireInterval = time.Second
	// countPause is how long after a failure the count is begun again.
	countPause = time.Second
)

// expire counts the mailboxes that end.
func (m *Mailboxes) expire(ctx context.Context) {
	tick := time.NewTicker(expireInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			var ended int
			ended, more = m.living.expire()
			m.metrics.expired.Add(float64(ended))
		}
	}
}

// count counts the mailboxes that were there before, where no other server makes any.
func (m *Mailboxes) count(ctx context.Context) {
	domains := m.options.Directory.TempDomains
	if m.options.Poll {
		domains = nil
	}
	for len(domains) > 0 {
		err := m.countDomain(ctx, domains[0])
		if err == nil {
			domains = domains[1:]
			continue
		}
		if ctx.Err() != nil {
			return
		}
		m.options.Log.Warn("live mailboxes not counted yet", "domain", domains[0], "err", err)
		if pause(ctx, countPause) != nil {
			return
		}
	}
	close(m.living.filled)
}

// countDomain adds the mailboxes of a domain. Without a limit nothing is known of one
// but its end, and one that is made meanwhile has counted itself.
func (m *Mailboxes) countDomain(ctx context.Context, domain string) error {
	ends := make(map[int64]int)
	for row, err := range m.options.Directory.List(ctx, domain) {
		if err != nil {
			return err
		}
		switch {
		case row.Route.Kind != mailbox.Temporary:
		case m.living.known != nil:
			row.Address.Domain = domain // one text for all
			for _, gone := range m.living.add(mailboxOf(row.Address, row.Route).resident()) {
				m.evict(ctx, gone)
			}
		case row.Route.Created.Before(m.since):
			ends[endOf(row.Route.Expires)]++
		}
	}
	m.living.addUnknown(ends)
	return nil
}

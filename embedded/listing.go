package embedded

import (
	"container/list"
	"iter"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// A listing is what is known of a maildrop in memory. Its lock is the lock of
// the maildrop. It may be held while the disk is read, and never while a write waits to
// be durable.
type listing struct {
	drop mailbox.MaildropID

	mu       sync.Mutex
	headRead bool
	head     head // as the last applied batch left it, and what it does not count
	// headStored says that there is a head in the store. It may count fewer dead: of a
	// few that expired nobody takes note there.
	headStored bool

	// The lines that are durable, in order. Readers share the array, so what
	// is in it never changes: it is appended to, or replaced.
	loaded   bool
	messages []mailbox.Message
	expires  time.Time // when the first of them does; zero: none will

	// Applied and not yet durable. A listing with any is held by their writers
	// and so stays in memory.
	adding   map[mailbox.MessageID]mailbox.Message // not listed yet
	removing map[mailbox.MessageID]bool            // still listed

	// Belong to the cache.
	holders int
	cost    int
	element *list.Element
}

// set is the listing as it was read.
func (l *listing) set(messages []mailbox.Message) {
	l.loaded, l.messages, l.expires = true, messages, time.Time{}
	for _, m := range messages {
		l.sooner(m.Expires)
	}
}

// sooner notes that a message expires.
func (l *listing) sooner(t time.Time) {
	if !t.IsZero() && (l.expires.IsZero() || t.Before(l.expires)) {
		l.expires = t
	}
}

// at is the listing at a time, for any number of readers.
func (l *listing) at(now time.Time) []mailbox.Message {
	if l.expires.IsZero() || now.Before(l.expires) {
		return slices.Clip(l.messages)
	}
	var live []mailbox.Message
	for _, m := range l.messages {
		if unexpired(m, now) {
			live = append(live, m)
		}
	}
	return live
}

func unexpired(m mailbox.Message, now time.Time) bool {
	return m.Expires.IsZero() || now.Before(m.Expires)
}

// newest are the last n of the listing at a time with ids below a bound, the last
// first.
func (l *listing) newest(now time.Time, before mailbox.MessageID, n int) []mailbox.Message {
	end := len(l.messages)
	if !before.IsZero() {
		end, _ = l.find(before)
	}
	newest := make([]mailbox.Message, 0, min(n, end))
	for i := end - 1; i >= 0 && len(newest) < n; i-- {
		if unexpired(l.messages[i], now) {
			newest = append(newest, l.messages[i])
		}
	}
	return newest
}

func (l *listing) find(id mailbox.MessageID) (int, bool) {
	if n := len(l.messages); n == 0 || l.messages[n-1].ID.Compare(id) < 0 {
		return n, false // the newest, as nearly always
	}
	return slices.BinarySearchFunc(l.messages, id, func(m mailbox.Message, id mailbox.MessageID) int {
		return m.ID.Compare(id)
	})
}

// added makes an addition visible, unless a removal overtook it.
func (l *listing) added(m mailbox.Message) {
	m.Place, m.Inline = mailbox.Place{}, ""
	_, adding := l.adding[m.ID]
	delete(l.adding, m.ID)
	if !l.loaded {
		return
	}
	switch i, found := l.find(m.ID); {
	case found && l.messages[i] != m && !l.removing[m.ID]:
		l.messages = slices.Clone(l.messages)
		l.messages[i] = m
	case !found && adding && i == len(l.messages):
		l.messages = append(l.messages, m)
	case !found && adding:
		l.messages = slices.Concat(l.messages[:i], []mailbox.Message{m}, l.messages[i:])
	default:
		return
	}
	l.sooner(m.Expires)
}

// strike begins the removal of a line. It is not ok where there is none left to
// remove.
func (l *listing) strike(id mailbox.MessageID) (m mailbox.Message, ok bool) {
	if m, ok := l.adding[id]; ok {
		delete(l.adding, id)
		return m, true
	}
	i, found := l.find(id)
	if !found || l.removing[id] {
		return m, false
	}
	l.removing[id] = true
	return l.messages[i], true
}

// removed makes a removal visible.
func (l *listing) removed(gone map[mailbox.MessageID]bool) {
	for id := range gone {
		delete(l.removing, id)
	}
	rest := make([]mailbox.Message, 0, len(l.messages))
	for _, m := range l.messages {
		if !gone[m.ID] {
			rest = append(rest, m)
		}
	}
	l.set(rest)
}

// living is how many rows the applied batches left.
func (l *listing) living() int { return len(l.messages) - len(l.removing) + len(l.adding) }

// rows are the lines that the applied batches left, in no order.
func (l *listing) rows() iter.Seq[mailbox.Message] {
	return func(yield func(mailbox.Message) bool) {
		for _, m := range l.messages {
			if !l.removing[m.ID] && !yield(m) {
				return
			}
		}
		for _, m := range l.adding {
			if !yield(m) {
				return
			}
		}
	}
}

// A listingCache finds the listing of a maildrop, and lets go of those that
// were not used for longest when they become too many.
type listingCache struct {
	limit int // in lines

	mu     sync.Mutex
	byDrop map[mailbox.MaildropID]*listing
	recent *list.List // of *listing that nobody holds; the first was used last
	cost   int        // of all
}

// listingCost is what a listing costs beside its lines, in lines.
const listingCost = 4

func newListingCache(limit int) *listingCache {
	return &listingCache{limit: limit, byDrop: make(map[mailbox.MaildropID]*listing), recent: list.New()}
}

// hold takes the listings of maildrops, in the same order. The caller releases
// them.
func (c *listingCache) hold(drops []mailbox.MaildropID) []*listing {
	held := make([]*listing, len(drops))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, drop := range drops {
		l := c.byDrop[drop]
		if l == nil {
			l = &listing{
				drop:     drop,
				adding:   make(map[mailbox.MessageID]mailbox.Message),
				removing: make(map[mailbox.MessageID]bool),
			}
			c.byDrop[drop] = l
		}
		if l.element != nil {
			c.recent.Remove(l.element)
			l.element = nil
		}
		l.holders++
		held[i] = l
	}
	return held
}

// release gives listings back. The caller has none of their locks.
func (c *listingCache) release(held []*listing) { c.giveBack(held, false) }

// releaseStrangers is release for one who is the last to need them: what was not in
// memory before is not kept, so that others stay.
func (c *listingCache) releaseStrangers(held []*listing) { c.giveBack(held, true) }

func (c *listingCache) giveBack(held []*listing, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range held {
		if l.holders--; l.holders > 0 {
			continue
		}
		if last && l.cost == 0 { // it was never given back
			delete(c.byDrop, l.drop)
			continue
		}
		cost := listingCost + cap(l.messages) // nobody else has it, so nobody changes it
		c.cost += cost - l.cost
		l.cost = cost
		l.element = c.recent.PushFront(l)
	}
	for c.cost > c.limit {
		oldest := c.recent.Back()
		if oldest == nil {
			return
		}
		l := c.recent.Remove(oldest).(*listing)
		c.cost -= l.cost
		delete(c.byDrop, l.drop)
	}
}

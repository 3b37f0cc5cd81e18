package schedule

import (
	"math"
	"math/bits"
	"sync"
)

// A constant scheduler chooses in constant time, as a scheduler of processes does: two
// arrays of queues, one queue for each priority, and in each array a word with a bit for
// each queue that is not empty. The weight of a target is its time slice: how often it
// is chosen before it goes from the active array to the expired one. When nobody is
// active the arrays change places. So the lowest priority number goes first in each
// round, and nobody starves.
type constant struct {
	mu              sync.Mutex
	entries         map[*Target]*entry
	active, expired *array
}

type entry struct {
	*Target
	slice, left int // choices in a round, and in this one
	level       int
	in          *array
	prev, next  *entry
}

// levels is how many priorities are told apart; those beyond count as the last.
const levels = 64

// sliceWeight is the weight of one choice in a round: a tenth of what is usual.
const sliceWeight = 10

type array struct {
	queues [levels]entry // the heads of rings
	busy   uint64        // bit n: queue n is not empty
}

func newConstant(random) Scheduler {
	return &constant{entries: make(map[*Target]*entry), active: newArray(), expired: newArray()}
}

func newArray() *array {
	a := new(array)
	for i := range a.queues {
		head := &a.queues[i]
		head.prev, head.next = head, head
	}
	return a
}

// push puts an entry at the end of its queue.
func (a *array) push(e *entry) {
	head := &a.queues[e.level]
	e.in, e.prev, e.next = a, head.prev, head
	head.prev.next, head.prev = e, e
	a.busy |= 1 << e.level
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	if head := &e.in.queues[e.level]; head.next == head {
		e.in.busy &^= 1 << e.level
	}
}

// join appends the queues of another array, which is empty then.
func (a *array) join(other *array) {
	for other.busy != 0 {
		level := bits.TrailingZeros64(other.busy)
		from, to := &other.queues[level], &a.queues[level]
		for e := from.next; e != from; e = e.next {
			e.in = a
		}
		from.next.prev, to.prev.next = to.prev, from.next
		from.prev.next, to.prev = to, from.prev
		from.prev, from.next = from, from
		other.busy &^= 1 << level
		a.busy |= 1 << level
	}
}

func (s *constant) Insert(t *Target, weight float64, priority int) {
	slice := int(min(max(math.Round(weight/sliceWeight), 1), math.MaxInt32))
	level := min(max(priority, 0), levels-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[t]
	if e == nil {
		e = &entry{Target: t, slice: slice, left: slice, level: level}
		s.entries[t] = e
		s.active.push(e)
		return
	}
	e.slice, e.left = slice, min(e.left, slice)
	if e.in == s.expired {
		e.left = slice
	}
	if e.level != level {
		e.unlink()
		e.level = level
		e.in.push(e)
	}
}

func (s *constant) Remove(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[t]; e != nil {
		e.unlink()
		delete(s.entries, t)
	}
}

func (s *constant) Pick(_ string, fit func(*Target) bool) *Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.active.first(fit)
	if e == nil {
		if e = s.expired.first(fit); e == nil {
			return nil
		}
		// The next round begins. Who is still active did not fit, and keeps what is
		// left of its slice.
		s.expired.join(s.active)
		s.active, s.expired = s.expired, s.active
	}
	e.unlink()
	if e.left--; e.left == 0 {
		e.left = e.slice
		s.expired.push(e)
	} else {
		s.active.push(e) // so that those of a priority take turns
	}
	return e.Target
}

// first is the first entry that fits.
func (a *array) first(fit func(*Target) bool) *entry {
	for busy := a.busy; busy != 0; busy &= busy - 1 {
		head := &a.queues[bits.TrailingZeros64(busy)]
		for e := head.next; e != head; e = e.next {
			if fit == nil || fit(e.Target) {
				return e
			}
		}
	}
	return nil
}

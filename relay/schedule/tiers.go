package schedule

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// A tiers scheduler chooses from the tier with the lowest priority number in which
// anyone fits, by two choices.
type tiers struct {
	random random

	changing sync.Mutex
	ranked   []ranked // by priority
	current  atomic.Pointer[[]view]
}

type ranked struct {
	member
	priority int
}

func newTiers(r random) Scheduler { return &tiers{random: r} }

func (s *tiers) Insert(t *Target, weight float64, priority int) {
	s.change(t, ranked{newMember(t, weight), priority})
}

func (s *tiers) Remove(t *Target) { s.change(t) }

// change replaces a target. All tiers change at once, so that nobody misses a target
// that goes from one to another.
func (s *tiers) change(t *Target, by ...ranked) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.ranked = append(slices.DeleteFunc(s.ranked, func(r ranked) bool { return r.Target == t }), by...)
	slices.SortStableFunc(s.ranked, func(a, b ranked) int { return cmp.Compare(a.priority, b.priority) })
	var all []view
	for i, r := range s.ranked {
		if i == 0 || r.priority != s.ranked[i-1].priority {
			all = append(all, nil)
		}
		last := &all[len(all)-1]
		*last = append(*last, r.member)
	}
	for _, v := range all {
		v.divide()
	}
	s.current.Store(&all)
}

func (s *tiers) Pick(_ string, fit func(*Target) bool) *Target {
	all := s.current.Load()
	if all == nil {
		return nil
	}
	for _, v := range *all {
		if t := v.lighter(s.random, fit); t != nil {
			return t
		}
	}
	return nil
}

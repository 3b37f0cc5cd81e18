package schedule

import (
	"slices"
	"sync"
)

// A smooth scheduler goes round by weight without runs: at each choice everyone gains
// his weight, and who has most is chosen and pays what all gained. It looks at all.
type smooth struct {
	mu     sync.Mutex
	queued []credit
}

type credit struct {
	member
	has float64
}

func newSmooth(random) Scheduler { return new(smooth) }

func (s *smooth) Insert(t *Target, weight float64, _ int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := newMember(t, weight)
	if i := s.index(t); i >= 0 {
		s.queued[i].member = m
		return
	}
	s.queued = append(s.queued, credit{member: m})
}

func (s *smooth) Remove(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.index(t); i >= 0 {
		s.queued = slices.Delete(s.queued, i, i+1)
	}
}

func (s *smooth) index(t *Target) int {
	return slices.IndexFunc(s.queued, func(c credit) bool { return c.Target == t })
}

func (s *smooth) Pick(_ string, fit func(*Target) bool) *Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *credit
	total := 0.0
	for i := range s.queued {
		c := &s.queued[i]
		if !c.fits(fit) {
			continue // and gains nothing, or it would have a run when it fits again
		}
		total += c.weight
		c.has += c.weight
		if best == nil || c.has > best.has {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	best.has -= total
	return best.Target
}

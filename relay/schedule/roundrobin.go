package schedule

import "sync/atomic"

// A roundRobin scheduler goes from one to the next. The next of one that does not fit
// gets its turns.
type roundRobin struct {
	crowd
	picks atomic.Uint64
}

func newRoundRobin(random) Scheduler { return new(roundRobin) }

func (s *roundRobin) Pick(_ string, fit func(*Target) bool) *Target {
	v := s.view()
	turn := s.picks.Add(1) - 1
	for i := range v {
		if m := &v[(turn+uint64(i))%uint64(len(v))]; m.fits(fit) {
			return m.Target
		}
	}
	return nil
}

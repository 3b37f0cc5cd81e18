package schedule

import "time"

// A twoChoices scheduler draws two by weight and takes the one that has less to do for
// its weight, or the first where they are alike: shares follow the weights as long as
// nobody falls behind, and away from whoever does.
type twoChoices struct {
	crowd
	random random
}

func newTwoChoices(r random) Scheduler { return &twoChoices{random: r} }

func (s *twoChoices) Pick(_ string, fit func(*Target) bool) *Target {
	return s.view().lighter(s.random, fit)
}

func (v view) lighter(r random, fit func(*Target) bool) *Target {
	one, two := v.two(r, fit)
	if one == nil {
		return nil
	}
	if two != nil && two.load() < one.load() {
		one = two
	}
	return one.Target
}

// A peakEWMA scheduler draws two by weight and takes the one that would take less time.
type peakEWMA struct {
	crowd
	random random
}

func newPeakEWMA(r random) Scheduler { return &peakEWMA{random: r} }

func (s *peakEWMA) Pick(_ string, fit func(*Target) bool) *Target {
	one, two := s.view().two(s.random, fit)
	if one == nil {
		return nil
	}
	if now := time.Now(); two != nil && two.wait(now) < one.wait(now) {
		return two.Target
	}
	return one.Target
}

// wait is how long one more would take about.
func (m *member) wait(now time.Time) float64 {
	return m.latency.at(now) * float64(m.Outstanding()+1)
}

package schedule

// A weightedRandom scheduler chooses by chance and weight.
type weightedRandom struct {
	crowd
	random random
}

func newWeightedRandom(r random) Scheduler { return &weightedRandom{random: r} }

func (s *weightedRandom) Pick(_ string, fit func(*Target) bool) *Target {
	if m := s.view().sample(s.random, nil, fit); m != nil {
		return m.Target
	}
	return nil
}

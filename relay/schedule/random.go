package schedule

// A uniform scheduler chooses by chance, all alike.
type uniform struct {
	crowd
	random random
}

func newRandom(r random) Scheduler { return &uniform{random: r} }

func (s *uniform) Pick(_ string, fit func(*Target) bool) *Target {
	v := s.view()
	if len(v) == 0 {
		return nil
	}
	for range draws {
		if m := &v[s.random.below(len(v))]; m.fits(fit) {
			return m.Target
		}
	}
	var found *Target
	alike := 0
	for i := range v {
		if m := &v[i]; m.fits(fit) {
			if alike++; s.random.below(alike) == 0 {
				found = m.Target
			}
		}
	}
	return found
}

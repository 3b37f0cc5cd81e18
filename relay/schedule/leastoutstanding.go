package schedule

// A leastOutstanding scheduler chooses who has least to do for his weight. It looks at
// all, and of those that are alike chance decides, by weight.
type leastOutstanding struct {
	crowd
	random random
}

func newLeastOutstanding(r random) Scheduler { return &leastOutstanding{random: r} }

func (s *leastOutstanding) Pick(_ string, fit func(*Target) bool) *Target {
	v := s.view()
	var best *Target
	least, alike := 0.0, 0.0
	for i := range v {
		m := &v[i]
		load := m.load()
		if best != nil && load > least || !m.fits(fit) {
			continue
		}
		if best == nil || load < least {
			best, least, alike = m.Target, load, m.weight
			continue
		}
		if alike += m.weight; s.random.fraction()*alike < m.weight {
			best = m.Target
		}
	}
	return best
}

// load is what a member has to do for its weight.
func (m *member) load() float64 { return float64(m.outstanding.Load()) * m.cost }

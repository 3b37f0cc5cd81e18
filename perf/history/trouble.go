package history

import (
	"slices"
	"time"
)

// A Spell is a time of trouble, and what the clients of each data centre noticed from its
// begin until it was healed.
type Spell struct {
	Number      int           `json:"number"`
	Name        string        `json:"name"`
	Where       string        `json:"where,omitempty"`
	Datacenters []string      `json:"datacenters,omitempty"`
	Destroys    bool          `json:"destroys,omitempty"`
	Begin       time.Duration `json:"begin"`
	End         time.Duration `json:"end"`
	Noticed     []Noticed     `json:"noticed"`
}

// healed is until when a spell may show. What could not be written for a while is written
// later, the longer it lasted the longer that takes.
func (s *Spell) healed(r Rules) time.Duration { return s.End + r.Heal + (s.End - s.Begin) }

// touches reports whether a spell of a data centre may show between two times.
func (s *Spell) touches(datacenter string, r Rules, from, to time.Duration) bool {
	return slices.Contains(s.Datacenters, datacenter) && s.Begin <= to && s.healed(r) >= from
}

// trouble is when data centres may not be of one mind.
type trouble struct {
	lag   time.Duration
	times []span // in the order of their begin
}

type span struct{ from, to time.Duration }

func newTrouble(spells []*Spell, r Rules) trouble {
	t := trouble{lag: r.Lag}
	for _, s := range spells {
		t.times = append(t.times, span{s.Begin, s.healed(r)})
	}
	slices.SortFunc(t.times, func(a, b span) int { return int(a.from - b.from) })
	return t
}

// converged is when every data centre is to know what one knew at a time.
func (t trouble) converged(at time.Duration) time.Duration {
	due := at + t.lag
	for _, s := range t.times {
		if s.from <= due && s.to >= at {
			due = max(due, s.to+t.lag)
		}
	}
	return due
}

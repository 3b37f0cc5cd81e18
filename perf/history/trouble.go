package history

import (
	"cmp"
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
	Struck      time.Duration `json:"struck,omitempty"` // when all that it destroys was down
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
	spells = slices.SortedFunc(slices.Values(spells), func(a, b *Spell) int { return cmp.Compare(a.Begin, b.Begin) })
	t := trouble{lag: r.Lag}
	for i, s := range spells {
		t.times = append(t.times, span{s.Begin, s.caughtUp(spells[i+1:], r)})
	}
	return t
}

// caughtUp is when nothing is left over from a spell: what it held up has had the time to
// heal and the lag. Trouble that comes meanwhile puts that off, for as long as it lasts.
func (s *Spell) caughtUp(later []*Spell, r Rules) time.Duration {
	at, left := s.End, s.healed(r)-s.End+r.Lag
	for _, next := range later {
		if next.Begin >= at+left {
			break
		}
		left -= max(next.Begin-at, 0)
		at = max(at, next.End)
	}
	return at + left
}

// converged is when every data centre is to know what one knew at a time: after the lag,
// and when it has caught up with all trouble that it may have met.
func (t trouble) converged(at time.Duration) time.Duration {
	due := at + t.lag
	for _, s := range t.times {
		if s.from <= at+t.lag {
			due = max(due, s.to)
		}
	}
	return due
}

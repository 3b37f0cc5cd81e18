package history

import (
	"slices"
	"time"
)

// over is from when a data centre that was destroyed begins anew: what it is asked then it
// answers from its new store.
func (s *Spell) over() time.Duration {
	if s.Struck > 0 {
		return s.Struck
	}
	return s.End
}

// destroyer is the spell that may have destroyed, by a time, what a data centre knew; nil, if
// it must be known. Nothing else excuses a store than that it ended before the others had to
// know. Who was asked before the end may have his answer written down after it.
func (j *judge) destroyer(k knowledge, by time.Duration) *Spell {
	for _, s := range j.spells {
		if s.Destroys && slices.Contains(s.Datacenters, j.datacenters[k.in]) && s.Begin <= by && k.from < s.over() && s.Begin < k.elsewhere {
			return s
		}
	}
	return nil
}

// took is the spell that may have taken a mail with the data centre that acknowledged it, as
// an operation of a data centre finds, unless it is proven that the mail was elsewhere, or
// has outlived that.
func (j *judge) took(m *mail, at int, from, to time.Duration) *Spell {
	if j.proven(m.proofs, at, from) {
		return nil
	}
	return j.destroyer(knowledge{m.at, m.tried, m.ack, m.elsewhere}, to)
}

// prove adds a proof, unless there is an earlier one of that data centre.
func prove(proofs []knowledge, k knowledge) []knowledge {
	if slices.ContainsFunc(proofs, func(p knowledge) bool { return p.in == k.in }) {
		return proofs
	}
	return append(proofs, k)
}

// proven reports whether one of these is a proof for an operation of a data centre.
func (j *judge) proven(proofs []knowledge, at int, from time.Duration) bool {
	return slices.ContainsFunc(proofs, func(k knowledge) bool { return from >= j.final || from >= k.due(at) })
}

// gone proves that what a later listing in the same data centre lacks was removed, where
// somebody had asked for that.
func (l *listing) gone(e Entry, k knowledge) {
	if l == nil || l.to > e.From {
		return
	}
	for _, m := range l.messages {
		if m.seen != e.Line && m.asked < e.To {
			m.proofs = prove(m.proofs, k)
		}
	}
}

// troubled reports whether a data centre was in trouble between two times.
func (j *judge) troubled(at int, from, to time.Duration) bool {
	return slices.ContainsFunc(j.spells, func(s *Spell) bool { return s.touches(j.datacenters[at], j.rules, from, to) })
}

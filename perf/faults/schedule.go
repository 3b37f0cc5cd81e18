package faults

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A Schedule says what comes next. Kinds come in rounds, each as often as its weight, in
// an order of chance: so a short run too has met many of them. The same seed makes the
// same schedule on the same system.
type Schedule struct {
	kinds   []Kind
	longest time.Duration
	rnd     *rand.Rand
	round   []Kind
}

// NewSchedule has lengths up to the longest one; a kind that has none keeps its shortest.
func NewSchedule(kinds []Kind, longest time.Duration, seed uint64) *Schedule {
	return &Schedule{kinds: kinds, longest: longest, rnd: rand.New(rand.NewPCG(seed, 4))}
}

// Next chooses the next nemesis and its victim.
func (s *Schedule) Next(system System) Spell {
	if len(s.round) == 0 {
		for _, k := range s.kinds {
			s.round = append(s.round, slices.Repeat([]Kind{k}, k.Weight)...)
		}
		s.rnd.Shuffle(len(s.round), func(i, j int) { s.round[i], s.round[j] = s.round[j], s.round[i] })
	}
	k := s.round[0]
	s.round = s.round[1:]
	spell := k.choose(system, s.rnd)
	if d, ok := spell.Nemesis.(deed); ok {
		d.name = k.Name
		spell.Nemesis = d
	}
	lengths := slices.DeleteFunc(slices.Clone(k.Lengths), func(l time.Duration) bool { return l > s.longest })
	if len(lengths) == 0 {
		lengths = []time.Duration{slices.Min(k.Lengths)}
	}
	spell.Length = lengths[s.rnd.IntN(len(lengths))]
	return spell
}

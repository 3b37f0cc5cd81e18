package history

import (
	"cmp"
	"maps"
	"slices"
)

// An order is what all listings of a maildrop say of the order of its messages: which was
// listed right behind which. There is one order that all of them are in if nobody gets
// back to where he was by such steps.
type order struct{ lines map[step]int }

// A step leads from a message to one right behind it; the value is the first line of the
// history that has it.
type step struct{ from, to uint32 }

// maxRounds bounds how many contradictions are looked for in one maildrop.
const maxRounds = 100

func (o order) add(s step, line int) {
	if _, known := o.lines[s]; !known {
		o.lines[s] = line
	}
}

// rounds are ways that lead back to where they begin, until the steps that came last in
// each are left out there is none left.
func (o order) rounds() [][]step {
	left := maps.Clone(o.lines)
	var found [][]step
	for len(found) < maxRounds {
		round := findRound(left)
		if round == nil {
			break
		}
		last := slices.MaxFunc(round, func(a, b step) int { return cmp.Compare(left[a], left[b]) })
		delete(left, last)
		found = append(found, round)
	}
	return found
}

// findRound takes away every message that nothing leads to, until none is left, or only
// those on rounds and behind them. From one of these it goes back until it has been there.
func findRound(steps map[step]int) []step {
	behind, before, into := map[uint32][]uint32{}, map[uint32][]uint32{}, map[uint32]int{}
	for s := range steps {
		behind[s.from] = append(behind[s.from], s.to)
		before[s.to] = append(before[s.to], s.from)
		into[s.to]++
	}
	var free []uint32
	for m := range behind {
		if into[m] == 0 {
			free = append(free, m)
		}
	}
	for len(free) > 0 {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		for _, next := range behind[m] {
			if into[next]--; into[next] == 0 {
				delete(into, next)
				free = append(free, next)
			}
		}
	}
	if len(into) == 0 {
		return nil
	}
	at := slices.Min(slices.Collect(maps.Keys(into))) // any; always the same one
	var way []step
	met := map[uint32]int{} // how long the way was there
	for {
		if n, again := met[at]; again {
			round := way[n:]
			slices.Reverse(round)
			return round
		}
		met[at] = len(way)
		remaining := slices.DeleteFunc(slices.Clone(before[at]), func(m uint32) bool { return into[m] == 0 })
		from := slices.Min(remaining)
		way = append(way, step{from, at})
		at = from
	}
}

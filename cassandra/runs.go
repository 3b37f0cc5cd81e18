package cassandra

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// A run is ordinals that follow each other, the first and the last included.
type run struct{ first, last int64 }

func (r run) len() int64 { return r.last - r.first + 1 }

// runs are a set of ordinals as few runs: in order, and between two of them at
// least one ordinal that is in neither.
type runs []run

// The ordinals that the column of the table can hold.
const maxOrd = math.MaxInt32

// runsOf is the set of some ordinals, in any order. It sorts them.
func runsOf(ords []int64) runs {
	slices.Sort(ords)
	var set runs
	for _, ord := range ords {
		set = set.extend(run{ord, ord})
	}
	return set
}

// extend adds a run that begins no earlier than the last run of the set.
func (s runs) extend(r run) runs {
	if n := len(s); n > 0 && r.first <= s[n-1].last+1 {
		s[n-1].last = max(s[n-1].last, r.last)
		return s
	}
	return append(s, r)
}

// union is the set of what either has.
func (s runs) union(other runs) runs {
	both := make(runs, 0, len(s)+len(other))
	for len(s) > 0 || len(other) > 0 {
		next := &s
		if len(s) == 0 || len(other) > 0 && other[0].first < s[0].first {
			next = &other
		}
		both = both.extend((*next)[0])
		*next = (*next)[1:]
	}
	return both
}

// around are the whole runs of the set that have any ordinal of another set.
func (s runs) around(other runs) runs {
	var found runs
	for _, r := range s {
		for len(other) > 0 && other[0].last < r.first {
			other = other[1:]
		}
		if len(other) > 0 && other[0].first <= r.last {
			found = append(found, r)
		}
	}
	return found
}

// count is the number of ordinals in the set.
func (s runs) count() (n int64) {
	for _, r := range s {
		n += r.len()
	}
	return n
}

// longest is the set without its shortest runs, so that it has at most n.
func (s runs) longest(n int) runs {
	if len(s) <= n {
		return s
	}
	byLength := slices.Clone(s)
	slices.SortFunc(byLength, func(a, b run) int {
		return cmp.Or(cmp.Compare(b.len(), a.len()), cmp.Compare(a.first, b.first))
	})
	kept := byLength[:n]
	slices.SortFunc(kept, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	return kept
}

// The form of encoded runs: this octet, then for each run two numbers as
// encoding/binary writes them, how many ordinals are left out before it and how
// many it has beside its first.
const runsVersion = 1

var errRuns = errors.New("malformed runs")

func (s runs) encode() []byte {
	blob := make([]byte, 1, 1+4*len(s))
	blob[0] = runsVersion
	next := int64(0)
	for _, r := range s {
		blob = binary.AppendUvarint(blob, uint64(r.first-next))
		blob = binary.AppendUvarint(blob, uint64(r.last-r.first))
		next = r.last + 1
	}
	return blob
}

// decodeRuns fails with errRuns where a blob is not what encode makes of a set.
// The set is at most half as long as the blob.
func decodeRuns(blob []byte) (runs, error) {
	if len(blob) == 0 || blob[0] != runsVersion {
		return nil, errRuns
	}
	blob = blob[1:]
	var set runs
	for next := int64(0); len(blob) > 0; {
		gap, n := binary.Uvarint(blob)
		more, m := binary.Uvarint(blob[max(n, 0):])
		if n <= 0 || m <= 0 || gap > maxOrd || more > maxOrd {
			return nil, errRuns
		}
		r := run{next + int64(gap), next + int64(gap) + int64(more)}
		if r.last > maxOrd || gap == 0 && len(set) > 0 {
			return nil, errRuns
		}
		set = append(set, r)
		next = r.last + 1
		blob = blob[n+m:]
	}
	return set, nil
}

package cassandra

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// someOrds makes up ordinals that often touch.
var someOrds = rapid.SliceOfN(rapid.Int64Range(0, 40), 0, 30)

// ordsOf are the ordinals of a set, after a look at its form.
func ordsOf(t interface {
	Helper()
	Fatalf(string, ...any)
}, set runs) (ords []int64) {
	t.Helper()
	for i, r := range set {
		if r.first > r.last || r.first < 0 || i > 0 && r.first <= set[i-1].last+1 {
			t.Fatalf("%v is not in order, or has two runs that could be one", set)
		}
		for ord := r.first; ord <= r.last; ord++ {
			ords = append(ords, ord)
		}
	}
	return ords
}

// sorted are some ordinals in order and each once.
func sorted(ords ...[]int64) []int64 {
	all := slices.Concat(ords...)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestRunsAreSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := someOrds.Draw(t, "a"), someOrds.Draw(t, "b")
		as, bs := runsOf(slices.Clone(a)), runsOf(slices.Clone(b))
		if got := ordsOf(t, as); !slices.Equal(got, sorted(a)) {
			t.Fatalf("the set of %v has %v", a, got)
		}
		if got, want := as.count(), int64(len(sorted(a))); got != want {
			t.Fatalf("%v has %d ordinals; want %d", as, got, want)
		}
		if got, want := ordsOf(t, as.union(bs)), sorted(a, b); !slices.Equal(got, want) {
			t.Fatalf("the union of %v and %v is %v; want %v", as, bs, got, want)
		}
		if !slices.Equal(as, runsOf(slices.Clone(a))) {
			t.Fatal("a union has changed what went into it")
		}
	})
}

func TestAroundASetAreTheWholeRunsThatHaveAnyOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := runsOf(someOrds.Draw(t, "set"))
		other := runsOf(someOrds.Draw(t, "other"))
		var want runs
		for _, r := range s {
			if slices.ContainsFunc(ordsOf(t, other), func(ord int64) bool { return r.first <= ord && ord <= r.last }) {
				want = append(want, r)
			}
		}
		if got := s.around(other); !slices.Equal(got, want) {
			t.Fatalf("around %v of %v are %v; want %v", other, s, got, want)
		}
	})
}

func TestTheLongestRunsAreKept(t *testing.T) {
	s := runs{{0, 0}, {2, 9}, {11, 12}, {14, 14}, {16, 17}}
	for n, want := range []runs{
		{},
		{{2, 9}},
		{{2, 9}, {11, 12}},
		{{2, 9}, {11, 12}, {16, 17}},
		{{0, 0}, {2, 9}, {11, 12}, {16, 17}},
		s,
		s,
	} {
		if got := s.longest(n); !slices.Equal(got, want) {
			t.Errorf("the %d longest are %v; want %v", n, got, want)
		}
	}
}

func TestRunsAreReadAsTheyWereWritten(t *testing.T) {
	for _, s := range []runs{nil, {{0, 0}}, {{0, maxOrd}}, {{maxOrd, maxOrd}}, {{1, 1}, {3, 300}, {70000, maxOrd}}} {
		got, err := decodeRuns(s.encode())
		if err != nil || !slices.Equal(got, s) {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
	}
	// Stored registers are read by every later version.
	if got, want := (runs{{0, 124}, {126, 126}}).encode(), []byte{1, 0, 124, 1, 0}; !bytes.Equal(got, want) {
		t.Errorf("the form has become %v; it was %v", got, want)
	}
}

func TestMalformedRunsAreRefused(t *testing.T) {
	for name, blob := range map[string][]byte{
		"nothing":                 {},
		"another version":         {2, 0, 0},
		"half a run":              {1, 0},
		"a number without an end": {1, 0, 0x80},
		"a gap without an end":    {1, 0x80},
		"an ordinal too high":     {1, 0xff, 0xff, 0xff, 0xff, 0x07, 1},
		"a run too long":          {1, 0, 0x80, 0x80, 0x80, 0x80, 0x08},
		"a number too long":       append([]byte{1, 0}, bytes.Repeat([]byte{0xff}, 11)...),
		"two runs that touch":     {1, 0, 1, 0, 1},
	} {
		if set, err := decodeRuns(blob); !errors.Is(err, errRuns) {
			t.Errorf("%s: %v is read as %v, %v", name, blob, set, err)
		}
	}
}

func FuzzDecodeRuns(f *testing.F) {
	f.Add([]byte{1})
	f.Add(runs{{0, 124}, {126, 126}, {1000, math.MaxInt32}}.encode())
	f.Fuzz(func(t *testing.T, blob []byte) {
		set, err := decodeRuns(blob)
		if err != nil {
			return
		}
		if 2*len(set) > len(blob) {
			t.Fatalf("%d octets are %d runs", len(blob), len(set))
		}
		for i, r := range set {
			if r.first < 0 || r.first > r.last || r.last > maxOrd || i > 0 && r.first <= set[i-1].last+1 {
				t.Fatalf("%v", set)
			}
		}
		again, err := decodeRuns(set.encode())
		if err != nil || !slices.Equal(again, set) {
			t.Fatalf("%v is written and read as %v, %v", set, again, err)
		}
	})
}

// BenchmarkUnion joins a session of 125 messages to a register at its bound.
func BenchmarkUnion(b *testing.B) {
	var dead, gone runs
	for i := range int64(1000) {
		dead = append(dead, run{4 * i, 4*i + 1})
	}
	for i := range int64(125) {
		gone = append(gone, run{4*8*i + 2, 4*8*i + 2})
	}
	for b.Loop() {
		dead.union(gone).longest(1000).encode()
	}
}

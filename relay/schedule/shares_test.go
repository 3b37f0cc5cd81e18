package schedule

import (
	"slices"
	"strings"
	"testing"
)

// chiSquare of what was counted against what the weights promise.
func chiSquare(counts []int, weights []float64) float64 {
	total, n := 0.0, 0
	for i := range counts {
		total += weights[i]
		n += counts[i]
	}
	sum := 0.0
	for i, c := range counts {
		want := float64(n) * weights[i] / total
		sum += (float64(c) - want) * (float64(c) - want) / want
	}
	return sum
}

// critical is exceeded by chance once in a thousand times, by degrees of freedom.
var critical = []float64{0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88}

func checkShares(t *testing.T, counts []int, weights []float64) {
	t.Helper()
	if x := chiSquare(counts, weights); x > critical[len(weights)-1] {
		t.Errorf("picked %v times for weights %v: chi-square %.1f, want at most %.1f", counts, weights, x, critical[len(weights)-1])
	}
}

func TestSharesFollowWeightsOrAreAlike(t *testing.T) {
	t.Parallel()
	weights := []float64{100, 50, 200, 10, 100, 40, 100, 300}
	alike := slices.Repeat([]float64{1}, len(weights))
	each(t, func(t *testing.T, s Scheduler) {
		want := weights
		switch s.(type) {
		case *uniform, *roundRobin:
			want = alike
		}
		all := targets(s, weights...)
		checkShares(t, count(t, s, 18_000, all, nil), want)

		// The third one gets another weight, and the last goes.
		s.Insert(all[2], 20, 0)
		s.Remove(all[7])
		want = slices.Clone(want[:7])
		if want[0] != alike[0] {
			want[2] = 20
		}
		checkShares(t, count(t, s, 12_600, all[:7], nil), want)
	})
}

// Where most are refused, those that are not share by the same rule.
func TestSharesOfThoseThatFitFollowWeightsToo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Scheduler) {
		if _, round := s.(*roundRobin); round {
			t.Log("the next of those that fit comes after the gap, and gets more")
			return
		}
		weights := slices.Repeat([]float64{100}, 40)
		weights[5], weights[17], weights[33] = 100, 50, 200
		all := targets(s, weights...)
		got := count(t, s, 10_500, all, func(t *Target) bool { n := t.Value().(int); return n == 5 || n == 17 || n == 33 })
		want := []float64{100, 50, 200}
		if _, ok := s.(*uniform); ok {
			want = []float64{1, 1, 1}
		}
		checkShares(t, []int{got[5], got[17], got[33]}, want)
	})
}

func TestChiSquareFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	if x := chiSquare([]int{5300, 4700}, []float64{1, 1}); x < critical[1] {
		t.Errorf("53 of 100 pass for a half: %.1f", x)
	}
}

// names are those of so many picks, in their order.
func names(s Scheduler, n int) string {
	var all []string
	for range n {
		all = append(all, s.Pick("example.org", nil).Name())
	}
	return strings.Join(all, " ")
}

func TestRoundRobinGoesRound(t *testing.T) {
	t.Parallel()
	s := seeded(t, "round-robin")
	for _, name := range []string{"a", "b", "c"} {
		s.Insert(NewTarget(name, nil), 1, 0)
	}
	if got, want := names(s, 7), "a b c a b c a"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestSmoothWeightedRoundRobinHasNoRuns(t *testing.T) {
	t.Parallel()
	s := seeded(t, "smooth-weighted-round-robin")
	s.Insert(NewTarget("a", nil), 5, 0)
	s.Insert(NewTarget("b", nil), 1, 0)
	if got, want := names(s, 12), "a a a b a a a a a b a a"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestWhoHasLeastToDoForItsWeightIsPicked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"least-outstanding", "p2c", "tiers"} {
		s := seeded(t, name)
		all := targets(s, 100, 300)
		for range 4 {
			all[0].Begin()
		}
		for range 9 {
			all[1].Begin()
		}
		if got := count(t, s, 100, all, nil); got[0] != 0 {
			t.Errorf("%s: with 4 to do at a weight of 100, and 9 at 300, picked %v times", name, got)
		}
		for range 4 {
			all[1].Begin()
		}
		if got := count(t, s, 100, all, nil); got[1] != 0 {
			t.Errorf("%s: with 4 to do at a weight of 100, and 13 at 300, picked %v times", name, got)
		}
	}
}

func TestALowerTierIsLeftAloneUntilNobodyAboveFits(t *testing.T) {
	t.Parallel()
	s := seeded(t, "tiers")
	all := targets(s, 1, 1, 1)
	s.Insert(all[2], 1, 7)
	if got := count(t, s, 1000, all, nil); got[2] != 0 || got[0] == 0 || got[1] == 0 {
		t.Errorf("picked %v times", got)
	}
	low := func(t *Target) bool { return t == all[2] }
	if got := s.Pick("", low); got != all[2] {
		t.Error("the lower tier was not asked")
	}
	s.Insert(all[2], 1, -7)
	if got := count(t, s, 1000, all, nil); got[2] != 1000 {
		t.Errorf("picked %v times after the third was moved to the top", got)
	}
}

func TestAKeyStaysWhereItIs(t *testing.T) {
	t.Parallel()
	s, other := seeded(t, "sticky"), seeded(t, "sticky")
	all := targets(s, 100, 100, 100, 100)
	for i := len(all) - 1; i >= 0; i-- { // in another process they come in another order
		other.Insert(NewTarget(all[i].Name(), i), 100, 0)
	}
	before := map[string]*Target{}
	for _, key := range domains(4000) {
		before[key] = s.Pick(key, nil)
		if got := other.Pick(key, nil).Name(); got != before[key].Name() {
			t.Fatalf("%s is at %s here and at %s there", key, before[key].Name(), got)
		}
	}
	s.Remove(all[1])
	for key, was := range before {
		if is := s.Pick(key, nil); is != was && was != all[1] {
			t.Fatalf("%s moved from %s to %s, none of which went", key, was.Name(), is.Name())
		}
	}
	s.Insert(all[1], 200, 0)
	for key, was := range before {
		if is := s.Pick(key, nil); is != was && is != all[1] {
			t.Fatalf("%s moved from %s to %s, none of which got heavier", key, was.Name(), is.Name())
		}
	}
}

func domains(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ".example.org"
	}
	return all
}

// The time slices of a round are kept to the last choice, in order of priority.
func TestARoundOfTimeSlices(t *testing.T) {
	t.Parallel()
	s := seeded(t, "o1")
	for _, c := range []struct {
		name     string
		weight   float64
		priority int
	}{{"a", 30, 5}, {"b", 10, 5}, {"c", 20, 63}, {"d", 4, 1000}, {"e", 20, 0}} {
		s.Insert(NewTarget(c.name, nil), c.weight, c.priority)
	}
	if got, want := names(s, 18), "e e a b a a c d c "+"e e b a a a d c c"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// Who did not fit while the others had their turns keeps what is left of its slice.
func TestATimeSliceOutlastsARoundWithoutRoom(t *testing.T) {
	t.Parallel()
	s := seeded(t, "o1")
	all := targets(s, 30, 30)
	for range 7 { // two rounds and a choice
		s.Pick("", func(t *Target) bool { return t == all[1] })
	}
	if got := count(t, s, 5, all, nil); got[0] != 3 || got[1] != 2 {
		t.Errorf("picked %v times; want what is left: 3 and 2", got)
	}
}

package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// each runs a test for every scheduler, with chance that is the same each time.
func each(t *testing.T, test func(t *testing.T, s Scheduler)) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, seeded(t, name))
		})
	}
}

func seeded(t testing.TB, name string) Scheduler {
	t.Helper()
	s, err := newSeeded(name, rand.NewPCG(1, 2).Uint64)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// targets are inserted with weights, and priority 0.
func targets(s Scheduler, weights ...float64) []*Target {
	var all []*Target
	for i, w := range weights {
		t := NewTarget(fmt.Sprintf("service-%d", i), i)
		s.Insert(t, w, 0)
		all = append(all, t)
	}
	return all
}

// count picks n times, with as many keys, and says how often each target was picked.
func count(t *testing.T, s Scheduler, n int, all []*Target, fit func(*Target) bool) []int {
	t.Helper()
	counts := make([]int, len(all))
	for i := range n {
		picked := s.Pick(fmt.Sprintf("%d.example.org", i), fit)
		if picked == nil {
			t.Fatal("nobody was picked")
		}
		counts[picked.Value().(int)]++
	}
	return counts
}

func TestASchedulerIsMadeByName(t *testing.T) {
	t.Parallel()
	if _, err := New(Default); err != nil {
		t.Error(err)
	}
	if _, err := New("first come"); err == nil {
		t.Error("a scheduler that does not exist was made")
	}
}

func TestNobodyIsPickedOfNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Scheduler) {
		if got := s.Pick("example.org", nil); got != nil {
			t.Errorf("picked %s", got.Name())
		}
		all := targets(s, 1, 1)
		if got := s.Pick("example.org", func(*Target) bool { return false }); got != nil {
			t.Errorf("picked %s, which does not fit", got.Name())
		}
		for _, target := range all {
			s.Remove(target)
			s.Remove(target)
		}
		if got := s.Pick("example.org", nil); got != nil {
			t.Errorf("picked %s, which was removed", got.Name())
		}
	})
}

func TestTheOnlyOneThatFitsIsFoundAmongMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Scheduler) {
		all := targets(s, slices.Repeat([]float64{100}, 300)...)
		for range 50 {
			for _, want := range []*Target{all[0], all[150], all[299]} {
				if got := s.Pick("example.org", func(t *Target) bool { return t == want }); got != want {
					t.Fatalf("picked %v; want %s", got, want.Name())
				}
			}
		}
	})
}

// Targets come, go and change in a random order, and each pick is one of those that
// are in and fit.
func TestWhoIsPickedIsInAndFits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Scheduler) {
		chance := rand.New(rand.NewPCG(3, 4))
		all := make([]*Target, 12)
		for i := range all {
			all[i] = NewTarget(fmt.Sprint(i), i)
		}
		in := map[*Target]bool{}
		for step := range 8_000 {
			target := all[chance.IntN(len(all))]
			switch chance.IntN(8) {
			case 0, 1:
				s.Insert(target, float64(chance.IntN(200)), chance.IntN(4)-1)
				in[target] = true
			case 2:
				s.Remove(target)
				delete(in, target)
			default:
				fits := chance.Uint64()
				fit := func(t *Target) bool { return fits>>t.Value().(int)&1 == 1 }
				got, want := s.Pick(fmt.Sprint(step), fit), slices.ContainsFunc(all, func(t *Target) bool { return in[t] && fit(t) })
				if got == nil && want {
					t.Fatalf("step %d: nobody was picked though somebody fits", step)
				}
				if got != nil && (!in[got] || !fit(got)) {
					t.Fatalf("step %d: picked %s, which is in: %t, and fits: %t", step, got.Name(), in[got], fit(got))
				}
				if got != nil {
					got.Begin()
					got.End(time.Duration(chance.IntN(1e9)))
				}
			}
		}
	})
}

// Run with the race detector. One target stays, so that somebody is always found.
func TestTargetsComeGoAndChangeWhilePicksRun(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := New(name)
			if err != nil {
				t.Fatal(err)
			}
			stays := NewTarget("stays", nil)
			s.Insert(stays, 100, 0)
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					mine := NewTarget(fmt.Sprint(i), nil)
					for n := range 100 {
						s.Insert(mine, float64(n%50+1), n%3)
						s.Insert(stays, float64(n%30+1), (n+1)%3)
						s.Remove(mine)
					}
				})
				all.Go(func() {
					for n := range 1000 {
						got := s.Pick(fmt.Sprint(n), func(t *Target) bool { return t.Outstanding() < 1000 })
						if got == nil {
							t.Error("nobody was picked though one stays")
							return
						}
						got.Begin()
						got.End(time.Millisecond)
					}
				})
			}
			all.Wait()
		})
	}
}

func TestWhoTurnsSlowIsAvoidedAtOnceAndTriedAgainLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := seeded(t, "peak-ewma")
		all := targets(s, 1, 1)
		work := func(target *Target, took time.Duration) {
			target.Begin()
			target.End(took)
		}
		work(all[0], 10*time.Millisecond)
		work(all[1], 10*time.Millisecond)
		work(all[0], 2*time.Second)
		if got := count(t, s, 100, all, nil); got[0] != 0 {
			t.Errorf("the slow one was picked %d times of 100", got[0])
		}
		for range 100 {
			time.Sleep(time.Second)
			work(all[1], 10*time.Millisecond)
		}
		if got := count(t, s, 100, all, nil); got[0] == 0 {
			t.Error("the slow one was never tried again")
		}
		work(all[0], 0)
		if got := all[0].latency.at(time.Now()); got >= 0.001 {
			t.Errorf("what failed counts as %v s", got)
		}
	})
}

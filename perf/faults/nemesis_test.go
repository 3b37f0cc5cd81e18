package faults

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"restante/perf/scenario"
)

// four servers that nobody talks to.
func four() []scenario.Target {
	var all []scenario.Target
	for _, name := range []string{"dc1-a", "dc1-b", "dc2-a", "dc2-b"} {
		all = append(all, scenario.Target{Name: name, Datacenter: name[:3]})
	}
	return all
}

func TestEveryTroubleIsUndone(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				s := newStand(four())
				spell := k.choose(s, rand.New(rand.NewPCG(seed, 1)))
				if err := spell.Begin(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(s.done) == 0 || len(spell.Datacenters) == 0 || spell.Where == "" {
					t.Errorf("nothing was done: %+v", spell)
				}
				if err := spell.End(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Healthy(t.Context()); err != nil {
					t.Errorf("after %s: %v", spell.Where, err)
				}
			}
		})
	}
}

func TestWhatWasInterruptedBetweenAStopAndAStartIsStarted(t *testing.T) {
	for _, k := range Kinds() {
		s := newStand(four())
		s.fails = "start"
		spell := k.choose(s, rand.New(rand.NewPCG(3, 1)))
		if err := spell.Begin(t.Context()); err == nil {
			continue // it starts nothing
		}
		s.fails = ""
		if err := spell.End(t.Context()); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		if err := s.Healthy(t.Context()); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

// Quorum is what a data centre of three nodes has while no more than one is in trouble.
func TestNoTroubleTakesTheQuorumButOfADataCentreThatItEnds(t *testing.T) {
	ends := map[string]bool{"kill a data centre": true, "wipe a data centre": true}
	for _, k := range Kinds() {
		s := newStand(four())
		spell := k.choose(s, rand.New(rand.NewPCG(3, 1)))
		if err := spell.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		down := 0
		for _, n := range s.Nodes() {
			if s.state[n.Name] != "" {
				down++
			}
		}
		if want := map[bool]int{false: 1, true: 3}[ends[k.Name]]; down > want {
			t.Errorf("%s: %d nodes are in trouble", k.Name, down)
		}
		if spell.Destroys != (k.Name == "wipe a data centre") {
			t.Errorf("%s: destroys %v", k.Name, spell.Destroys)
		}
	}
}

func TestAScheduleIsThatOfItsSeed(t *testing.T) {
	plan := func(seed uint64) (names []string) {
		s := NewSchedule(Kinds(), time.Minute, seed)
		for range 40 {
			spell := s.Next(newStand(four()))
			if spell.Length > time.Minute {
				t.Errorf("%s lasts %v", spell.Name(), spell.Length)
			}
			names = append(names, spell.Name()+" "+spell.Where+" "+spell.Length.String())
		}
		return names
	}
	if !slices.Equal(plan(1), plan(1)) {
		t.Error("the same seed makes two schedules")
	}
	if slices.Equal(plan(1), plan(2)) {
		t.Error("two seeds make the same schedule")
	}
}

func TestARoundHasEveryKind(t *testing.T) {
	kinds := Kinds()
	s := NewSchedule(kinds, time.Hour, 7)
	left := map[string]int{}
	for _, k := range kinds {
		left[k.Name] = k.Weight
	}
	sum := 0
	for _, k := range kinds {
		sum += k.Weight
	}
	for range sum {
		left[s.Next(newStand(four())).Name()]--
	}
	for name, n := range left {
		if n != 0 {
			t.Errorf("%s: %d more", name, n)
		}
	}
}

func TestTheShortestTroubleIsNeverTooLong(t *testing.T) {
	s := NewSchedule([]Kind{{"x", 1, []time.Duration{time.Hour, time.Minute}, cut}}, time.Second, 1)
	if l := s.Next(newStand(four())).Length; l != time.Minute {
		t.Errorf("it lasts %v", l)
	}
}

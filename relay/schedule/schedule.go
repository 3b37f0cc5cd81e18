// Package schedule has the rules by which one of several services is chosen for the
// next mail. They differ in what they look at; all of them leave out whom the caller
// refuses, and find somebody as long as one is left that he does not.
package schedule

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// A Scheduler chooses among targets. It is safe for concurrent use: targets come, go
// and change while others are chosen, and a choice that began before may yet fall on
// one that has gone.
type Scheduler interface {
	// Insert adds a target with a weight, which is above zero and means something only
	// beside the weights of the others, and a priority, of which the lowest number goes
	// first in the schedulers that heed it. Inserting a target that is in changes both.
	Insert(t *Target, weight float64, priority int)

	// Remove takes a target out. Removing one that is not in is harmless.
	Remove(t *Target)

	// Pick chooses one of the targets that fit, and is nil where none does; where fit is
	// nil all do. What belongs together has the same key. It counts nothing: see
	// [Target.Begin]. The function must not call the scheduler.
	Pick(key string, fit func(*Target) bool) *Target
}

// Default is the name of the scheduler that is used where nothing is said.
const Default = "p2c"

var makers = map[string]func(random) Scheduler{
	"random":                      newRandom,
	"round-robin":                 newRoundRobin,
	"weighted-random":             newWeightedRandom,
	"smooth-weighted-round-robin": newSmooth,
	"least-outstanding":           newLeastOutstanding,
	"p2c":                         newTwoChoices,
	"tiers":                       newTiers,
	"sticky":                      newSticky,
	"peak-ewma":                   newPeakEWMA,
	"o1":                          newConstant,
}

// Names are those of all schedulers, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// New returns a scheduler without targets. It fails where none has that name.
func New(name string) (Scheduler, error) {
	return newSeeded(name, rand.Uint64)
}

func newSeeded(name string, r random) (Scheduler, error) {
	if make, known := makers[name]; known {
		return make(r), nil
	}
	return nil, fmt.Errorf("schedule: there is no scheduler %q", name)
}

// A random is a source of chance; safe for concurrent use, except in tests.
type random func() uint64

// below is a number from 0 to n-1; fraction one from 0 up to 1.
func (r random) below(n int) int   { return int(r() >> 32 * uint64(n) >> 32) }
func (r random) fraction() float64 { return float64(r()>>11) / (1 << 53) }

// minWeight stands in for a weight that is not above zero.
const minWeight = 1e-6

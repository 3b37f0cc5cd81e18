package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// measured are points of a cost that is known, each wrong by up to noise.
func measured(coefficients []float64, factors [][]float64, noise float64, r *rand.Rand) []observation {
	var all []observation
	for i, f := range factors {
		o := observation{name: fmt.Sprint("point ", i), factors: f}
		for k, c := range coefficients {
			o.cost += c * f[k]
		}
		o.cost *= 1 + noise*(2*r.Float64()-1)
		all = append(all, o)
	}
	return all
}

func sizesAndRecipients() [][]float64 {
	var all [][]float64
	for _, kib := range []float64{1, 4, 16, 64, 256, 1024, 4096, 25600} {
		all = append(all, []float64{1, kib, 1})
	}
	for _, n := range []float64{2, 5, 20, 100} {
		all = append(all, []float64{1, 4, n})
	}
	return all
}

func TestAFitFindsTheCostsBehindNoisyPoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := func(name string) float64 { return math.Pow(10, rapid.Float64Range(-1, 1).Draw(t, name)) }
		known := []float64{cost("each"), cost("KiB") / 10, cost("recipient") / 10}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		f, err := newFit(measured(known, sizesAndRecipients(), 0.03, r), nil)
		if err != nil {
			t.Fatal(err)
		}
		// Noise may move the constant into the cost of a recipient, but not what both
		// come to.
		for _, point := range measured(known, [][]float64{{1, 8, 3}, {1, 500, 1}, {1, 20000, 1}, {1, 4, 50}}, 0, r) {
			if d := point.deviation(f.coefficients); math.Abs(d) > 0.07 {
				t.Errorf("%v is fitted as %v: %v is off by %v", known, f.coefficients, point.factors, d)
			}
		}
		if math.Abs(f.worst.deviation) > 0.07 {
			t.Errorf("%v is fitted as %v, which misses %v", known, f.coefficients, f.worst)
		}
	})
}

func TestExactPointsGiveExactCosts(t *testing.T) {
	want := []float64{0.3, 0.008, 0.1}
	f, err := newFit(measured(want, sizesAndRecipients(), 0, rand.New(rand.NewPCG(1, 2))), nil)
	if err != nil || !f.good() || len(f.heldOut) != f.points-3 { // but those at the ends: the smallest, the largest, the most recipients
		t.Fatalf("%+v, %v", f, err)
	}
	for i := range want {
		if math.Abs(f.coefficients[i]/want[i]-1) > 1e-9 {
			t.Errorf("%v is fitted as %v", want, f.coefficients)
		}
	}
}

func TestNoCostIsNegative(t *testing.T) {
	// The line through these points begins below zero.
	f, err := newFit([]observation{
		{"1", []float64{1, 1}, 0.5}, {"2", []float64{1, 2}, 1.7}, {"3", []float64{1, 3}, 2.9}, {"4", []float64{1, 4}, 4},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.coefficients[0] != 0 || f.coefficients[1] < 0.5 || f.coefficients[1] > 1 {
		t.Errorf("the costs are %v", f.coefficients)
	}
}

func TestAFitThatMissesWhatItHasNotSeenIsBad(t *testing.T) {
	square := func(x float64) observation {
		return observation{fmt.Sprint(x), []float64{1, x}, 0.1 + x*x}
	}
	var curve []observation
	for _, x := range []float64{1, 2, 4, 8, 16, 32} {
		curve = append(curve, square(x))
	}
	if f, err := newFit(curve, nil); err != nil || f.good() {
		t.Errorf("a line through a parabola is good: %+v, %v", f, err)
	}
	line := measured([]float64{1, 2}, [][]float64{{1, 1}, {1, 10}, {1, 100}}, 0, rand.New(rand.NewPCG(1, 2)))
	good := measured([]float64{1, 2}, [][]float64{{1, 50}}, 0.1, rand.New(rand.NewPCG(1, 2)))
	if f, err := newFit(line, good); err != nil || !f.good() || len(f.heldOut) != 1 {
		t.Errorf("a held-out point on the line: %+v, %v", f, err)
	}
	good[0].cost *= 1.5
	if f, err := newFit(line, good); err != nil || f.good() || f.furthest().name != "point 0" {
		t.Errorf("a held-out point that is half as much again: %+v, %v", f, err)
	}
	if (fit{}).good() {
		t.Error("a fit that nothing has checked is good")
	}
}

func TestTooFewPointsAreNoFit(t *testing.T) {
	for name, points := range map[string][]observation{
		"none":     nil,
		"too few":  {{"a", []float64{1, 1}, 1}},
		"all same": {{"a", []float64{0, 0}, 1}, {"b", []float64{0, 0}, 1}},
	} {
		if f, err := newFit(points, nil); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

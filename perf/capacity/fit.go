package main

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// An observation is one measured cost and what it depends on: the factor of each
// coefficient, which is 1 for the constant.
type observation struct {
	name    string
	factors []float64
	cost    float64
}

// solve finds the coefficients, none of them negative, with the smallest sum of squares
// of the relative errors: a mail of 1 KiB counts as much as one of 25 MiB, whose cost in
// ms is ten thousand times larger. A cost cannot be negative; where the best would be,
// it is zero, and the others are the best without it. As there are few coefficients,
// every choice of those that are zero is tried.
func solve(all []observation) ([]float64, error) {
	if len(all) == 0 {
		return nil, errors.New("nothing was measured")
	}
	terms := len(all[0].factors)
	if len(all) < terms {
		return nil, fmt.Errorf("%d points are too few for %d coefficients", len(all), terms)
	}
	var best []float64
	least := math.Inf(1)
	for chosen := uint(1); chosen < 1<<terms; chosen++ {
		coefficients, ok := leastSquares(all, chosen)
		if !ok {
			continue
		}
		if sum := squares(all, coefficients); sum < least {
			best, least = coefficients, sum
		}
	}
	if best == nil {
		return nil, errors.New("the points do not tell the coefficients apart")
	}
	return best, nil
}

// leastSquares solves for the chosen coefficients alone; not if one of them is
// negative, or if the points leave it open.
func leastSquares(all []observation, chosen uint) ([]float64, bool) {
	terms := len(all[0].factors)
	a := mat.NewDense(len(all), bits.OnesCount(chosen), nil)
	b := mat.NewVecDense(len(all), nil)
	for i, o := range all {
		column := 0
		for k := range terms {
			if chosen&(1<<k) != 0 {
				a.Set(i, column, o.factors[k]/o.cost)
				column++
			}
		}
		b.SetVec(i, 1)
	}
	var x mat.VecDense
	if err := x.SolveVec(a, b); err != nil { // too little of it is certain
		return nil, false
	}
	coefficients := make([]float64, terms)
	column := 0
	for k := range terms {
		if chosen&(1<<k) == 0 {
			continue
		}
		if coefficients[k] = x.AtVec(column); coefficients[k] < 0 {
			return nil, false
		}
		column++
	}
	return coefficients, true
}

func squares(all []observation, coefficients []float64) float64 {
	sum := 0.0
	for _, o := range all {
		e := o.deviation(coefficients)
		sum += e * e
	}
	return sum
}

// deviation is how far the model is above what was measured, as a share of that.
func (o observation) deviation(coefficients []float64) float64 {
	predicted := 0.0
	for k, f := range o.factors {
		predicted += coefficients[k] * f
	}
	return predicted/o.cost - 1
}

// A fit is coefficients and how far they can be trusted.
type fit struct {
	coefficients []float64
	points       int
	worst        checked // of the points that it was made from
	heldOut      []checked
}

// A checked is a point and how far the model is above it.
type checked struct {
	name      string
	deviation float64
}

// trusted is how far a fit may be from a point that it has not seen.
const trusted = 0.20

// good says whether every point that was held out was met.
func (f fit) good() bool { return math.Abs(f.furthest().deviation) <= trusted }

// furthest is the held-out point that was met worst.
func (f fit) furthest() checked {
	worst := checked{deviation: math.Inf(1)} // a fit that nothing has checked is not good
	for i, c := range f.heldOut {
		if i == 0 || math.Abs(c.deviation) > math.Abs(worst.deviation) {
			worst = c
		}
	}
	return worst
}

// newFit is made from the points, and checked against those that were measured for that
// alone. Without any, each point is held out in turn and predicted by the others, but for
// those at the ends: what lies beyond all points is not what a sum is for.
func newFit(points, held []observation) (fit, error) {
	coefficients, err := solve(points)
	if err != nil {
		return fit{}, err
	}
	f := fit{coefficients: coefficients, points: len(points)}
	for _, o := range points {
		if d := o.deviation(coefficients); math.Abs(d) >= math.Abs(f.worst.deviation) {
			f.worst = checked{o.name, d}
		}
	}
	for _, o := range held {
		f.heldOut = append(f.heldOut, checked{o.name, o.deviation(coefficients)})
	}
	if len(held) > 0 {
		return f, nil
	}
	for i, o := range points {
		others := slices.Concat(points[:i], points[i+1:])
		if !o.between(others) {
			continue
		}
		if without, err := solve(others); err == nil {
			f.heldOut = append(f.heldOut, checked{o.name, o.deviation(without)})
		}
	}
	return f, nil
}

// between says whether others have smaller and larger factors, or the same.
func (o observation) between(others []observation) bool {
	for k, f := range o.factors {
		smaller := func(other observation) bool { return other.factors[k] <= f }
		larger := func(other observation) bool { return other.factors[k] >= f }
		if !slices.ContainsFunc(others, smaller) || !slices.ContainsFunc(others, larger) {
			return false
		}
	}
	return true
}

package report

import "fmt"

// Rounds makes points of single values: those of the same point are its rounds. The
// zero value is empty and ready.
type Rounds struct {
	order []pointKey
	of    map[pointKey]*rounds
}

type pointKey struct {
	sweep, series, metric string
	x                     float64
	at                    string // all conditions
}

type rounds struct {
	point  Point
	values []float64
}

// Add is one more round of a point.
func (r *Rounds) Add(p Point, value float64) {
	k := pointKey{p.Sweep, p.Series, p.Metric, p.X, fmt.Sprint(p.At)}
	if r.of == nil {
		r.of = map[pointKey]*rounds{}
	}
	if r.of[k] == nil {
		r.of[k] = &rounds{point: p}
		r.order = append(r.order, k)
	}
	r.of[k].values = append(r.of[k].values, value)
}

// Points are in the order in which they were first seen.
func (r *Rounds) Points() []Point {
	var points []Point
	for _, k := range r.order {
		points = append(points, r.of[k].point.Of(r.of[k].values...))
	}
	return points
}

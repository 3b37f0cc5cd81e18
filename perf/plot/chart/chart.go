// Package chart draws lines over a scale as SVG that is read by itself: in light and
// dark, wide and narrow, with colours or without, by eyes or by a screen reader.
package chart

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A Chart is what is drawn.
type Chart struct {
	Title string
	// Finding is the sentence under the chart. What follows from the points is said
	// by Change.
	Finding string
	X, Y    Axis
	Series  []Series
}

// An Axis says what its numbers are.
type Axis struct {
	Name string // what it is, without its unit
	Unit string
	Log  bool
}

// label is name and unit as they stand beside the axis, without a unit that is at the
// ticks.
func (a Axis) label() string {
	switch {
	case a.Unit == "" || a.ofSizes():
		return a.Name
	case a.Name == "":
		return a.Unit
	}
	return a.Name + ", " + a.Unit
}

// A Series is one line.
type Series struct {
	Name   string
	Points []Point
}

// A Point is a median and what it lies between. Several rounds that agreed, or one
// alone, have all three the same.
type Point struct{ X, Y, Min, Max float64 }

// largest is far beyond all that is drawn, and so close to zero its inverse: nearer to
// the ends of what a float holds, steps between ticks are none.
const largest = 1e99

// maxSeries is how many lines differ by marker, dashes and colour at once.
const maxSeries = 6

// check says why a chart cannot be drawn. A logarithm has no place for zero, and a
// point that is left out silently would be a lie.
func (c Chart) check() error {
	if len(c.Series) == 0 || len(c.Series) > maxSeries {
		return fmt.Errorf("chart: %d series: 1 to %d can be told apart", len(c.Series), maxSeries)
	}
	for _, s := range c.Series {
		if len(s.Points) == 0 {
			return fmt.Errorf("chart: %s has no point", s.Name)
		}
		for _, p := range s.Points {
			if err := p.check(c.X.Log, c.Y.Log); err != nil {
				return fmt.Errorf("chart: %s, %+v: %w", s.Name, p, err)
			}
		}
	}
	return nil
}

func (p Point) check(logX, logY bool) error {
	for _, v := range []float64{p.X, p.Y, p.Min, p.Max} {
		if abs := math.Abs(v); math.IsNaN(v) || abs > largest || abs > 0 && abs < 1/largest {
			return errors.New("not a number that one measures")
		}
	}
	switch {
	case p.Min > p.Y || p.Y > p.Max:
		return errors.New("the median is not between the smallest and the largest")
	case logX && p.X <= 0, logY && p.Min <= 0:
		return errors.New("a logarithmic axis begins above zero")
	}
	return nil
}

// Write draws the chart. The same chart is always the same octets.
func (c Chart) Write(w io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	series := make([]Series, len(c.Series))
	for i, s := range c.Series {
		series[i] = Series{s.Name, slices.SortedStableFunc(slices.Values(s.Points), byX)}
	}
	c.Series = series
	return page.Execute(w, layOut(c))
}

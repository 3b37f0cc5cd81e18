package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Point is one figure at one value of what a sweep varies, as a line of JSON that
// plots and the capacity model read. A sweep is written as one point for each value,
// series and metric.
type Point struct {
	// Sweep is what is varied ("delay"), X its value here, in Unit ("ms").
	Sweep string  `json:"sweep"`
	X     float64 `json:"x"`
	Unit  string  `json:"unit,omitempty"`
	// At is what stays the same over the sweep and matters all the same, by the names
	// that are sweeps elsewhere: {"size": 4, "recipients": 1}.
	At map[string]float64 `json:"at,omitempty"`

	Series string `json:"series"` // what was done: delivery, login
	Metric string `json:"metric"` // what was measured of it: p50, server CPU
	UnitY  string `json:"unit_y,omitempty"`

	// Value is the median over the rounds, between the smallest and the largest.
	Value  float64 `json:"value"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`

	// Where the figure comes from.
	Date    string `json:"date,omitempty"`
	Command string `json:"command,omitempty"`
	Version string `json:"version,omitempty"` // of the server
	Machine string `json:"machine,omitempty"`
}

// Of is the point with what each round has come to.
func (p Point) Of(rounds ...float64) Point {
	p.Rounds = len(rounds)
	if len(rounds) > 0 {
		p.Value, p.Min, p.Max = Median(rounds), slices.Min(rounds), slices.Max(rounds)
	}
	return p
}

// Measured is the point with a figure that a comparison or a result has, as its metric
// and, where the name ends with one, its unit: "p50 ms" is p50 in ms.
func (p Point) Measured(figure string) Point {
	p.Metric, p.UnitY = figure, ""
	if at := strings.LastIndexByte(figure, ' '); at > 0 && slices.Contains([]string{"s", "ms", "octets", "KiB", "MiB", "mails/s"}, figure[at+1:]) {
		p.Metric, p.UnitY = figure[:at], figure[at+1:]
	}
	return p
}

// Condition is the value of what is varied here or elsewhere, if it is known.
func (p Point) Condition(name string) (float64, bool) {
	if name == p.Sweep {
		return p.X, true
	}
	v, ok := p.At[name]
	return v, ok
}

// check refuses a line that is JSON and no point: a figure without a name would be
// drawn as one of zero.
func (p Point) check() error {
	switch {
	case p.Sweep == "" || p.Series == "" || p.Metric == "":
		return fmt.Errorf("%+v has no sweep, no series or no metric", p)
	case p.Rounds < 1:
		return fmt.Errorf("%s, %s at %s %v: no round", p.Series, p.Metric, p.Sweep, p.X)
	case p.Min > p.Value || p.Value > p.Max:
		return fmt.Errorf("%s, %s at %s %v: %v is not between %v and %v", p.Series, p.Metric, p.Sweep, p.X, p.Value, p.Min, p.Max)
	}
	return nil
}

// ReadPoints reads the points that WriteLines or Append wrote.
func ReadPoints(r io.Reader) ([]Point, error) {
	points, err := readLines[Point](r)
	if err != nil {
		return nil, err
	}
	for i, p := range points {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("report: point %d: %w", i+1, err)
		}
	}
	return points, nil
}

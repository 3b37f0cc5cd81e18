package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"restante/perf/plot/chart"
	"restante/perf/report"
)

// chart has those of the points that were asked for.
func (c *cli) chart(points []report.Point) (chart.Chart, error) {
	picture := chart.Chart{Title: c.Title, X: chart.Axis{Name: c.axis()}, Y: chart.Axis{Name: c.Y}}
	var chosen []report.Point
	for _, p := range points {
		if p.Sweep == c.X && p.Metric == c.Y && (c.Series == nil || c.Series.MatchString(p.Series)) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return picture, fmt.Errorf("nothing with %q over %q; see --list", c.Y, c.X)
	}
	picture.X.Unit, picture.Y.Unit = chosen[0].Unit, chosen[0].UnitY
	seen := map[string]map[float64]bool{}
	for _, p := range chosen {
		if p.Unit != picture.X.Unit || p.UnitY != picture.Y.Unit {
			return picture, fmt.Errorf("%s is in %q over %q, others are in %q over %q", p.Series, p.UnitY, p.Unit, picture.Y.Unit, picture.X.Unit)
		}
		at := slices.IndexFunc(picture.Series, func(s chart.Series) bool { return s.Name == p.Series })
		if at < 0 {
			at = len(picture.Series)
			picture.Series = append(picture.Series, chart.Series{Name: p.Series})
			seen[p.Series] = map[float64]bool{}
		}
		if seen[p.Series][p.X] {
			return picture, fmt.Errorf("%s is there twice at %v %s: from two runs, or at two conditions", p.Series, p.X, p.Unit)
		}
		seen[p.Series][p.X] = true
		s := &picture.Series[at]
		s.Points = append(s.Points, chart.Point{X: p.X, Y: p.Value, Min: p.Min, Max: p.Max})
	}
	picture.X.Log = c.logarithmic("x", picture.Series, func(p chart.Point) (float64, float64) { return p.X, p.X })
	picture.Y.Log = c.logarithmic("y", picture.Series, func(p chart.Point) (float64, float64) { return p.Min, p.Max })
	if picture.Title == "" {
		picture.Title = picture.Y.Name + " over " + picture.X.Name
	}
	picture.Finding = strings.TrimSpace(c.Note + " " + picture.Change())
	return picture, nil
}

// axis is the sweep, or what the number of a regular expression is called there.
func (c *cli) axis() string {
	if vary, err := regexp.Compile(c.X); err == nil && vary.NumSubexp() > 0 && vary.SubexpNames()[1] != "" {
		return vary.SubexpNames()[1]
	}
	return c.X
}

// wide is from which factor between the smallest and the largest value on a linear axis
// shows nothing of the small ones.
const wide = 100

func (c *cli) logarithmic(axis string, series []chart.Series, ends func(chart.Point) (float64, float64)) bool {
	if c.Log != "auto" {
		return c.Log != "none" && strings.Contains(c.Log, axis)
	}
	lo, hi := ends(series[0].Points[0])
	for _, s := range series {
		for _, p := range s.Points {
			low, high := ends(p)
			lo, hi = min(lo, low), max(hi, high)
		}
	}
	return lo > 0 && hi/lo >= wide
}

// list prints what can be drawn.
func list(w io.Writer, points []report.Point) error {
	type line struct{ sweep, metric, unit, series string }
	var order []line
	values := map[line][]string{}
	for _, p := range points {
		l := line{p.Sweep, p.Metric, p.UnitY, p.Series}
		if values[l] == nil {
			order = append(order, l)
		}
		values[l] = append(values[l], strings.TrimSpace(report.Short(p.X)+" "+p.Unit))
	}
	for _, l := range order {
		if _, err := fmt.Fprintf(w, "--x %q --y %q --series %q: %s at %s\n", l.sweep, l.metric, l.series, l.unit, strings.Join(values[l], ", ")); err != nil {
			return err
		}
	}
	return nil
}

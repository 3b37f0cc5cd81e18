package sweep

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"restante/perf/plot/chart"
	"restante/perf/report"
)

// Table writes the points of one sweep for a person: a line for each series and metric, a
// column for each value, and below it what changes, in a sentence for each metric.
func Table(w io.Writer, points []report.Point) error {
	if len(points) == 0 {
		return nil
	}
	var values []float64
	var lines, metrics []report.Point // the first of each
	for _, p := range points {
		if !slices.Contains(values, p.X) {
			values = append(values, p.X)
		}
		if !slices.ContainsFunc(lines, func(l report.Point) bool { return l.Series == p.Series && l.Metric == p.Metric }) {
			lines = append(lines, p)
		}
		if !slices.ContainsFunc(metrics, func(m report.Point) bool { return m.Metric == p.Metric }) {
			metrics = append(metrics, p)
		}
	}
	slices.Sort(values)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := []string{points[0].Sweep}
	for _, x := range values {
		head = append(head, strings.TrimSpace(report.Short(x)+" "+points[0].Unit))
	}
	_, _ = fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for _, l := range lines {
		cells := []string{strings.TrimSpace(l.Series + ", " + l.Metric + ", " + l.UnitY)}
		for _, x := range values {
			cell := "–"
			if p, ok := find(points, l.Series, l.Metric, x); ok {
				cell = report.Number(p.Value)
				if p.Rounds > 1 {
					cell += fmt.Sprintf(" (%s to %s)", report.Number(p.Min), report.Number(p.Max))
				}
			}
			cells = append(cells, cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range metrics {
		if said := change(points, m); said != "" {
			if _, err := fmt.Fprintln(w, said); err != nil {
				return err
			}
		}
	}
	return nil
}

func find(points []report.Point, series, metric string, x float64) (report.Point, bool) {
	i := slices.IndexFunc(points, func(p report.Point) bool { return p.Series == series && p.Metric == metric && p.X == x })
	if i < 0 {
		return report.Point{}, false
	}
	return points[i], true
}

// change is the sentence about one metric, as it stands below a plot.
func change(points []report.Point, m report.Point) string {
	c := chart.Chart{X: chart.Axis{Name: m.Sweep, Unit: m.Unit}, Y: chart.Axis{Name: m.Metric, Unit: m.UnitY}}
	for _, p := range points {
		if p.Metric != m.Metric {
			continue
		}
		i := slices.IndexFunc(c.Series, func(s chart.Series) bool { return s.Name == p.Series })
		if i < 0 {
			i = len(c.Series)
			c.Series = append(c.Series, chart.Series{Name: p.Series})
		}
		c.Series[i].Points = append(c.Series[i].Points, chart.Point{X: p.X, Y: p.Value, Min: p.Min, Max: p.Max})
	}
	return c.Change()
}

package sweep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"restante/perf/report"
)

// A Verdict says whether a target is met, with the figures.
type Verdict struct {
	Met  bool
	Text string
}

func (v Verdict) String() string {
	if v.Met {
		return "met: " + v.Text
	}
	return "missed: " + v.Text
}

// A target holds some of the points to something.
type target struct {
	sweep   string
	series  []string
	metrics []string
	judge   func(points []report.Point, limit float64) Verdict // in the order of what is varied, two at least
	limit   float64
}

const (
	// delayFactor is how much longer anything may take over a slow link, growth how much
	// more anything may cost where there is more of everything.
	delayFactor = 1.2
	growth      = 1.2
	// lagBeyond is how many ms a mail may take to the other data centre, on top of the
	// delay of the link.
	lagBeyond = 250
)

func targets() []target {
	costs := []string{RestanteCPU, CassandraCPU, P50}
	return []target{
		{sweep: Delay, series: []string{Delivery, Login, Retrieve, Removal}, metrics: []string{P50}, judge: times, limit: delayFactor},
		{sweep: Delay, series: []string{Lag}, metrics: []string{P99}, judge: behind, limit: lagBeyond},
		{sweep: Users, series: []string{Delivery, Login}, metrics: costs, judge: times, limit: growth},
		{sweep: Ever, series: []string{Delivery, Login}, metrics: costs, judge: times, limit: growth},
	}
}

// Judge says of each target whether the points meet it, as far as they tell.
func Judge(points []report.Point) []Verdict {
	var all []Verdict
	for _, t := range targets() {
		for _, series := range t.series {
			for _, metric := range t.metrics {
				var mine []report.Point
				for _, p := range points {
					if p.Sweep == t.sweep && p.Series == series && p.Metric == metric {
						mine = append(mine, p)
					}
				}
				slices.SortFunc(mine, func(a, b report.Point) int { return cmp.Compare(a.X, b.X) })
				if len(mine) < 2 {
					continue
				}
				v := t.judge(mine, t.limit)
				v.Text = fmt.Sprintf("%s, %s over %s: %s", series, metric, t.sweep, v.Text)
				all = append(all, v)
			}
		}
	}
	return all
}

// times holds all points to so many times the first one.
func times(points []report.Point, limit float64) Verdict {
	first := points[0]
	worst := points[1]
	for _, p := range points[1:] {
		if p.Value > worst.Value {
			worst = p
		}
	}
	text := fmt.Sprintf("%s at %s, after %s at %s", amount(worst), place(worst), amount(first), place(first))
	if first.Value <= 0 { // there is no ratio to zero
		return Verdict{Met: worst.Value <= 0, Text: text}
	}
	ratio := worst.Value / first.Value
	return Verdict{Met: ratio <= limit, Text: fmt.Sprintf("%.2f × at most (%s), of %s ×", ratio, text, report.Short(limit))}
}

// behind holds all points to what is varied, and so much more.
func behind(points []report.Point, limit float64) Verdict {
	worst := points[0]
	for _, p := range points[1:] {
		if p.Value-p.X > worst.Value-worst.X {
			worst = p
		}
	}
	return Verdict{
		Met:  worst.Value <= worst.X+limit,
		Text: fmt.Sprintf("%s at %s, of %s", amount(worst), place(worst), report.Short(worst.X+limit)+" "+worst.UnitY),
	}
}

func amount(p report.Point) string { return strings.TrimSpace(report.Short(p.Value) + " " + p.UnitY) }

func place(p report.Point) string { return strings.TrimSpace(report.Short(p.X) + " " + p.Unit) }

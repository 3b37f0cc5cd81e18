package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"restante/perf/report"
	"restante/perf/sweep"
)

// A law says what a cost of an operation depends on. Its figures are points of sweeps
// with that series and metric.
type law struct {
	series, metric string
	unit           string
	terms          []term
	// by is the sweep whose points tell how many statements an operation takes.
	by string
	// perCopy says that the cost is paid on every copy of the mail, in all data
	// centres: what was measured is divided by "copies".
	perCopy bool
}

// A term is what a condition of a point costs, each of it. The constant has no
// condition.
type term struct{ condition, each string }

func laws() []law {
	once, byStatement, bySize := term{"", ""}, term{sweep.Statements, "each statement"}, term{sweep.Size, "each KiB"}
	byRecipient, byMessage := term{sweep.Recipients, "each recipient"}, term{sweep.Messages, "each message listed"}
	deliver, login, retrieve := []term{once, byStatement, bySize, byRecipient}, []term{once, byStatement, byMessage}, []term{once, byStatement, bySize}
	return []law{
		{series: sweep.Delivery, metric: sweep.RestanteCPU, unit: "ms", terms: deliver, by: sweep.Size},
		{series: sweep.Delivery, metric: sweep.CassandraCPU, unit: "ms", terms: deliver, by: sweep.Size, perCopy: true},
		{series: sweep.Delivery, metric: sweep.Stored, unit: "octets", terms: []term{once, bySize, byRecipient}, perCopy: true},
		{series: sweep.Login, metric: sweep.RestanteCPU, unit: "ms", terms: login, by: sweep.Messages},
		{series: sweep.Login, metric: sweep.CassandraCPU, unit: "ms", terms: login, by: sweep.Messages},
		// Of an empty maildrop: what a listing costs is in the laws above.
		{series: sweep.FirstLogin, metric: sweep.RestanteCPU, unit: "ms", terms: []term{once}},
		{series: sweep.FirstLogin, metric: sweep.CassandraCPU, unit: "ms", terms: []term{once}},
		{series: sweep.Retrieve, metric: sweep.RestanteCPU, unit: "ms", terms: retrieve, by: sweep.Size},
		{series: sweep.Retrieve, metric: sweep.CassandraCPU, unit: "ms", terms: retrieve, by: sweep.Size},
	}
}

func (l law) name() string {
	if l.perCopy {
		return l.series + ", " + l.metric + " for each copy"
	}
	return l.series + ", " + l.metric
}

// A fitted is a law with what the points made of it.
type fitted struct {
	law
	fit
	from, to map[string]float64 // of each condition, where it was measured
	counted  []count            // by what the law is swept by, in order

	least, most float64 // of what was measured, on each copy where the law is of those
}

// A count is how many statements an operation takes somewhere in a sweep.
type count struct{ x, statements float64 }

// fitAll fits every law that there are points for.
func fitAll(points, held []report.Point) (model, error) {
	var all model
	points, held = counted(points), counted(held)
	for _, l := range laws() {
		mine, checks := l.choose(points), l.choose(held)
		if len(mine) == 0 {
			continue
		}
		// What was the same at all points cannot be told from the constant, which
		// then holds it.
		l.terms = slices.DeleteFunc(slices.Clone(l.terms), func(t term) bool { return t.condition != "" && !varies(t, mine) })
		observed, err := l.observe(mine)
		if err != nil {
			return nil, err
		}
		against, err := l.observe(checks)
		if err != nil {
			return nil, err
		}
		f, err := newFit(observed, against)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name(), err)
		}
		one := fitted{law: l, fit: f, from: map[string]float64{}, to: map[string]float64{}, least: observed[0].cost, most: observed[0].cost}
		for _, o := range observed {
			one.least, one.most = min(one.least, o.cost), max(one.most, o.cost)
		}
		for _, name := range []string{sweep.Size, sweep.Recipients, sweep.Messages, sweep.Copies} {
			for _, p := range mine {
				v, ok := p.Condition(name)
				if !ok {
					continue
				}
				if lo, seen := one.from[name]; !seen || v < lo {
					one.from[name] = v
				}
				one.to[name] = max(one.to[name], v)
			}
		}
		for _, p := range mine {
			if n, ok := p.Condition(sweep.Statements); ok && p.Sweep == l.by {
				one.counted = append(one.counted, count{p.X, n})
			}
		}
		slices.SortFunc(one.counted, func(a, b count) int { return cmp.Compare(a.x, b.x) })
		all = append(all, one)
	}
	return all, nil
}

// counted makes how many statements an operation took a condition of what it cost.
func counted(points []report.Point) []report.Point {
	type place struct {
		sweep, series string
		x             float64
	}
	statements := map[place]float64{}
	for _, p := range points {
		if p.Metric == sweep.Statements {
			statements[place{p.Sweep, p.Series, p.X}] = p.Value
		}
	}
	points = slices.Clone(points)
	for i, p := range points {
		if n, ok := statements[place{p.Sweep, p.Series, p.X}]; ok {
			p.At = maps.Clone(p.At)
			if p.At == nil {
				p.At = map[string]float64{}
			}
			p.At[sweep.Statements] = n
			points[i] = p
		}
	}
	return points
}

func (l law) choose(points []report.Point) []report.Point {
	var mine []report.Point
	for _, p := range points {
		if p.Series == l.series && p.Metric == l.metric {
			mine = append(mine, p)
		}
	}
	return mine
}

func varies(t term, points []report.Point) bool {
	first, _ := points[0].Condition(t.condition)
	return slices.ContainsFunc(points, func(p report.Point) bool {
		v, _ := p.Condition(t.condition)
		return v != first
	})
}

// observe has the factors of each point, and the least that it cost in any round: what else
// a machine does, such as to compile Java or to compact, only adds to that. A point that
// does not tell one of the factors, or that cost nothing, is refused: nobody knows what it
// stands for.
func (l law) observe(points []report.Point) ([]observation, error) {
	var all []observation
	for _, p := range points {
		o := observation{name: condition(p), cost: p.Min}
		if l.unit != p.UnitY {
			return nil, fmt.Errorf("%s at %s is in %q, not in %s", l.name(), o.name, p.UnitY, l.unit)
		}
		if o.cost <= 0 {
			return nil, fmt.Errorf("%s at %s is %v", l.name(), o.name, o.cost)
		}
		if l.perCopy {
			if n, ok := p.Condition(sweep.Copies); ok && n > 0 {
				o.cost /= n
			}
		}
		for _, t := range l.terms {
			v, ok := 1.0, true
			if t.condition != "" {
				v, ok = p.Condition(t.condition)
			}
			if !ok {
				return nil, fmt.Errorf("%s at %s does not tell %s", l.name(), o.name, t.condition)
			}
			o.factors = append(o.factors, v)
		}
		all = append(all, o)
	}
	return all, nil
}

// condition is where a point was measured, in words.
func condition(p report.Point) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Sweep, report.Short(p.X), p.Unit))
}

// cost is what the law says for an operation under conditions; a condition that is not
// told counts as none.
func (f fitted) cost(at map[string]float64) float64 {
	sum := 0.0
	for i, t := range f.terms {
		factor := 1.0
		switch t.condition {
		case "":
		case sweep.Statements:
			factor = f.statements(at)
		default:
			factor = at[t.condition]
		}
		sum += f.coefficients[i] * factor
	}
	return sum
}

// statements is how many an operation takes: as many as at the next measured place that is
// no less, and besides those that the conditions tell.
func (f fitted) statements(at map[string]float64) float64 {
	besides := at[sweep.Statements]
	if len(f.counted) == 0 {
		return besides
	}
	next := slices.IndexFunc(f.counted, func(c count) bool { return c.x >= at[f.by] })
	if next < 0 {
		next = len(f.counted) - 1
	}
	return f.counted[next].statements + besides
}

// A model is all laws that were fitted.
type model []fitted

// find is the law of a cost, and whether there is one.
func (m model) find(series, metric string) (fitted, bool) {
	i := slices.IndexFunc(m, func(f fitted) bool { return f.series == series && f.metric == metric })
	if i < 0 {
		return fitted{}, false
	}
	return m[i], true
}

// cost is what a law says, on all copies, and whether there is one.
func (m model) cost(series, metric string, at map[string]float64) (float64, bool) {
	f, ok := m.find(series, metric)
	if !ok {
		return 0, false
	}
	c := f.cost(at)
	if f.perCopy {
		c *= cmp.Or(at[sweep.Copies], 1)
	}
	return c, true
}

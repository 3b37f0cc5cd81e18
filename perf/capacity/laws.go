package main

import (
	"cmp"
	"fmt"
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
	// perCopy says that the cost is paid on every copy of the mail, in all data
	// centres: what was measured is divided by "copies".
	perCopy bool
}

// A term is what a condition of a point costs, each of it. The constant has no
// condition.
type term struct{ condition, each string }

func laws() []law {
	once, bySize := term{"", ""}, term{sweep.Size, "each KiB"}
	byRecipient, byMessage := term{sweep.Recipients, "each recipient"}, term{sweep.Messages, "each message listed"}
	return []law{
		{series: sweep.Delivery, metric: sweep.RestanteCPU, unit: "ms", terms: []term{once, bySize, byRecipient}},
		{series: sweep.Delivery, metric: sweep.CassandraCPU, unit: "ms", terms: []term{once, bySize, byRecipient}, perCopy: true},
		{series: sweep.Delivery, metric: sweep.Stored, unit: "octets", terms: []term{once, bySize, byRecipient}, perCopy: true},
		{series: sweep.Login, metric: sweep.RestanteCPU, unit: "ms", terms: []term{once, byMessage}},
		{series: sweep.Login, metric: sweep.CassandraCPU, unit: "ms", terms: []term{once, byMessage}},
		{series: sweep.Retrieve, metric: sweep.RestanteCPU, unit: "ms", terms: []term{once, bySize}},
		{series: sweep.Retrieve, metric: sweep.CassandraCPU, unit: "ms", terms: []term{once, bySize}},
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
}

// fitAll fits every law that there are points for.
func fitAll(points, held []report.Point) (model, error) {
	var all model
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
		one := fitted{law: l, fit: f, from: map[string]float64{}, to: map[string]float64{}}
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
		all = append(all, one)
	}
	return all, nil
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

// observe has the factors of each point. A point that does not tell one of them, or
// that cost nothing, is refused: nobody knows what it stands for.
func (l law) observe(points []report.Point) ([]observation, error) {
	var all []observation
	for _, p := range points {
		o := observation{name: condition(p), cost: p.Value}
		if l.unit != p.UnitY {
			return nil, fmt.Errorf("%s at %s is in %q, not in %s", l.name(), o.name, p.UnitY, l.unit)
		}
		if p.Value <= 0 {
			return nil, fmt.Errorf("%s at %s is %v", l.name(), o.name, p.Value)
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
		if t.condition != "" {
			factor = at[t.condition]
		}
		sum += f.coefficients[i] * factor
	}
	return sum
}

// A model is all laws that were fitted.
type model []fitted

// cost is that of a law, and whether there is one.
func (m model) cost(series, metric string, at map[string]float64) (float64, bool) {
	for _, f := range m {
		if f.series == series && f.metric == metric {
			c := f.cost(at)
			if f.perCopy {
				c *= cmp.Or(at[sweep.Copies], 1)
			}
			return c, true
		}
	}
	return 0, false
}

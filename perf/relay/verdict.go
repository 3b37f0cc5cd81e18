package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"restante/perf/latency"
	"restante/perf/report"
	"restante/perf/scenario"
)

// A verdict is what was found in a trial beside what was promised.
type verdict struct {
	name   string
	about  string // begins the names of what is added
	checks []check
	rows   []row
}

// A check is one promise.
type check struct {
	what    string
	found   float64
	promise string
	kept    bool
}

// A row is how long the mails of a part of the trial took, until the server answered
// and until they arrived.
type row struct {
	part              string
	answers, arrivals latency.Histogram
}

func (v *verdict) atMost(what string, found, bound float64) {
	v.checks = append(v.checks, check{v.about + what, found, "at most " + number(bound), found <= bound})
}

func (v *verdict) atLeast(what string, found, bound float64) {
	v.checks = append(v.checks, check{v.about + what, found, "at least " + number(bound), found >= bound})
}

func (v *verdict) within(what string, found, from, to float64) {
	v.checks = append(v.checks, check{v.about + what, found, number(from) + " to " + number(to), found >= from && found <= to})
}

func (v *verdict) exactly(what string, found, want int) {
	v.checks = append(v.checks, check{v.about + what, float64(found), fmt.Sprint(want), found == want})
}

// told is a figure that nobody has promised.
func (v *verdict) told(what string, found float64) {
	v.checks = append(v.checks, check{v.about + what, found, "", true})
}

// arrived are the promises of every trial: all is taken, what was taken has arrived, and
// nothing else.
func (v *verdict) arrived(l *ledger) {
	n := l.counts()
	v.atLeast("mails submitted", float64(n.submitted), 1)
	v.exactly("mails refused", n.refused, 0)
	v.exactly("mails not answered", n.unanswered, 0)
	v.exactly("mails taken and lost", n.missing, 0)
	v.exactly("arrivals that cannot be", len(l.faults), 0)
}

// copies are mails that arrived twice.
func (v *verdict) copies(l *ledger, most int) {
	v.atMost("mails handed over again", float64(l.counts().copies), float64(most))
}

// part adds the latencies of a part.
func (v *verdict) part(name string, l *ledger, w window) row {
	r := row{part: v.about + name}
	r.answers, r.arrivals = l.latencies(w)
	v.rows = append(v.rows, r)
	return r
}

func (v *verdict) broken() []string {
	var all []string
	for _, c := range v.checks {
		if !c.kept {
			all = append(all, fmt.Sprintf("%s: %s, promised %s", c.what, number(c.found), c.promise))
		}
	}
	return all
}

// write is the verdict for a person at a terminal.
func (v *verdict) write(out io.Writer) error {
	p := &printer{out: out}
	p.line("%s", v.name)
	if len(v.rows) > 0 {
		p.line("%-28s %7s   %-35s   %s", "", "", "until answered, ms", "until arrived, ms")
		p.line("%-28s %7s   %8s %8s %8s %8s   %8s %8s %8s %8s", "part", "mails", "p50", "p95", "p99", "max", "p50", "p95", "p99", "max")
	}
	for _, r := range v.rows {
		p.line("%-28s %7d   %s   %s", r.part, r.answers.Count(), quantiles(&r.answers), quantiles(&r.arrivals))
	}
	for _, c := range v.checks {
		verdict := "kept"
		switch {
		case c.promise == "":
			verdict = ""
		case !c.kept:
			verdict = "BROKEN"
		}
		p.line("%-68s %10s   %-16s %s", c.what, number(c.found), c.promise, verdict)
	}
	return p.err
}

func quantiles(h *latency.Histogram) string {
	var b strings.Builder
	for _, q := range []float64{0.5, 0.95, 0.99, 1} {
		fmt.Fprintf(&b, " %8s", number(ms(h.Quantile(q))))
	}
	return b.String()[1:]
}

// results are the verdict as other measurements are kept: a line for each part, and one
// for the promises.
func (v *verdict) results() []scenario.Result {
	whole := scenario.Result{Scenario: v.name, Figures: make(map[string]float64), Faults: v.broken()}
	for _, c := range v.checks {
		whole.Figures[c.what] = c.found
		if !c.kept {
			whole.Errors++
		}
	}
	results := []scenario.Result{whole}
	for _, r := range v.rows {
		h := &r.arrivals
		results = append(results, scenario.Result{
			Scenario: v.name + ": " + r.part, Operations: int64(h.Count()),
			P50: ms(h.Quantile(0.5)), P95: ms(h.Quantile(0.95)), P99: ms(h.Quantile(0.99)), Max: ms(h.Max()),
			Figures: map[string]float64{"answered p50 ms": ms(r.answers.Quantile(0.5)), "answered p99 ms": ms(r.answers.Quantile(0.99))},
		})
	}
	return results
}

// printer keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// number is v as elsewhere, but that a small count is written as one.
func number(v float64) string {
	if v < 100 && v == math.Trunc(v) {
		return fmt.Sprint(v)
	}
	return report.Number(v)
}

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"restante/perf/report"
	"restante/perf/scenario"
)

// An outcome is what one load came to.
type outcome struct {
	load
	sum    scenario.Result
	kinds  *[kinds]scenario.Tally
	counts counts
}

// results are those of the kinds, and then that of all together.
func (o outcome) results() []scenario.Result {
	var all []scenario.Result
	for k := range kinds {
		t := &o.kinds[k]
		f := figuresOf(t.Operations, &t.Latency)
		all = append(all, scenario.Result{
			Scenario: o.name + ", " + k.String(), Connections: o.users,
			Operations: t.Operations, Errors: t.Errors, Seconds: o.sum.Seconds, Rate: float64(t.Operations) / max(o.sum.Seconds, 1e-9),
			P50: f.p50, P95: f.p95, P99: f.p99, Max: f.max, Figures: map[string]float64{"p99.9 ms": f.p999}, Faults: t.Faults,
		})
	}
	return append(all, o.sum)
}

// write writes a table of the kinds, each figure with the published one behind it, and
// what it cost.
func (o outcome) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	name := o.name
	if o.published != nil {
		name += " (published)"
	}
	lines := []string{name + "\trequests\terrors\tp50 ms\tp95 ms\tp99 ms\tp99.9 ms\tmax ms\t"}
	for k := range kinds {
		t := &o.kinds[k]
		ours := figuresOf(t.Operations, &t.Latency)
		theirs, both := o.published[k]
		requests := fmt.Sprint(ours.requests)
		if both {
			requests += fmt.Sprintf(" (%d)", theirs.requests)
		}
		lines = append(lines, fmt.Sprintf("%v\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t", k, requests, t.Errors,
			beside(ours.p50, theirs.p50, both), beside(ours.p95, theirs.p95, both), beside(ours.p99, theirs.p99, both),
			beside(ours.p999, theirs.p999, both), beside(ours.max, theirs.max, both)))
	}
	s, n := o.sum, o.counts
	lines = append(lines, fmt.Sprintf("all\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t", s.Operations, s.Errors,
		report.Number(s.P50), report.Number(s.P95), report.Number(s.P99), report.Number(s.Figures["p99.9 ms"]), report.Number(s.Max)))
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "  %s requests/s for %.0f s; CPU %s ms a request of the server, %s ms of the tool, others' share %.2f; RSS %s MiB, at the peak %s\n"+
		"  %d mailboxes made, %d messages posted, %d removed; %d requests came too late for what another user removed; %d lost, %d otherwise wrong\n",
		report.Number(s.Rate), s.Seconds, report.Number(s.ServerCPU), report.Number(s.ToolCPU), s.Others, report.Number(s.RSS), report.Number(s.PeakRSS),
		n.made, n.posted, n.removed, n.gone, n.lost, n.wrong)
	return err
}

// beside is our figure, with the published one behind it if there is one.
func beside(ours, theirs float64, both bool) string {
	if !both {
		return report.Number(ours)
	}
	return fmt.Sprintf("%s (%g)", report.Number(ours), theirs)
}

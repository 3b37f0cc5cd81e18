package main

import (
	"fmt"
	"io"

	"restante/perf/report"
	"restante/perf/scenario"
)

// A table is written line by line, as the loads end.
type table struct {
	out    io.Writer
	headed bool
}

func newTable(out io.Writer) *table { return &table{out: out} }

const tableFormat = "%-36s %6s %9s %14s %9s %7s %7s %7s %8s %8s %7s %7s %7s %7s %6s %6s\n"

// rows are the results of one load.
func (t *table) rows(l load, results []scenario.Result, n counts) error {
	if !t.headed {
		t.headed = true
		if _, err := fmt.Fprintf(t.out, tableFormat, "load", "conns", "texts/s", "published", "requests", "errors", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms", "max ms",
			"CPU ms", "others", "RSS MiB", "lost", "bad"); err != nil {
			return err
		}
	}
	for _, r := range results {
		if _, err := fmt.Fprintf(t.out, tableFormat, r.Scenario, fmt.Sprint(r.Connections), report.Number(r.Figures["texts/s"]), l.published,
			fmt.Sprint(r.Operations), fmt.Sprint(r.Errors), report.Number(r.P50), report.Number(r.P95), report.Number(r.P99), report.Number(r.Figures["p99.9 ms"]), report.Number(r.Max),
			report.Number(r.ServerCPU), fmt.Sprintf("%.2f", r.Others), report.Number(r.PeakRSS), fmt.Sprint(n.lost), fmt.Sprint(n.bad()-n.lost)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.out, "%36s %d texts posted, %d returned, %d of those again; %d were too late for anybody to come\n", "", n.posted, n.returned, n.again, n.overdue)
	return err
}

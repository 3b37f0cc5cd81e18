package mission

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"restante/perf/report"
	"restante/perf/scenario"
)

// An Outcome is what a Test came to.
type Outcome struct {
	// Mails were due. Each was accepted, answered with 4xx or 5xx, lost with its
	// connection, given up after a wait, or left unsent when its time was over.
	Mails    int   `json:"mails"`
	Accepted int64 `json:"accepted"`
	Deferred int64 `json:"deferred"`
	Refused  int64 `json:"refused"`
	Lost     int64 `json:"connections_lost"`
	TimedOut int64 `json:"timeouts"`
	Unsent   int64 `json:"unsent"`
	// Waited is how many found no free connection, Queue how many of those at once.
	Waited int64 `json:"waited"`
	Queue  int   `json:"longest_queue"`
	// Sustained is accepted mails divided by the time until the last was.
	Sustained float64 `json:"sustained"`
	// Looks came right behind a 250; Missed of them did not see the mail.
	Looks  int64 `json:"looks"`
	Missed int64 `json:"missed"`

	Verdict   Verdict           `json:"verdict"`
	Latencies []Latency         `json:"latencies"`
	Phases    []scenario.Result `json:"phases"`
}

// Err tells what the server did wrong. That mail was seen late is no fault here.
func (o *Outcome) Err() error {
	var errs []error
	for _, count := range []struct {
		n    int64
		what string
	}{
		{o.Deferred, "answered with 4xx"}, {o.Refused, "answered with 5xx"}, {o.Lost, "lost with their connection"},
		{o.TimedOut, "never answered"}, {o.Unsent, "not sent in time"},
	} {
		if count.n > 0 {
			errs = append(errs, fmt.Errorf("%d of %d mails were %s", count.n, o.Mails, count.what))
		}
	}
	errs = append(errs, o.Verdict.Err())
	for _, p := range o.Phases {
		if p.Errors > 0 {
			errs = append(errs, fmt.Errorf("%s: %d failed: %s", p.Scenario, p.Errors, strings.Join(p.Faults, "; ")))
		}
	}
	return errors.Join(errs...)
}

// Latency is that of one command, zero if it was never answered.
func (o *Outcome) Latency(name string) Latency {
	for _, l := range o.Latencies {
		if l.Name == name {
			return l
		}
	}
	return Latency{Name: name}
}

// Measurements are the figures of a server, for a table with others beside it.
func (o *Outcome) Measurements(server string, round int) []report.Measurement {
	t := table{server: server, round: round}
	t.scenario = "mail"
	t.add("due", report.Neither, float64(o.Mails))
	t.add("accepted", report.Neither, float64(o.Accepted))
	t.add("sustained mails/s", report.More, o.Sustained)
	t.add("4xx", report.Neither, float64(o.Deferred))
	t.add("5xx", report.Neither, float64(o.Refused))
	t.add("connections lost", report.Neither, float64(o.Lost))
	t.add("timeouts", report.Neither, float64(o.TimedOut))
	t.add("unsent", report.Neither, float64(o.Unsent))
	t.add("found no free connection", report.Neither, float64(o.Waited))
	t.add("longest queue", report.Neither, float64(o.Queue))
	if o.Looks > 0 {
		t.add("logins right behind a 250", report.Neither, float64(o.Looks))
		t.add("of them without the mail", report.Neither, float64(o.Missed))
	}
	for _, l := range o.Latencies {
		t.latency(l)
	}
	for _, p := range o.Phases {
		t.phase(p)
	}
	t.verdict(o.Verdict)
	return t.rows
}

// table are the measurements of one server.
type table struct {
	server, scenario string
	round            int
	rows             []report.Measurement
}

func (t *table) add(figure string, better report.Better, value float64) {
	t.rows = append(t.rows, report.Measurement{
		Scenario: t.scenario, Figure: figure, Better: better, Server: t.server, Round: t.round, Value: value,
	})
}

func (t *table) latency(l Latency) {
	t.scenario = l.Name
	t.add("p50 ms", report.Less, l.P50)
	t.add("p95 ms", report.Less, l.P95)
	t.add("p99 ms", report.Less, l.P99)
	t.add("p99.9 ms", report.Less, l.P999)
	t.add("max ms", report.Less, l.Max)
}

// both is what servers are compared by: some keep their mail in a database, and the others
// do its work themselves.
const both = "server and database"

// phase has what is not in a latency already.
func (t *table) phase(p scenario.Result) {
	t.scenario = "phase " + p.Scenario
	t.add("operations/s", report.More, p.Rate)
	for _, name := range slices.Sorted(maps.Keys(p.Figures)) {
		t.add(name, report.Neither, p.Figures[name])
	}
	if p.PeakRSS == 0 {
		return // there was no process to look at
	}
	for _, used := range []struct {
		what   string
		server float64
		behind string
	}{
		{"CPU ms an operation", p.ServerCPU, CassandraCPU}, {"peak RSS MiB", p.PeakRSS, cassandraRSS}, {"PSS MiB", p.PSS, cassandraPSS},
	} {
		t.add(used.what+", "+both, report.Less, used.server+p.Figures[used.behind])
		t.add("server "+used.what, report.Neither, used.server)
	}
	t.add("tool CPU ms an operation", report.Neither, p.ToolCPU)
	t.add("others' CPU share", report.Neither, p.Others)
}

func (t *table) verdict(v Verdict) {
	t.scenario = "verdict"
	t.add("messages verified", report.Neither, float64(v.Verified))
	t.add("missing", report.Neither, float64(v.Missing))
	t.add("there twice", report.Neither, float64(v.Doubled))
	t.add("damaged", report.Neither, float64(v.Damaged))
	t.add("in a wrong maildrop", report.Neither, float64(v.Strange))
	t.add("maildrops with a wrong count", report.Neither, float64(v.Miscounted))
	t.add("maildrops with a wrong size", report.Neither, float64(v.Missized))
	t.add("there after their removal", report.Neither, float64(v.Left))
	t.add("maildrops that had all their mail late", report.Neither, float64(v.Late))
}

package mission

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/servertest"
)

func TestServersStandSideBySide(t *testing.T) {
	test := on(servertest.New(t))
	var records []Record
	for _, server := range []string{"postfix", "restante", "restante"} {
		records = append(records, NewRecord("mission", Party{Name: server, Version: server + " 1.0"}, outcome(t, test), nil))
	}
	bad := NewRecord("mission", Party{Name: "other"}, new(Curve), errors.New("it is not there"))
	c := Compare("mission", append(records, bad)...)
	var text, markdown strings.Builder
	if err := errors.Join(c.Text(&text), c.Markdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| scenario | figure | restante | postfix |", "| mail | due | 40.0 / **40.0** / 40.0 | **40.0** |", "- postfix: postfix 1.0", "- other: it is not there", "; 2 rounds"} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("there is no %q in\n%s", want, markdown.String())
		}
	}
	for _, want := range []string{fromDue, quitRemoving, "messages verified", "phase DELE and QUIT"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, text.String())
		}
	}

	var file bytes.Buffer
	if err := report.WriteLines(&file, records...); err != nil || strings.Count(file.String(), "\n") != 3 || !strings.Contains(file.String(), `"result":{"mails":40,`) {
		t.Errorf("%s, %v", file.String(), err)
	}
}

func TestACurveBecomesPointsOfAPlot(t *testing.T) {
	curve := &Curve{Highest: 20, Points: []Point{{Rate: 10, P50: 1, P99: 2}, {Rate: 20, P50: 3, P99: 4, ServerCPU: 2, DatabaseCPU: 5}}}
	r := NewRecord("rate", Party{Name: "restante", Version: "1"}, curve, nil)
	var file bytes.Buffer
	if err := report.WriteLines(&file, r.Points()...); err != nil {
		t.Fatal(err)
	}
	points, err := report.ReadPoints(&file)
	if err != nil || len(points) != 4 || points[1].X != 20 || points[1].Value != 3 || points[2].Metric != "p99" {
		t.Errorf("%+v, %v", points, err)
	}
	if m := Compare("rate", r).Measurements; len(m) != 5 || m[0].Value != 20 || m[2].Value != 4 {
		t.Errorf("%+v", m)
	}
}

// A server that leaves its mail to a database is compared by what both of them use.
func TestTheDatabaseBehindAServerCountsAsWell(t *testing.T) {
	of := func(server string, cassandra map[string]float64, o *Outcome, database float64) []Record {
		p := scenario.Result{Scenario: PhaseDeliver, Operations: 10, ServerCPU: 2, PeakRSS: 100, PSS: 50, Figures: cassandra}
		o.Phases = append(o.Phases, p)
		curve := &Curve{Highest: 20, Points: []Point{{Rate: 20, ServerCPU: 2, DatabaseCPU: database}}}
		return []Record{
			NewRecord("mission", Party{Name: server}, o, nil),
			NewRecord("rate", Party{Name: server}, curve, nil),
		}
	}
	ours := of("restante", map[string]float64{CassandraCPU: 6, cassandraRSS: 900, cassandraPSS: 850}, new(Outcome), 6)
	theirs := of("postfix", nil, new(Outcome), 0)
	var markdown strings.Builder
	for i := range ours {
		if err := Compare("both", ours[i], theirs[i]).Markdown(&markdown); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"| CPU ms an operation, server and database | **8.00** | **2.00** (0.250 ×) |", "| server CPU ms an operation | **2.00** | **2.00** |",
		"| peak RSS MiB, server and database | **1,000** | **100** (0.100 ×) |", "| PSS MiB, server and database | **900** | **50.0** (0.056 ×) |",
		"| CPU ms a mail, server and database | **8.00** | **2.00** (0.250 ×) |", "| server CPU ms a mail | **2.00** | **2.00** |",
	} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("there is no %q in\n%s", want, markdown.String())
		}
	}
}

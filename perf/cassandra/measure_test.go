package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"restante/perf/report"
)

func result(values map[string][2]float64) *report.Comparison {
	c := &report.Comparison{}
	for figure, v := range values {
		for i, server := range []string{report.Ours, bareName} {
			c.Measurements = append(c.Measurements, report.Measurement{
				Scenario: "one node: delivery of 4 KiB, 32 at a time", Figure: figure, Server: server, Round: 1, Value: v[i],
			})
		}
	}
	return c
}

func TestAVerdictComparesWithTheBareProgram(t *testing.T) {
	const of = "one node: delivery of 4 KiB, 32 at a time: "
	for _, c := range []struct {
		figure     string
		ours, bare float64
		want       string
	}{
		{mailRate, 300, 400, "mails/s ÷ bare 0.750, at least 0.600: met"},
		{mailRate, 200, 400, "mails/s ÷ bare 0.500, at least 0.600: **missed**"},
		{cassandraCPU, 0.39, 0.3, "Cassandra CPU ms ÷ bare 1.30, at most 1.30: met"},
		{cassandraCPU, 0.6, 0.3, "Cassandra CPU ms ÷ bare 2.00, at most 1.30: **missed**"},
		{ownCPU, 0.4, 0.001, "own CPU ms 0.400, at most 0.500: met"},
	} {
		if got := verdicts(result(map[string][2]float64{c.figure: {c.ours, c.bare}})); !slices.Equal(got, []string{of + c.want}) {
			t.Errorf("verdicts %q, want %q", got, of+c.want)
		}
	}
	if got := verdicts(result(map[string][2]float64{mailRate: {1, 0}, "p50 ms": {1, 1}})); got != nil {
		t.Errorf("verdicts of what was not measured: %q", got)
	}
}

func TestEveryTargetIsOfAScenario(t *testing.T) {
	names := map[string]bool{}
	for _, s := range plan(&measure{Large: 10_000, Churn: []int{100_000, 1_000_000}, Sessions: 1000, Uploads: 64}) {
		if names[s.name] {
			t.Errorf("two scenarios %q", s.name)
		}
		names[s.name] = true
	}
	for _, target := range targets {
		found := false
		for name := range names {
			found = found || strings.HasPrefix(name, target.scenario)
		}
		if !found {
			t.Errorf("no scenario %q", target.scenario)
		}
	}
}

func TestTheCommandLineIsWellFormed(t *testing.T) {
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse([]string{"measure", "--layouts", "1x1,2x3", "--churn", "0"}); err != nil || len(c.Measure.Layouts) != 2 {
		t.Errorf("parsed %+v, %v", c.Measure, err)
	}
}

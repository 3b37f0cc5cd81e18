package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"restante/perf/peer"
	"restante/perf/report"
)

func TestBenchmarksOfTheStoreAreRead(t *testing.T) {
	found := parseBenchmarks([]byte(`goos: linux
cpu: AMD EPYC
BenchmarkDeliver/32-2   	   39594	     13255 ns/op	 309.01 MB/s	 12 allocs/op
some log line of a test
BenchmarkDeliver/32-2   	   40000	     13000 ns/op	 310.00 MB/s	 12 allocs/op
PASS
ok  	restante/embedded	0.767s
`))
	want := []report.Measurement{
		{Scenario: "bare store, BenchmarkDeliver/32", Figure: "ns/op", Better: report.Less, Server: report.Ours, Round: 1, Value: 13255},
		{Scenario: "bare store, BenchmarkDeliver/32", Figure: "MB/s", Better: report.More, Server: report.Ours, Round: 1, Value: 309.01},
		{Scenario: "bare store, BenchmarkDeliver/32", Figure: "allocs/op", Better: report.Less, Server: report.Ours, Round: 1, Value: 12},
	}
	if len(found) != 6 || !slices.Equal(found[:3], want) || found[3].Round != 2 {
		t.Errorf("read %+v", found)
	}
}

func TestThePlanNamesEachScenarioOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range plan(&cli{Large: 5, Churn: 6, Messages: 7, Sessions: 8}) {
		if seen[s.name] || s.run == nil {
			t.Errorf("%q comes twice or does nothing", s.name)
		}
		seen[s.name] = true
	}
	var out strings.Builder
	if err := (&cli{List: true}).run(t.Context(), &out, io.Discard); err != nil || strings.Count(out.String(), "\n") != len(seen) {
		t.Errorf("the list is %q, %v", out.String(), err)
	}
}

// idle are contenders whose server is never asked for anything.
func idle(names ...string) []*contender {
	var all []*contender
	for _, name := range names {
		all = append(all, &contender{kind: peer.Kind{Name: name}})
	}
	return all
}

func TestServersTakeTurnsAndAFailureStopsOnlyItsOwnStep(t *testing.T) {
	var order []string
	note := func(name string, fails string) step {
		return step{
			name:  name,
			takes: func(*peer.Server) bool { return true },
			run: func(_ context.Context, _ *bench, c *contender) ([]figure, error) {
				order = append(order, name+"/"+c.kind.Name)
				figures := []figure{{name: "x", value: 1}, {name: "y", value: 2, of: "other"}}
				if c.kind.Name == fails {
					return figures[:1], errors.New("broken")
				}
				return figures, nil
			},
		}
	}
	b := &bench{cli: &cli{Rounds: 2}, progress: io.Discard, contenders: idle("a", "b", "c")}
	b.play(t.Context(), []step{note("one", ""), note("two", "b")})
	want := []string{ // what b told before it failed in step two counts
		"one/a", "one/b", "one/c", "two/a", "two/b", "two/c",
		"one/b", "one/c", "one/a", "two/c", "two/a",
	}
	if !slices.Equal(order, want) {
		t.Errorf("the order is %q, not %q", order, want)
	}
	if f := b.result.Failures; len(f) != 1 || !strings.Contains(f[0], "b: two, round 1: broken") {
		t.Errorf("failures %q", f)
	}
	if m := b.result.Measurements; len(m) != 21 || m[1].Server != "other" || m[0].Server != "a" {
		t.Errorf("%d measurements, %+v", len(m), m)
	}
}

func TestOnlyMatchingScenariosAreRun(t *testing.T) {
	b := &bench{cli: &cli{Only: regexp.MustCompile("^RETR")}}
	if steps := b.steps(); len(steps) != 1 || !strings.HasPrefix(steps[0].name, "RETR") {
		t.Errorf("%d steps match", len(steps))
	}
}

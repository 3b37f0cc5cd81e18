package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/perf/report"
	"restante/perf/scenario"
)

// read has the points of all files; vary finds the number in names of scenarios.
func read(files []string, vary *regexp.Regexp) ([]report.Point, error) {
	var all []report.Point
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		points, err := parse(file, raw, vary)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, points...)
	}
	return all, nil
}

// parse tells by its first value what a file is.
func parse(file string, raw []byte, vary *regexp.Regexp) ([]report.Point, error) {
	var is struct {
		Sweep, Scenario string
		Measurements    json.RawMessage
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&is); err != nil {
		return nil, err
	}
	switch {
	case is.Sweep != "":
		return report.ReadPoints(bytes.NewReader(raw))
	case is.Scenario != "":
		results, err := report.ReadLines(bytes.NewReader(raw))
		return ofResults(results), err
	case is.Measurements != nil:
		c, err := report.Load(file)
		if err != nil {
			return nil, err
		}
		if vary.NumSubexp() == 0 {
			return nil, fmt.Errorf("a comparison needs --x with a number in brackets, to find in: %s", strings.Join(c.Scenarios(), "; "))
		}
		return ofComparison(c, vary), nil
	}
	return nil, errors.New("neither points, results nor a comparison")
}

// ofResults sees loads as a sweep of their connections. A load that was measured more
// than once has rounds.
func ofResults(results []scenario.Result) []report.Point {
	var r report.Rounds
	for _, one := range results {
		series := strings.TrimSpace(one.Server + " " + one.Scenario)
		p := report.Point{Sweep: "connections", X: float64(one.Connections), Series: series}
		add := func(figure string, value float64) { r.Add(p.Measured(figure), value) }
		add("operations/s", one.Rate)
		add("p50 ms", one.P50)
		add("p95 ms", one.P95)
		add("p99 ms", one.P99)
		add("max ms", one.Max)
		add("server CPU ms", one.ServerCPU)
		add("tool CPU ms", one.ToolCPU)
		add("peak RSS MiB", one.PeakRSS)
		add("PSS MiB", one.PSS)
		for _, name := range slices.Sorted(maps.Keys(one.Figures)) {
			add(name, one.Figures[name])
		}
	}
	return r.Points()
}

// ofComparison sees scenarios whose names differ by one number as a sweep of it. The
// series are the servers, with what else is in the name.
func ofComparison(c *report.Comparison, vary *regexp.Regexp) []report.Point {
	var r report.Rounds
	for _, m := range c.Measurements {
		x, rest, ok := varied(m.Scenario, vary)
		if !ok {
			continue
		}
		r.Add(report.Point{
			Sweep: vary.String(), X: x, Series: strings.TrimRight(m.Server+", "+rest, " ,"),
			Date: c.Date.Format(time.DateOnly), Command: c.Command, Machine: c.Machine,
		}.Measured(m.Figure), m.Value)
	}
	return r.Points()
}

// varied is the number in a scenario's name that the first group of vary finds, and the
// name without what vary matches.
func varied(scenario string, vary *regexp.Regexp) (x float64, rest string, ok bool) {
	at := vary.FindStringSubmatchIndex(scenario)
	if len(at) < 4 || at[2] < 0 {
		return 0, "", false
	}
	x, err := strconv.ParseFloat(strings.ReplaceAll(scenario[at[2]:at[3]], ",", ""), 64)
	return x, strings.Trim(scenario[:at[0]]+scenario[at[1]:], " ,"), err == nil
}

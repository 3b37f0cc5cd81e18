package main

import (
	"fmt"
	"strings"

	"restante/perf/report"
)

// A target is a bound for a figure, or for its ratio to that of the bare program.
type target struct {
	scenario string // that the name of the scenario begins with, behind the layout
	figure   string
	ratio    bool
	least    bool // the bound is the least that is good, else the most
	bound    float64
}

// targets are what the server has to come to beside the bare program.
var targets = []target{
	{scenario: "delivery of 4 KiB, 32", figure: mailRate, ratio: true, least: true, bound: 0.6},
	{scenario: "delivery of 4 KiB, 32", figure: cassandraCPU, ratio: true, bound: 1.3},
	{scenario: "delivery of 4 KiB, 32", figure: ownCPU, bound: 0.5},
	{scenario: "delivery of 4 KiB at a fixed rate", figure: cassandraCPU, ratio: true, bound: 1.3},
	{scenario: "login + STAT of", figure: loginP50, ratio: true, bound: 1.5},
	{scenario: "RETR of 4 KiB in any order", figure: readRate, ratio: true, least: true, bound: 0.7},
	{scenario: "RETR of 4 KiB one after", figure: readRate, ratio: true, least: true, bound: 2},
	{scenario: "DELE of", figure: quitSeconds, bound: 1},
	{scenario: "login + STAT after", figure: timesEmpty, bound: 1.2},
	{scenario: "1000 open sessions", figure: peakRSS, bound: 128},
	{scenario: "64 deliveries of 25 MiB", figure: peakRSS, bound: 256},
}

// verdicts say of each target that was measured whether it is met, by the medians
// over the rounds.
func verdicts(c *report.Comparison) []string {
	var lines []string
	for _, s := range c.Scenarios() {
		_, behind, _ := strings.Cut(s, ": ")
		for _, t := range targets {
			if !strings.HasPrefix(behind, t.scenario) {
				continue
			}
			value, ok := c.Median(s, t.figure, report.Ours)
			if bare, known := c.Median(s, t.figure, bareName); t.ratio && ok {
				if ok = known && bare > 0; ok {
					value /= bare
				}
			}
			if ok {
				lines = append(lines, t.verdict(s, value))
			}
		}
	}
	return lines
}

func (t target) verdict(scenario string, value float64) string {
	of, bound, word := t.figure, "at most", "met"
	if t.ratio {
		of += " ÷ bare"
	}
	if t.least {
		bound = "at least"
	}
	if t.least && value < t.bound || !t.least && value > t.bound {
		word = "**missed**"
	}
	return fmt.Sprintf("%s: %s %s, %s %s: %s", scenario, of, report.Number(value), bound, report.Number(t.bound), word)
}

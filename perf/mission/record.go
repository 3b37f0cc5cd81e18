package mission

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"restante/perf/report"
)

// A Record is what one load on one server came to, as a line of JSON.
type Record struct {
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Command string    `json:"command"`
	Server  string    `json:"server"`
	Version string    `json:"version,omitempty"`

	// One of these.
	Mission *Outcome    `json:"mission,omitempty"`
	Rate    *Curve      `json:"rate,omitempty"`
	Lag     *LagOutcome `json:"lag,omitempty"`

	Failed string `json:"failed,omitempty"` // what was wrong
}

// NewRecord is of now, this machine and this command. Failed may be nil.
func NewRecord(server, version string, failed error) Record {
	r := Record{Date: time.Now().UTC().Truncate(time.Second), Machine: report.Machine(), Command: strings.Join(os.Args, " "), Server: server, Version: version}
	if failed != nil {
		r.Failed = failed.Error()
	}
	return r
}

func (r Record) measurements(round int) []report.Measurement {
	switch {
	case r.Mission != nil:
		return r.Mission.Measurements(r.Server, round)
	case r.Rate != nil:
		return r.Rate.Measurements(r.Server, round)
	case r.Lag != nil:
		return r.Lag.Measurements(r.Server, round)
	}
	return nil
}

// Compare puts records side by side, a column for each server. Those of the same server
// are rounds.
func Compare(name string, records ...Record) *report.Comparison {
	c := &report.Comparison{Name: name}
	rounds := map[string]int{}
	for _, r := range records {
		if c.Command == "" {
			c.Date, c.Machine, c.Command = r.Date, r.Machine, r.Command
		}
		if rounds[r.Server] == 0 {
			c.Servers = append(c.Servers, report.ServerInfo{Name: r.Server, Version: r.Version})
		}
		c.Measurements = append(c.Measurements, r.measurements(rounds[r.Server])...)
		rounds[r.Server]++
		c.Rounds = max(c.Rounds, rounds[r.Server])
		if r.Failed != "" {
			c.Failures = append(c.Failures, fmt.Sprintf("%s: %s", r.Server, r.Failed))
		}
	}
	return c
}

// Points are the curve as a plot reads it: p50 and p99 over the rate.
func (r Record) Points() []report.Point {
	if r.Rate == nil {
		return nil
	}
	var all []report.Point
	for _, p := range r.Rate.Points {
		at := report.Point{
			Sweep: "rate", X: p.Rate, Unit: "mails/s", Series: r.Server, UnitY: "ms",
			Date: r.Date.Format(time.RFC3339), Command: r.Command, Version: r.Version, Machine: r.Machine,
		}
		for metric, value := range map[string]float64{"p50": p.P50, "p99": p.P99} {
			one := at.Of(value)
			one.Metric = metric
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b report.Point) int { return strings.Compare(a.Metric, b.Metric) })
	return all
}

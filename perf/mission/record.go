package mission

import (
	"errors"
	"fmt"
	"time"

	"restante/perf/report"
)

// What a load came to.
type Measured interface {
	// Err tells what the server did wrong.
	Err() error
	// Measurements are the figures of a server, for a table with others beside it.
	Measurements(server string, round int) []report.Measurement
}

// A Record is what one load on one server came to, as a line of JSON.
type Record struct {
	report.Run

	Server string   `json:"server"`
	Result Measured `json:"result"`
	Failed string   `json:"failed,omitempty"` // what was wrong
}

// NewRecord is of now, this machine and this command. Err, which may be nil, is why the
// load ended early.
func NewRecord(kind string, p Party, result Measured, err error) Record {
	r := Record{Run: report.NewRun(kind, p.Version), Server: p.Name, Result: result}
	if err := errors.Join(err, result.Err()); err != nil {
		r.Failed = err.Error()
	}
	return r
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
		c.Measurements = append(c.Measurements, r.Result.Measurements(r.Server, rounds[r.Server])...)
		rounds[r.Server]++
		c.Rounds = max(c.Rounds, rounds[r.Server])
		if r.Failed != "" {
			c.Failures = append(c.Failures, fmt.Sprintf("%s: %s", r.Server, r.Failed))
		}
	}
	return c
}

// Points are a curve as a plot reads it: p50 and p99 over the rate.
func (r Record) Points() []report.Point {
	curve, ok := r.Result.(*Curve)
	if !ok {
		return nil
	}
	var p50, p99 []report.Point
	for _, p := range curve.Points {
		point := report.Point{
			Sweep: "rate", X: p.Rate, Unit: "mails/s", Series: r.Server, UnitY: "ms",
			Date: r.Date.Format(time.RFC3339), Command: r.Command, Version: r.Version, Machine: r.Machine,
		}
		point.Metric = "p50"
		p50 = append(p50, point.Of(p.P50))
		point.Metric = "p99"
		p99 = append(p99, point.Of(p.P99))
	}
	return append(p50, p99...)
}

package scenario

import (
	"context"
	"time"

	"restante/perf/proc"
)

// A Result is one measured load, as it is written and read as JSON.
type Result struct {
	Scenario    string  `json:"scenario"`
	Server      string  `json:"server,omitempty"`
	Connections int     `json:"connections,omitempty"`
	Operations  int64   `json:"operations"`
	Errors      int64   `json:"errors"`
	Octets      int64   `json:"octets"`
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"rate"` // operations a second

	// Latency of an operation in ms.
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms,omitempty"`
	Max  float64 `json:"max_ms"`

	// CPU in ms for each operation, and the share of the machine that others took.
	ServerCPU float64 `json:"server_cpu_ms"`
	ToolCPU   float64 `json:"tool_cpu_ms"`
	Others    float64 `json:"others"`

	// Memory of the server in MiB: the peak during the load, and what was left.
	PeakRSS float64 `json:"peak_rss_mib"`
	RSS     float64 `json:"rss_mib"`
	PSS     float64 `json:"pss_mib"`

	Figures map[string]float64 `json:"figures,omitempty"`
	Faults  []string           `json:"faults,omitempty"`
}

// A Runner is any scenario.
type Runner interface {
	Run(ctx context.Context) (*Tally, error)
}

// Measure runs a load and measures the trees of the given server processes with
// it. There is a result if the load began at all, even if it failed later.
func Measure(ctx context.Context, name string, r Runner, pids ...int) (Result, error) {
	meter, err := proc.Start(proc.System{}, pids...)
	if err != nil {
		return Result{Scenario: name}, err
	}
	tally, runErr := r.Run(ctx)
	report, err := meter.Stop()
	if runErr != nil {
		err = runErr
	}
	if tally == nil {
		return Result{Scenario: name}, err
	}
	return result(name, tally, report), err
}

func result(name string, t *Tally, r proc.Report) Result {
	operations := float64(max(t.Operations, 1))
	return Result{
		Scenario:   name,
		Operations: t.Operations, Errors: t.Errors, Octets: t.Octets,
		Seconds: t.Elapsed.Seconds(),
		Rate:    float64(t.Operations) / max(t.Elapsed.Seconds(), 1e-9),
		P50:     ms(t.Latency.Quantile(0.50)), P95: ms(t.Latency.Quantile(0.95)),
		P99: ms(t.Latency.Quantile(0.99)), P999: ms(t.Latency.Quantile(0.999)), Max: ms(t.Latency.Max()),
		ServerCPU: ms(r.Server) / operations, ToolCPU: ms(r.Tool) / operations,
		Others:  r.Others,
		PeakRSS: mib(r.PeakRSS), RSS: mib(r.RSS), PSS: mib(r.PSS),
		Figures: t.Figures, Faults: t.Faults,
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mib(octets int64) float64 { return float64(octets) / (1 << 20) }

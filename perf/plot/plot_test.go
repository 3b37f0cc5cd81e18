package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/report"
	"restante/perf/scenario"
)

// plot is the command with a file of that text.
func plot(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "measured.json")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(append([]string{file}, args...)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = c.run(&out)
	return out.String(), err
}

func lines[T scenario.Result | report.Point](t *testing.T, all ...T) string {
	t.Helper()
	var b strings.Builder
	if err := report.WriteLines(&b, all...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func delays(t *testing.T) string {
	var all []report.Point
	for _, series := range []string{"login", "delivery", "QUIT"} {
		for i, x := range []float64{0, 1, 10, 50} {
			p := report.Point{Sweep: "delay", X: x, Unit: "ms", Series: series, Metric: "p50", UnitY: "ms"}
			all = append(all, p.Of(float64(len(series)), float64(len(series)+i)))
			p.Metric, p.UnitY = "rate", "/s"
			all = append(all, p.Of(100))
		}
	}
	return lines(t, all...)
}

func TestASweepIsDrawn(t *testing.T) {
	svg, err := plot(t, delays(t), "--x", "delay", "--y", "p50", "--series", "login|QUIT", "--title", "The title", "--note", "A note.")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The title", "A note. p50 at 50 ms compared with 0 ms: login 1.30 × (1.00 to 1.60); QUIT", "login, 10 ms: 6 ms (5 to 7)", "p50, ms"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "delivery") {
		t.Error("a series is drawn that was not asked for")
	}
}

func TestLoadsAreASweepOfConnections(t *testing.T) {
	text := lines(t,
		scenario.Result{Scenario: "login", Connections: 1, P50: 2, Figures: map[string]float64{"MiB/s": 5}},
		scenario.Result{Scenario: "login", Connections: 8, P50: 3, Figures: map[string]float64{"MiB/s": 6}},
		scenario.Result{Scenario: "login", Connections: 8, P50: 5, Figures: map[string]float64{"MiB/s": 6}})
	svg, err := plot(t, text, "--x", "connections", "--y", "p50")
	if err != nil || !strings.Contains(svg, "login, 8: 4 ms (3 to 5)") {
		t.Errorf("%v in\n%s", err, svg)
	}
	if svg, err = plot(t, text, "--x", "connections", "--y", "MiB/s"); err != nil || !strings.Contains(svg, "login, 8: 6<") {
		t.Errorf("a figure of one scenario: %v in\n%s", err, svg)
	}
}

func TestScenariosThatDifferByANumberAreASweep(t *testing.T) {
	c := &report.Comparison{Name: "x", Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	for _, m := range []struct {
		scenario string
		value    float64
	}{{"LMTP, 1 connection", 10}, {"LMTP, 1 connection", 12}, {"LMTP, 1,000 connections", 400}, {"POP3, 8 connections", 7}, {"start-up", 3}} {
		c.Measurements = append(c.Measurements, report.Measurement{Scenario: m.scenario, Figure: "mails/s", Server: "ours", Value: m.value})
	}
	path, err := c.Save(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	points, err := read([]string{path}, regexp.MustCompile(`(?P<connections>[\d,]+) connections?`))
	if err != nil || len(points) != 3 {
		t.Fatalf("%+v, %v", points, err)
	}
	if p := points[0]; p.X != 1 || p.Value != 11 || p.Min != 10 || p.Rounds != 2 || p.Series != "ours, LMTP" {
		t.Errorf("the first is %+v", p)
	}
	if p := points[1]; p.X != 1000 || p.Series != "ours, LMTP" {
		t.Errorf("the second is %+v", p)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	svg, err := plot(t, string(raw), "--x", `(?P<connections>[\d,]+) connections?`, "--y", "mails/s")
	if err != nil || !strings.Contains(svg, "mails/s over connections") {
		t.Errorf("%v in\n%s", err, svg)
	}
	if _, err := plot(t, string(raw)); err == nil || !strings.Contains(err.Error(), "POP3, 8 connections") {
		t.Errorf("without a number: %v", err)
	}
}

func TestWhatIsInAFileIsListed(t *testing.T) {
	out, err := plot(t, delays(t), "--list")
	if want := `--x "delay" --y "p50" --series "login": ms at 0 ms, 1 ms, 10 ms, 50 ms` + "\n"; err != nil || !strings.Contains(out, want) {
		t.Errorf("%v in\n%s", err, out)
	}
}

func TestWhatWouldMisleadIsRefused(t *testing.T) {
	one := report.Point{Sweep: "delay", X: 1, Unit: "ms", Series: "login", Metric: "p50", UnitY: "ms"}.Of(1)
	seconds, other := one, one
	seconds.X, seconds.UnitY = 10, "s"
	other.At = map[string]float64{"size": 64}
	for name, text := range map[string]string{
		"two units":           lines(t, one, seconds),
		"two conditions":      lines(t, one, other),
		"something else":      `{"a": 1}`,
		"another metric":      strings.ReplaceAll(lines(t, one), "p50", "p99"),
		"a point of nothing":  `{"sweep": "delay", "series": "a", "metric": "p50"}`,
		"no JSON":             "sweep",
		"a later comparison ": `{"format": 99, "measurements": []}`,
	} {
		if svg, err := plot(t, text, "--x", "delay", "--y", "p50"); err == nil {
			t.Errorf("%s: %s", name, svg)
		}
	}
}

func TestAnAxisIsLogarithmicWhereOneWouldNotSeeSmallValues(t *testing.T) {
	sweep := func(xs ...float64) string {
		var all []report.Point
		for _, x := range xs {
			all = append(all, report.Point{Sweep: "size", X: x, Series: "a", Metric: "p50"}.Of(5))
		}
		return lines(t, all...)
	}
	for _, c := range []struct {
		text, log, want string
	}{
		{sweep(1, 100), "auto", ">10<"},
		{sweep(1, 50), "auto", ">30<"},
		{sweep(1, 100), "none", ">40<"},
		{sweep(0, 100), "auto", ">40<"},
		{sweep(1, 50), "x", ">5<"},
	} {
		svg, err := plot(t, c.text, "--x", "size", "--y", "p50", "--log", c.log)
		if err != nil || !strings.Contains(svg, `class="soft mid"`) || !strings.Contains(svg, c.want) {
			t.Errorf("%s with --log %s: no %s: %v\n%s", c.text, c.log, c.want, err, svg)
		}
	}
}

func TestAFileThatCannotBeDrawnAnewStaysAsItWas(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a.svg")
	if err := os.WriteFile(out, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	zero := lines(t, report.Point{Sweep: "delay", Series: "a", Metric: "p50"}.Of(0))
	if _, err := plot(t, zero, "--x", "delay", "--y", "p50", "--log", "x", "-o", out); err == nil {
		t.Error("zero is on a logarithmic axis")
	}
	if raw, err := os.ReadFile(out); err != nil || string(raw) != "before" {
		t.Errorf("the file has %q, %v", raw, err)
	}
	if said, err := plot(t, delays(t), "--x", "delay", "--y", "p50", "-o", out); err != nil || !strings.HasPrefix(said, "p50 at 50 ms") {
		t.Errorf("said %q, %v", said, err)
	}
	if raw, err := os.ReadFile(out); err != nil || !bytes.HasPrefix(raw, []byte("<svg ")) {
		t.Errorf("the file has %q, %v", raw, err)
	}
}

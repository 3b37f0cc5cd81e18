package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestPointsAreReadAsTheyWereWritten(t *testing.T) {
	written := []Point{
		Point{Sweep: "delay", X: 50, Unit: "ms", Series: "login", Metric: "p50", UnitY: "ms",
			At: map[string]float64{"size": 4}, Machine: "2 processors", Command: "twodc sweep"}.Of(3, 1, 2),
		Point{Sweep: "size", X: 1, Series: "delivery", Metric: "stored"}.Of(7),
	}
	if p := written[0]; p.Value != 2 || p.Min != 1 || p.Max != 3 || p.Rounds != 3 {
		t.Errorf("three rounds are %+v", p)
	}
	var file bytes.Buffer
	if err := WriteLines(&file, written...); err != nil {
		t.Fatal(err)
	}
	read, err := ReadPoints(&file)
	if err != nil || !reflect.DeepEqual(read, written) {
		t.Errorf("read %+v, %v", read, err)
	}
}

func TestALineThatIsNoPointIsRefused(t *testing.T) {
	for _, line := range []string{
		`{"scenario":"login","p50_ms":3}`,
		`{"sweep":"delay","series":"login","metric":"p50"}`,
		`{"sweep":"delay","series":"login","metric":"p50","value":5,"min":6,"max":7,"rounds":3}`,
		`{"sweep":`,
	} {
		if points, err := ReadPoints(strings.NewReader(line)); err == nil {
			t.Errorf("%s is read as %+v", line, points)
		}
	}
}

func TestAConditionIsVariedOrTheSame(t *testing.T) {
	p := Point{Sweep: "size", X: 64, At: map[string]float64{"recipients": 2}}
	for name, want := range map[string]float64{"size": 64, "recipients": 2} {
		if got, ok := p.Condition(name); !ok || got != want {
			t.Errorf("%s is %v, %v", name, got, ok)
		}
	}
	if got, ok := p.Condition("delay"); ok {
		t.Errorf("what nobody told is %v", got)
	}
}

func TestAFigureIsAMetricAndItsUnit(t *testing.T) {
	for figure, want := range map[string][2]string{
		"p50 ms":                  {"p50", "ms"},
		"login + STAT p99 ms":     {"login + STAT p99", "ms"},
		"messages/s":              {"messages/s", ""},
		"server CPU ms in all":    {"server CPU ms in all", ""},
		"ms":                      {"ms", ""},
		"RSS MiB":                 {"RSS", "MiB"},
		"statements an operation": {"statements an operation", ""},
	} {
		p := Point{Metric: "before", UnitY: "before"}.Measured(figure)
		if got := [2]string{p.Metric, p.UnitY}; got != want {
			t.Errorf("%q is %q, not %q", figure, got, want)
		}
	}
}

package chart

import (
	"strings"
	"testing"
)

func TestTheChangeIsSaidAsItWasMeasured(t *testing.T) {
	ms := Chart{X: Axis{Name: "delay", Unit: "ms"}, Y: Axis{Name: "p50", Unit: "ms"}}
	for _, c := range []struct {
		name   string
		series []Series
		want   string
	}{
		{"rounds that differ", []Series{{"login", []Point{{50, 5.2, 5, 6}, {0, 5, 4, 5}}}},
			"p50 at 50 ms compared with 0 ms: login 1.04 × (1.00 to 1.50)."},
		{"one round", []Series{{"login", []Point{{0, 5, 5, 5}, {50, 10, 10, 10}}}},
			"p50 at 50 ms compared with 0 ms: login 2.00 ×."},
		{"a hump", []Series{{"login", []Point{{0, 5, 5, 5}, {10, 20, 20, 20}, {50, 5, 5, 6}}}},
			"p50 at 50 ms compared with 0 ms: login 1.00 × (1.00 to 1.20), but 4.00 × at 10 ms."},
		{"a hump within the rounds", []Series{{"login", []Point{{0, 5, 4, 6}, {10, 5.5, 5.5, 5.5}, {50, 5, 4, 6}}}},
			"p50 at 50 ms compared with 0 ms: login 1.00 × (0.67 to 1.50)."},
		{"from nothing", []Series{{"timeouts", []Point{{0, 0, 0, 0}, {50, 7, 7, 7}}}},
			"p50 at 50 ms compared with 0 ms: timeouts 7 ms after 0 ms."},
		{"other ends", []Series{{"a", []Point{{0, 1, 1, 1}, {50, 2, 2, 2}}}, {"b", []Point{{1, 1, 1, 1}, {50, 3, 3, 3}}}},
			"p50: a at 50 ms compared with 0 ms 2.00 ×; b at 50 ms compared with 1 ms 3.00 ×."},
		{"nothing to compare", []Series{{"a", []Point{{0, 1, 1, 1}}}}, ""},
	} {
		ms.Series = c.series
		if got := ms.Change(); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
	if got := lengths().Change(); !strings.Contains(got, "at 25 MiB compared with 1 KiB") {
		t.Errorf("sizes are said as %q", got)
	}
}

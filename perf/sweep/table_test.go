package sweep

import (
	"strings"
	"testing"

	"restante/perf/report"
)

// figures are points of one series and metric.
func figures(sweep, series, metric string, values map[float64][]float64) []report.Point {
	var all []report.Point
	for x, v := range values {
		all = append(all, report.Point{Sweep: sweep, X: x, Series: series, Metric: metric, UnitY: "ms"}.Of(v...))
	}
	return all
}

func TestATableHasAColumnForEachValue(t *testing.T) {
	points := figures(Users, Delivery, P50, map[float64][]float64{80: {2, 3, 4}, 1000: {3}})
	points = append(points, figures(Users, FirstLogin, P50, map[float64][]float64{80: {20}})...)
	var out strings.Builder
	if err := Table(&out, points); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"users 80 1,000 delivery, p50, ms 3.00 (2.00 to 4.00) 3.00 first login, p50, ms 20.0 –",
		"p50: delivery at 1,000 compared with 80 1.00 × (0.75 to 1.50)",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := Table(&out, nil); err != nil || out.Len() > 0 {
		t.Errorf("of nothing there is %q, %v", out.String(), err)
	}
}

func TestATargetIsMetOrMissedWithItsFigures(t *testing.T) {
	for name, c := range map[string]struct {
		points []report.Point
		want   string // empty: nothing is said
	}{
		"as much":       {figures(Users, Login, P50, map[float64][]float64{80: {2}, 1000: {2.4}}), "met: login, p50 over users: 1.20 × at most (2.4 ms at 1,000, after 2 ms at 80), of 1.2 ×"},
		"more":          {figures(Users, Login, CassandraCPU, map[float64][]float64{80: {2}, 1000: {2.5}, 10_000: {2.1}}), "missed: login, Cassandra CPU over users: 1.25 × at most (2.5 ms at 1,000, after 2 ms at 80), of 1.2 ×"},
		"from nothing":  {figures(Ever, Login, RestanteCPU, map[float64][]float64{10: {0}, 1000: {1}}), "missed: login, Restante CPU over ever: 1 ms at 1,000, after 0 ms at 10"},
		"in time":       {figures(Delay, Lag, P99, map[float64][]float64{0: {200}, 50: {300}}), "met: lag, p99 over delay: 300 ms at 50, of 300 ms"},
		"late":          {figures(Delay, Lag, P99, map[float64][]float64{0: {251}, 50: {300}}), "missed: lag, p99 over delay: 251 ms at 0, of 250 ms"},
		"one alone":     {figures(Users, Login, P50, map[float64][]float64{80: {2}}), ""},
		"not a promise": {figures(Size, Delivery, P50, map[float64][]float64{1: {2}, 1000: {200}}), ""},
	} {
		var said []string
		for _, v := range Judge(c.points) {
			said = append(said, v.String())
		}
		if got := strings.Join(said, "\n"); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

package scenario

import (
	"os"
	"testing"

	"restante/perf/servertest"
)

func TestMeasureAddsWhatTheServerUsed(t *testing.T) {
	f := servertest.New(t)
	r, err := Measure(t.Context(), "deliver", Deliver{Load: load(f.SMTP, 2, 200), Size: 4000, From: "a@b"}, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if r.Scenario != "deliver" || r.Operations != 200 || r.Rate <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 {
		t.Errorf("result %+v", r)
	}
	if r.ToolCPU <= 0 || r.PeakRSS <= 0 || r.PSS <= 0 {
		t.Errorf("the server here is the test itself and has used nothing: %+v", r)
	}
	if _, err := Measure(t.Context(), "deliver", Deliver{}, os.Getpid()); err == nil {
		t.Error("a load that did not begin has a result")
	}
}

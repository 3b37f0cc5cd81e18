package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"restante/perf/rig"
)

// A short form of what the command does.
func TestRestanteKeepsItsWordAboutTexts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	c := cli{
		settings: settings{
			Seconds: 4 * time.Second, Rate: []float64{100}, Duration: time.Second, Silence: time.Second, Users: 200,
		},
		Choice: rig.Choice{Only: "published, 100 |64|1 to 3|silent|texts/s"}, Service: rig.Service{Store: "embedded", Temp: t.TempDir()},
	}
	var out strings.Builder
	if err := c.run(ctx, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, line := range []string{"published, 100 users", "one hot user", "timeouts of 1 to 3 s", "then at once", "100 texts/s"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("there is no line of %q in\n%s", line, &out)
		}
	}
}

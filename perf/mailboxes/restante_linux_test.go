package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"restante/perf/rig"
)

// A short form of what the command does.
func TestRestanteKeepsItsWordAboutMailboxes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	c := cli{
		settings: settings{
			Users: []int{40}, Time: 4 * time.Second, Think: 100 * time.Millisecond, Spawn: 50,
			Rate: []float64{100}, Duration: 2 * time.Second, Connections: 16,
		},
		Service: rig.Service{Store: "embedded", Temp: t.TempDir()},
	}
	var out strings.Builder
	if err := c.run(ctx, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, line := range []string{"40 users", "100 requests/s", "read page", "remove mailbox"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("there is no line of %q in\n%s", line, &out)
		}
	}
}

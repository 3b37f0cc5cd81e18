package main

import (
	"strings"
	"testing"
	"time"
)

// A short form of what the command does.
func TestMailLeavesWhileAServiceDiesAndComesBack(t *testing.T) {
	h := headline{
		settings: settings{Store: "embedded", Temp: t.TempDir()},
		Rate:     100, Octets: 2048, Slow: 50 * time.Millisecond, Kills: 1, Before: 4 * time.Second, Dead: 6 * time.Second, After: 5 * time.Second, Retry: true,
	}
	var out strings.Builder
	if err := h.Run(t.Context(), &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, line := range []string{"mails taken and lost", "kill 1: node 1 gives it no more mail after", "kill 1 and 10 s after"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("there is no line of %q in\n%s", line, &out)
		}
	}
}

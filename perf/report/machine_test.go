package report

import (
	"strings"
	"testing"
)

func TestTheCommandIsNotWhereItWasBuilt(t *testing.T) {
	// A test's program is that of its package.
	if c := Command(); !strings.HasPrefix(c, "go run ./perf/report") {
		t.Errorf("%q", c)
	}
}

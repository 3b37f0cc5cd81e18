package mission

import (
	"math"
	"os"
	"testing"
	"time"

	"restante/perf/proc"
	"restante/perf/scenario"
)

// This process stands for a database.
func TestWhatADatabaseUsesIsToldForEachOperation(t *testing.T) {
	now := func() time.Duration {
		u, err := proc.System{}.Tree(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return u.CPU
	}
	ended, err := Behind(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for work, began := 0.0, now(); now() < began+50*time.Millisecond; work++ {
		_ = math.Sqrt(work)
	}
	r := scenario.Result{Operations: 5, Others: 1}
	figures, err := ended(&r)
	if err != nil {
		t.Fatal(err)
	}
	if figures[CassandraCPU] < 10 || figures[cassandraRSS] <= 0 || figures[cassandraPSS] <= 0 || r.Others >= 1 {
		t.Errorf("%v, and others %v", figures, r.Others)
	}
}

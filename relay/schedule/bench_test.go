package schedule

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPick chooses among a thousand. On a machine with others on it, the time of the
// processor says more than that of the clock.
func BenchmarkPick(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			s, err := New(name)
			if err != nil {
				b.Fatal(err)
			}
			all := targets(s, slices.Repeat([]float64{100, 50, 200, 10}, 250)...)
			for _, t := range all {
				for range rand.IntN(4) {
					t.Begin()
				}
			}
			fit := func(t *Target) bool { return t.Outstanding() < 16 }
			before := processorTime(b)
			for b.Loop() {
				if s.Pick("example.org", fit) == nil {
					b.Fatal("nobody was picked")
				}
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

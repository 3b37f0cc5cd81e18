package scenario

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// work is a worker whose operations are a function.
type work func(i int) error

func (w work) do(_ context.Context, i int) (int64, error) { return 10, w(i) }

func (w work) close() {}

func takes(d time.Duration) func(int) worker {
	return func(int) worker {
		return work(func(int) error {
			time.Sleep(d)
			return nil
		})
	}
}

func TestAClosedLoopBeginsWhenTheLastOneIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally, err := drive(t.Context(), Load{Connections: 2, Duration: 10 * time.Second}, takes(time.Second))
		if err != nil || tally.Operations != 20 || tally.Octets != 200 {
			t.Errorf("%d operations, %d octets, %v", tally.Operations, tally.Octets, err)
		}
		if tally.Latency.Max() != time.Second || tally.Elapsed != 10*time.Second {
			t.Errorf("at most %v, in %v", tally.Latency.Max(), tally.Elapsed)
		}
	})
}

func TestAnOpenLoopCountsFromTheTimeAnOperationIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One connection, an operation a second due, two seconds for each: the
		// last of ten is due at 9 s and answered at 20 s.
		tally, err := drive(t.Context(), Load{Connections: 1, Count: 10, Rate: 1}, takes(2*time.Second))
		if err != nil || tally.Latency.Min() != 2*time.Second || tally.Latency.Max() != 11*time.Second {
			t.Errorf("latencies %v to %v, %v", tally.Latency.Min(), tally.Latency.Max(), err)
		}
	})
}

func TestAnOpenLoopWaitsForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally, err := drive(t.Context(), Load{Connections: 3, Duration: 5 * time.Second, Rate: 10}, takes(time.Millisecond))
		if err != nil || tally.Operations != 50 || tally.Latency.Max() != time.Millisecond {
			t.Errorf("%d operations of at most %v, %v", tally.Operations, tally.Latency.Max(), err)
		}
	})
}

func TestWhatFindsNoFreeConnectionIsCountedAndItsQueueToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Ten due from 0 to 9 s, begun at 0, 2, 4 … 18 s: all but the first wait, most of
		// them at 10 s, when those due at 5 to 9 s do.
		for _, l := range []Load{{Count: 10}, {Duration: 10 * time.Second}} {
			l.Connections, l.Rate = 1, 1
			tally, err := drive(t.Context(), l, takes(2*time.Second))
			if err != nil || tally.Operations != 10 || tally.Waited != 9 || tally.Queue != 5 {
				t.Errorf("%d operations, %d waited, %d at once, %v", tally.Operations, tally.Waited, tally.Queue, err)
			}
		}
		tally, err := drive(t.Context(), Load{Connections: 2, Count: 100, Rate: 10}, takes(150*time.Millisecond))
		if err != nil || tally.Waited != 0 || tally.Queue != 0 {
			t.Errorf("with two connections %d waited, %d at once, %v", tally.Waited, tally.Queue, err)
		}
	})
}

func TestPoissonArrivalsComeInBurstsAtTheSameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, short := time.Now(), 0
		last := began
		tally, err := drive(t.Context(), Load{Connections: 1, Count: 10_000, Rate: 100, Poisson: true}, func(int) worker {
			return work(func(int) error {
				if time.Since(last) < 10*time.Millisecond {
					short++
				}
				last = time.Now()
				return nil
			})
		})
		// Of exponential gaps, 1 - 1/e are shorter than the mean.
		if err != nil || short < 6100 || short > 6500 {
			t.Errorf("%d of 10000 gaps are shorter than the mean, %v", short, err)
		}
		if tally.Elapsed < 95*time.Second || tally.Elapsed > 105*time.Second || tally.Waited != 0 {
			t.Errorf("%d operations in %v, %d waited", tally.Operations, tally.Elapsed, tally.Waited)
		}
	})
}

func TestTheEndOfTheContextIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		tally, err := drive(ctx, Load{Connections: 1, Duration: time.Hour}, func(int) worker {
			return work(func(int) error {
				time.Sleep(time.Second)
				return ctx.Err()
			})
		})
		if err != nil || tally.Operations != 3 || tally.Errors != 0 {
			t.Errorf("%d operations, %d errors, %v", tally.Operations, tally.Errors, err)
		}
	})
}

func TestOnlyTheFirstFewDifferentErrorsAreKept(t *testing.T) {
	tally, err := drive(t.Context(), Load{Connections: 1, Count: 100}, func(int) worker {
		return work(func(i int) error {
			if i%10 == 0 {
				return nil
			}
			return fmt.Errorf("error %d", i%9)
		})
	})
	if err != nil || tally.Errors != 90 || tally.Operations != 10 || len(tally.Faults) != maxFaults {
		t.Errorf("%d errors, %d operations, %q, %v", tally.Errors, tally.Operations, tally.Faults, err)
	}
}

func TestUsersTakeTurns(t *testing.T) {
	l := Load{Pattern: "u%d@x", First: 5, Users: 3}
	if got := l.User(0) + l.User(2) + l.User(3); got != "u5@xu7@xu5@x" {
		t.Error(got)
	}
	if got := (Load{Pattern: "one@x", Users: 3}).User(2); got != "one@x" {
		t.Error(got)
	}
}

func TestErrorsInARowEndTheLoadWithTheirCause(t *testing.T) {
	cause := errors.New("gone")
	_, err := drive(t.Context(), Load{Connections: 1, Duration: time.Hour}, func(int) worker {
		return work(func(int) error { return cause })
	})
	if !errors.Is(err, errHopeless) || !errors.Is(err, cause) {
		t.Error(err)
	}
}

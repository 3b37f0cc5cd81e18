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

package mission

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/perf/servertest"
)

func TestASearchDoublesOrHalvesAndThenBisects(t *testing.T) {
	for _, c := range []struct{ from, limit float64 }{{10, 333}, {10, 10}, {500, 17.3}, {64, 64.1}, {1, 1.02}, {2000, 1999}} {
		best, tries := 0.0, 0
		err := search(c.from, 0.05, func(rate float64) (bool, error) {
			tries++
			if rate <= c.limit {
				best = max(best, rate)
			}
			return rate <= c.limit, nil
		})
		if err != nil || best > c.limit || best < c.limit/1.05 || tries > int(math.Abs(math.Log2(c.limit/c.from)))+8 {
			t.Errorf("from %v the highest below %v is %v, after %d tries, %v", c.from, c.limit, best, tries, err)
		}
	}
	tries := 0
	if err := search(100, 0.05, func(float64) (bool, error) { tries++; return false, nil }); err != nil || tries != 7 {
		t.Errorf("without any good rate: %d tries, %v", tries, err)
	}
	gone := errors.New("gone")
	if err := search(100, 0.05, func(float64) (bool, error) { return true, gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// A server that takes 10 ms for a mail, over two connections, sustains less than 200 a second.
func TestTheHighestRateOfAServerIsFound(t *testing.T) {
	f := servertest.New(t)
	f.Delay = func(int) time.Duration { return 10 * time.Millisecond }
	s := Search{Test: on(f), From: 50, Step: 400 * time.Millisecond, P99: 150 * time.Millisecond, Precision: 0.1}
	s.Connections = 2
	c, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Highest < 50 || c.Highest > 400 {
		t.Errorf("%v mails/s are sustained", c.Highest)
	}
	if !slices.IsSortedFunc(c.Points, func(a, b Point) int { return int(a.Rate - b.Rate) }) || len(c.Points) < 4 {
		t.Errorf("the curve is %+v", c.Points)
	}
	for _, p := range c.Points {
		if p.DatabaseCPU != 0 {
			t.Errorf("there is no database: %+v", p)
		}
	}
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	if first.P99 < 10 || last.P99 < 150 || !strings.Contains(last.Why, "p99 is") {
		t.Errorf("from %+v to %+v", first, last)
	}
}

func TestARateWithErrorsIsNotSustained(t *testing.T) {
	f := servertest.New(t)
	f.Fate = func(n int) servertest.Fate { // every tenth mail, at any rate
		if n%10 == 9 {
			return servertest.Deferred
		}
		return servertest.Kept
	}
	s := Search{Test: on(f), From: 100, Step: 200 * time.Millisecond, P99: time.Second, Precision: 0.05}
	c, err := s.Run(t.Context())
	if err != nil || !strings.Contains(c.Points[len(c.Points)-1].Why, "were answered with 4xx") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestASearchWithoutAServerIsAnError(t *testing.T) {
	s := Search{Test: on(servertest.New(t)), From: 50, Step: time.Second, P99: time.Second, Precision: 0.1}
	s.Password = "wrong"
	if _, err := s.Run(t.Context()); err == nil {
		t.Error("nobody can log in")
	}
	s.Precision = 0
	if _, err := s.Run(t.Context()); err == nil {
		t.Error("there is no precision")
	}
}

func TestASearchMetersWhatIsBehindTheServer(t *testing.T) {
	s := Search{Test: on(servertest.New(t)), From: 50, Step: 100 * time.Millisecond, P99: time.Second, Precision: 0.5, Behind: []int{1 << 30}}
	if c, err := s.Run(t.Context()); err == nil || len(c.Points) > 0 {
		t.Errorf("the database is not there, and the curve has %+v", c.Points)
	}
}

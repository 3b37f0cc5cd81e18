package cassandra

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/time/rate"
)

// An answer is what a node says, after a time, unless it is given up before.
type answer struct {
	after time.Duration
	err   error
}

// hedged asks nodes that answer so, and tells when who answered, how many were asked, and
// why the first of them was given up.
func hedged(t *testing.T, s *session, c *call, answers ...answer) (by int, took time.Duration, asked int, givenUp, err error) {
	t.Helper()
	began := time.Now()
	pages := map[*gocql.Iter]int{}
	var mu sync.Mutex
	page, err := s.hedge(c, func(c *call) (*gocql.Iter, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		mine := asked
		c.asked.Store(&gocql.HostInfo{})
		if c.besides == nil && mine > 1 {
			t.Error("the second does not know who was asked first")
		}
		mu.Unlock()
		select {
		case <-time.After(answers[mine-1].after):
		case <-c.Done():
		}
		mu.Lock()
		if c.Err() != nil {
			if mine == 1 {
				givenUp = context.Cause(c)
			}
			return nil, c.Err()
		}
		page := new(gocql.Iter)
		pages[page] = mine
		return page, answers[mine-1].err
	})
	return pages[page], time.Since(began), asked, givenUp, err
}

func TestAReadThatWaitsIsAskedOfAnotherNode(t *testing.T) {
	away := errors.New("away")
	for name, c := range map[string]struct {
		answers []answer
		far     bool
		by      int
		took    time.Duration
		asked   int
		givenUp error
		err     error
	}{
		"the first answers in time":      {answers: []answer{{after: hedgeAfter / 2}}, by: 1, took: hedgeAfter / 2, asked: 1},
		"the first fails in time":        {answers: []answer{{err: away}}, by: 1, asked: 1, err: away},
		"the second is faster":           {answers: []answer{{after: time.Hour}, {after: 5 * time.Millisecond}}, by: 2, took: hedgeAfter + 5*time.Millisecond, asked: 2, givenUp: errOvertaken},
		"the first answers after all":    {answers: []answer{{after: 2 * hedgeAfter}, {after: time.Hour}}, by: 1, took: 2 * hedgeAfter, asked: 2},
		"the second fails":               {answers: []answer{{after: 2 * hedgeAfter}, {err: away}}, by: 1, took: 2 * hedgeAfter, asked: 2},
		"the first fails, the second is": {answers: []answer{{after: 2 * hedgeAfter, err: away}, {after: 3 * hedgeAfter}}, by: 2, took: 4 * hedgeAfter, asked: 2},
		"both fail":                      {answers: []answer{{after: 2 * hedgeAfter, err: away}, {err: errors.New("another")}}, by: 1, took: 2 * hedgeAfter, asked: 2, err: away},
		"others have to answer as well":  {answers: []answer{{after: 2 * hedgeAfter}}, far: true, by: 1, took: 2 * hedgeAfter, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &session{hedges: rate.NewLimiter(hedgeRate, hedgeBurst)}
				s.metrics = newMetrics(s)
				by, took, asked, givenUp, err := hedged(t, s, &call{Context: t.Context(), far: c.far}, c.answers...)
				if by != c.by || took != c.took || asked != c.asked || !errors.Is(givenUp, c.givenUp) || !errors.Is(err, c.err) {
					t.Errorf("answered by %d after %s, with %v; %d asked, the first given up for %v", by, took, err, asked, givenUp)
				}
			})
		})
	}
}

// The answer to a caller who has gone is that the time is over, at once.
func TestAReadThatIsAskedTwiceEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*hedgeAfter)
		defer cancel()
		s := &session{hedges: rate.NewLimiter(hedgeRate, hedgeBurst)}
		s.metrics = newMetrics(s)
		_, took, asked, _, err := hedged(t, s, &call{Context: ctx}, answer{after: time.Hour}, answer{after: time.Hour})
		if took != 2*hedgeAfter || asked != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %s, %d asked", err, took, asked)
		}
	})
}

// Where all nodes are slow, asking each of them twice would not make them faster.
func TestNotEveryReadIsAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{hedges: rate.NewLimiter(hedgeRate, hedgeBurst)}
		s.metrics = newMetrics(s)
		var twice atomic.Int64
		var reads sync.WaitGroup
		for range 3 * hedgeBurst {
			reads.Go(func() {
				_, _, asked, _, err := hedged(t, s, &call{Context: t.Context()}, answer{after: 2 * hedgeAfter}, answer{after: time.Hour})
				if err != nil {
					t.Error(err)
				}
				twice.Add(int64(asked - 1))
			})
		}
		reads.Wait()
		if n := twice.Load(); n != hedgeBurst {
			t.Errorf("%d of %d were asked twice, want %d", n, 3*hedgeBurst, hedgeBurst)
		}
	})
}

package cassandra

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// A slowCluster answers a part after a time that grows with how many it has at once,
// and not at all those that would take longer than a coordinator waits.
type slowCluster struct {
	each time.Duration

	mu         sync.Mutex
	busy, most int
	late       int
}

func (c *slowCluster) write() error {
	c.mu.Lock()
	c.busy++
	c.most = max(c.most, c.busy)
	takes := time.Duration(c.busy) * c.each
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
	}()
	time.Sleep(min(takes, tryTimeout))
	if takes > tryTimeout {
		c.mu.Lock()
		c.late++
		c.mu.Unlock()
		return gocql.ErrTimeoutNoResponse
	}
	return nil
}

// send writes so many parts for each of some senders, each of which has four on their
// way.
func (c *slowCluster) send(t *testing.T, w *window, senders, parts int) {
	var all sync.WaitGroup
	for range 4 * senders {
		all.Go(func() {
			for range parts / 4 {
				if err := w.carry(t.Context(), c.write); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestASlowClusterGetsNoMorePartsThanItAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowCluster{each: 500 * time.Millisecond} // five at once are in time
		c.send(t, newWindow(), 16, 40)
		if c.late == 0 || c.late > 16*40/4 {
			t.Errorf("%d of %d parts were too late", c.late, 16*40)
		}
	})
}

func TestAQuickClusterGetsManyPartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowCluster{each: time.Millisecond}
		w := newWindow()
		c.send(t, w, 64, 40)
		if c.late != 0 || c.most != mostParts {
			t.Errorf("%d at once, %d too late", c.most, c.late)
		}
		if w.busy != 0 || len(w.waiting) != 0 {
			t.Errorf("at the end %d are on their way and %d wait", w.busy, len(w.waiting))
		}
	})
}

func TestAPartThatIsAlwaysTooLateIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for takes, most := range map[time.Duration]int{statementTimeout: partTries, time.Minute: 3} {
			tries := 0
			err := newWindow().carry(t.Context(), func() error { tries++; time.Sleep(takes); return context.DeadlineExceeded })
			if !errors.Is(err, context.DeadlineExceeded) || tries != most {
				t.Errorf("%v after %d tries of %s", err, tries, takes)
			}
		}
	})
}

func TestAPartThatAnotherTryDoesNotHelpIsTriedOnce(t *testing.T) {
	for _, err := range []error{nil, refusal{gocql.ErrCodeUnavailable}, refusal{gocql.ErrCodeInvalid}, context.Canceled} {
		tries := 0
		w := newWindow()
		if got := w.carry(t.Context(), func() error { tries++; return err }); got != err || tries != 1 { //nolint:errorlint // it is that one
			t.Errorf("%v: %v after %d tries", err, got, tries)
		}
		if wider := w.size > firstParts; w.size < firstParts || wider != (err == nil) {
			t.Errorf("%v makes the window %g", err, w.size)
		}
	}
}

func TestWhoHasNoTimeToWaitForATurnIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow()
		block := make(chan struct{})
		var all sync.WaitGroup
		for range firstParts {
			all.Go(func() {
				if err := w.carry(t.Context(), func() error { <-block; return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.carry(ctx, func() error { t.Error("written"); return nil }); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		close(block)
		all.Wait()
		if w.busy != 0 || len(w.waiting) != 0 {
			t.Errorf("at the end %d are on their way and %d wait", w.busy, len(w.waiting))
		}
	})
}

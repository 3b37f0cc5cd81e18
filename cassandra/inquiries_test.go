package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// A questioned table takes a second for each look and has everything that it is asked for.
type questioned struct {
	mu    sync.Mutex
	looks [][]string
	fails error
}

func (q *questioned) look(_ context.Context, account string, addresses []string) ([]relay.Suppression, error) {
	q.mu.Lock()
	q.looks = append(q.looks, slices.Concat([]string{account}, addresses))
	q.mu.Unlock()
	time.Sleep(time.Second)
	var found []relay.Suppression
	for _, a := range addresses {
		found = append(found, relay.Suppression{Address: parsePlain(a)})
	}
	return found, q.fails
}

func (q *questioned) inquiries() *inquiries {
	return &inquiries{look: q.look, underWay: make(map[string]*inquiry)}
}

func has(found []relay.Suppression, address string) bool {
	return slices.ContainsFunc(found, func(s relay.Suppression) bool { return plain(s.Address) == address })
}

func TestThoseOfAnAccountAreLookedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(questioned)
		i := table.inquiries()
		began := time.Now()
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() {
				time.Sleep(time.Duration(n) * 10 * time.Millisecond) // all within the first look
				address := fmt.Sprintf("a%d@example.org", n)
				found, err := i.ask(t.Context(), "ann@example.org", []string{address})
				if err != nil || !has(found, address) {
					t.Errorf("%s: %v, %v", address, found, err)
				}
			})
		}
		all.Go(func() { // who waits for nobody
			if _, err := i.ask(t.Context(), "bob@example.org", []string{"c@example.org"}); err != nil || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		all.Wait()
		if took := time.Since(began); len(table.looks) != 3 || took != 2*time.Second || len(i.underWay) != 0 {
			t.Errorf("%d looks in %v, %d are under way", len(table.looks), took, len(i.underWay))
		}
	})
}

func TestALookIsNeverOlderThanItsQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(questioned)
		i := table.inquiries()
		var all sync.WaitGroup
		for _, after := range []time.Duration{0, 500 * time.Millisecond} {
			all.Go(func() {
				time.Sleep(after)
				if _, err := i.ask(t.Context(), "ann@example.org", []string{"same@example.org"}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(table.looks) != 2 {
			t.Errorf("%d looks: the second asker had the answer of the first", len(table.looks))
		}
	})
}

func TestOneStatementLooksForNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(questioned)
		i := table.inquiries()
		many := make([]string, suppressedAtOnce)
		for n := range many {
			many[n] = fmt.Sprintf("a%d@example.org", n)
		}
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				if found, err := i.ask(t.Context(), "ann@example.org", many); err != nil || len(found) != len(many) {
					t.Errorf("%d, %v", len(found), err)
				}
			})
		}
		all.Wait()
		for _, l := range table.looks {
			if len(l) != 1+suppressedAtOnce {
				t.Errorf("a look for %d", len(l)-1)
			}
		}
	})
}

func TestWhoGoesAwayTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := new(questioned)
		i := table.inquiries()
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		ask := func(ctx context.Context, want error) {
			all.Go(func() {
				if _, err := i.ask(ctx, "ann@example.org", []string{"b@example.org"}); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			})
			synctest.Wait()
		}
		ask(t.Context(), nil) // under way
		ask(short, nil)       // next, and looks for the two behind it
		ask(t.Context(), nil)
		ask(short, context.DeadlineExceeded)
		all.Wait()
		if len(table.looks) != 2 {
			t.Errorf("%d looks", len(table.looks))
		}
	})
}

func TestALookThatFailsFailsForAllWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &questioned{fails: mailbox.ErrUnavailable}
		i := table.inquiries()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, err := i.ask(t.Context(), "ann@example.org", []string{"b@example.org"}); !errors.Is(err, mailbox.ErrUnavailable) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(table.looks) != 2 || len(i.underWay) != 0 {
			t.Errorf("%d looks, %d are under way", len(table.looks), len(i.underWay))
		}
	})
}

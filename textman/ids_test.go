package textman

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
)

// A wall is a clock that can be set.
type wall struct {
	mu  sync.Mutex
	now time.Time
}

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *wall) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

var someTime = time.Date(2026, 11, 22, 10, 0, 0, 250e6, time.UTC)

func startIDs(t *testing.T, server uint8, file string, now func() time.Time) *ids {
	t.Helper()
	g, err := newIDs(server, file, now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mint(t *testing.T, g *ids, n int) []int64 {
	t.Helper()
	minted := make([]int64, n)
	for i := range minted {
		var err error
		if minted[i], err = g.mint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return minted
}

// unique checks that ids ascend within each list, and that none is in two of them.
func unique(t *testing.T, lists ...[]int64) {
	t.Helper()
	seen := make(map[int64]bool)
	for _, list := range lists {
		if !slices.IsSorted(list) {
			t.Errorf("the ids do not ascend: %v", list[:min(10, len(list))])
		}
		for _, id := range list {
			if seen[id] {
				t.Fatalf("id %d was given twice", id)
			}
			seen[id] = true
			if id <= 0 || id >= 1<<53 {
				t.Fatalf("id %d has not 53 bits", id)
			}
		}
	}
}

func TestAnIDTellsSecondServerAndSequence(t *testing.T) {
	clock := &wall{now: someTime}
	g := startIDs(t, 200, filepath.Join(t.TempDir(), "ids"), clock.Now)
	clock.add(time.Minute)
	minted := mint(t, g, 3)
	second := int64(someTime.Add(time.Minute).Sub(epoch) / time.Second)
	for i, id := range minted {
		if id>>22 != second || id>>14&0xff != 200 || id&0x3fff != int64(i) {
			t.Errorf("id %d: second %d, server %d, sequence %d; want %d, 200, %d", id, id>>22, id>>14&0xff, id&0x3fff, second, i)
		}
	}
}

func TestIDsOfManyAtOnceAreUnique(t *testing.T) {
	g := startIDs(t, 1, filepath.Join(t.TempDir(), "ids"), time.Now)
	lists := make([][]int64, 8)
	var all sync.WaitGroup
	for i := range lists {
		all.Go(func() { lists[i] = mint(t, g, 5000) })
	}
	all.Wait()
	unique(t, lists...)
}

func TestServersDoNotShareIDs(t *testing.T) {
	clock := &wall{now: someTime}
	var lists [][]int64
	for server := range 3 {
		g := startIDs(t, uint8(server), filepath.Join(t.TempDir(), "ids"), clock.Now)
		lists = append(lists, mint(t, g, 10))
	}
	unique(t, lists...)
}

func TestAServerStartedAgainInTheSameSecondGivesOtherIDs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	clock := &wall{now: someTime}
	var lists [][]int64
	for range 5 {
		lists = append(lists, mint(t, startIDs(t, 1, file, clock.Now), 100))
	}
	unique(t, lists...)

	t.Run("without a file", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var lists [][]int64
			now := func() time.Time { return time.Now().Add(someTime.Sub(epoch) + 30*365*24*time.Hour) } // a bubble begins in 2000
			for range 5 {
				g := startIDs(t, 1, "", now)
				lists = append(lists, mint(t, g, 100))
				time.Sleep(10 * time.Millisecond)
			}
			unique(t, lists...)
		})
	})
}

func TestIDsStayUniqueWhenTheClockIsSetBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	clock := &wall{now: someTime}
	var lists [][]int64
	for _, step := range []time.Duration{0, time.Second, -time.Second, -time.Hour, 10 * time.Second, -100 * 365 * 24 * time.Hour, time.Millisecond} {
		g := startIDs(t, 1, file, clock.Now)
		list := mint(t, g, 10)
		clock.add(step) // while it runs, and before the next is started
		lists = append(lists, append(list, mint(t, g, perSecond)...))
	}
	unique(t, lists...)
}

func TestAUsedUpSecondIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		g := startIDs(t, 1, "", time.Now)
		first := mint(t, g, 2*perSecond)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("two seconds of ids without a file took %v", took)
		}
		began = time.Now()
		g = startIDs(t, 2, filepath.Join(t.TempDir(), "ids"), time.Now)
		second := mint(t, g, 3*perSecond)
		if took := time.Since(began); took != 0 {
			t.Errorf("three seconds of ids with a file took %v", took)
		}
		unique(t, first, second)
	})
}

func TestWaitingForAnIDEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startIDs(t, 1, "", time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var waiting sync.WaitGroup
		for range 2 { // one waits for the second, the other for the first
			waiting.Go(func() {
				if id, err := g.mint(ctx); !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("mint = %d, %v", id, err)
				}
			})
		}
		waiting.Wait()
		mint(t, g, 1)
	})
}

func TestIDsAreReservedBeforeTheyAreGiven(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	clock := &wall{now: someTime}
	g := startIDs(t, 1, file, clock.Now)
	for range 40 {
		id := mint(t, g, 1)[0]
		if used, err := readMark(file); err != nil || used < id>>22 {
			t.Fatalf("an id of second %d was given, and %d is on record (%v)", id>>22, used, err)
		}
		clock.add(time.Second)
	}

	missing := filepath.Join(t.TempDir(), "missing", "ids")
	if id, err := startIDs(t, 1, missing, clock.Now).mint(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("mint = %d, %v where nothing can be reserved", id, err)
	}
}

func TestAFileThatHoldsSomethingElseIsAnError(t *testing.T) {
	for _, text := range []string{"", "ids", "-1", "4294967296", "1 2"} {
		file := filepath.Join(t.TempDir(), "ids")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{IDFile: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("a file of %q: %v", text, err)
		}
	}
}

func TestIDsBeginAndEnd(t *testing.T) {
	clock := &wall{now: epoch.Add(-time.Hour)}
	g := startIDs(t, 1, filepath.Join(t.TempDir(), "ids"), clock.Now)
	unique(t, mint(t, g, 2*perSecond))

	clock = &wall{now: epoch.Add(1<<secondBits*time.Second - 2*time.Second)}
	g = startIDs(t, 255, filepath.Join(t.TempDir(), "ids"), clock.Now)
	last := mint(t, g, perSecond)
	unique(t, last)
	if last[len(last)-1] != 1<<53-1 {
		t.Errorf("the last id is %d", last[len(last)-1])
	}
	if id, err := g.mint(t.Context()); err == nil {
		t.Errorf("after the last id there is %d", id)
	}
}

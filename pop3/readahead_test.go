package pop3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"restante/mailbox"
)

// A far store takes its time to open a message, and counts.
type far struct {
	mailbox.Contents
	takes func(m mailbox.Message, try int) (time.Duration, error) // tries of a message are counted from 1

	mu           sync.Mutex
	tries        map[mailbox.MessageID]int
	calls        int
	open, atOnce int
}

// after is a store that always takes so long.
func after(d time.Duration) *far {
	return &far{takes: func(mailbox.Message, int) (time.Duration, error) { return d, nil }}
}

func (s *far) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	s.mu.Lock()
	s.calls++
	if s.tries == nil {
		s.tries = make(map[mailbox.MessageID]int)
	}
	s.tries[m.ID]++
	takes, err := s.takes(m, s.tries[m.ID])
	s.open++
	s.atOnce = max(s.atOnce, s.open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(takes):
		return io.NopCloser(strings.NewReader(contentOf(m))), err
	}
}

// contentOf is the content of a message, as long as it says.
func contentOf(m mailbox.Message) string {
	return string(bytes.Repeat(m.ID[3:4], int(m.Octets)))
}

func listOf(n int, octets int64) []mailbox.Message {
	var ids mailbox.MessageIDs
	list := make([]mailbox.Message, n)
	for i := range list {
		list[i] = mailbox.Message{ID: ids.Next(), Octets: octets}
	}
	return list
}

// retrieves opens message i, reads it and compares.
func retrieves(t *testing.T, a *readAhead, i int) {
	t.Helper()
	r, err := a.open(t.Context(), a.messages[i])
	if err != nil {
		t.Errorf("message %d: %v", i, err)
		return
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(got) != contentOf(a.messages[i]) {
		t.Errorf("message %d has %d octets of its own, %v", i, len(got), err)
	}
}

// allFree checks that the memory is given back.
func allFree(t *testing.T, a *readAhead, octets int64) {
	t.Helper()
	if !a.memory.TryAcquire(octets) {
		t.Error("some memory was not given back")
	}
}

const aheadMemory = 1 << 20

func TestAClientThatGoesOnInOrderDoesNotWaitForEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := after(10 * time.Millisecond)
		a := newReadAhead(store, listOf(40, 1000), semaphore.NewWeighted(aheadMemory))
		begin := time.Now()
		for i := range a.messages {
			retrieves(t, a, i)
		}
		if took := time.Since(begin); took > 40*10*time.Millisecond/3 {
			t.Errorf("40 messages took %v of 10 ms each; want a third of it at most", took)
		}
		if store.calls != 40 || store.atOnce > aheadMessages+1 {
			t.Errorf("the store was asked %d times, %d at once; want 40, at most %d", store.calls, store.atOnce, aheadMessages+1)
		}
		a.close()
		allFree(t, a, aheadMemory)
	})
}

func TestNothingIsReadAheadForAClientThatPicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := after(time.Millisecond)
		a := newReadAhead(store, listOf(40, 1000), semaphore.NewWeighted(aheadMemory))
		for _, i := range []int{0, 39, 7, 5, 3, 3, 39} {
			retrieves(t, a, i)
		}
		a.close()
		if store.calls != 7 {
			t.Errorf("the store was asked %d times; want 7", store.calls)
		}
		allFree(t, a, aheadMemory)
	})
}

func TestWhatIsReadAheadIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ octets, memory int64 }{
		"memory that is used up":         {1000, 1500},
		"messages too large":             {aheadOctets + 1, aheadMemory},
		"messages larger than all of it": {2000, 1500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := after(time.Millisecond)
				a := newReadAhead(store, listOf(10, c.octets), semaphore.NewWeighted(c.memory))
				for i := range a.messages {
					retrieves(t, a, i)
					time.Sleep(time.Second)
				}
				if store.calls != 10 || store.atOnce > 2 {
					t.Errorf("the store was asked %d times, %d at once; want 10, at most 2", store.calls, store.atOnce)
				}
				a.close()
				allFree(t, a, c.memory)
			})
		})
	}
}

func TestAReadAheadThatFailedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := listOf(4, 1000)
		store := &far{takes: func(m mailbox.Message, try int) (time.Duration, error) {
			if m == list[3] || m == list[2] && try == 1 {
				return time.Millisecond, mailbox.ErrUnavailable
			}
			return time.Millisecond, nil
		}}
		a := newReadAhead(store, list, semaphore.NewWeighted(aheadMemory))
		for i := range 3 {
			retrieves(t, a, i)
			time.Sleep(time.Second)
		}
		if _, err := a.open(t.Context(), list[3]); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("a message that always fails: %v", err)
		}
		if store.calls != 6 {
			t.Errorf("the store was asked %d times; want 6", store.calls)
		}
		a.close()
		allFree(t, a, aheadMemory)
	})
}

// A faulty store opens one message in a way of its own, so many times.
type faulty struct {
	mailbox.Contents
	message mailbox.MessageID
	left    atomic.Int32
	open    func(mailbox.Message) io.Reader
}

func (s *faulty) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if m.ID == s.message && s.left.Add(-1) >= 0 {
		return io.NopCloser(s.open(m)), nil
	}
	return s.Contents.Open(ctx, m)
}

func TestAPanicWhileReadingAheadIsAFailureThatMayPass(t *testing.T) {
	for name, open := range map[string]func(mailbox.Message) io.Reader{
		"in Open":     func(mailbox.Message) io.Reader { panic("a bug in Open") },
		"in the read": func(mailbox.Message) io.Reader { return explosive{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list := listOf(4, 1000)
				store := &faulty{Contents: after(time.Millisecond), message: list[2].ID, open: open}
				store.left.Store(1)
				a := newReadAhead(store, list, semaphore.NewWeighted(aheadMemory))
				for i := range list {
					retrieves(t, a, i)
					time.Sleep(time.Second)
				}
				a.close()
				allFree(t, a, aheadMemory)
			})
		})
	}
}

func TestWhatIsReadAheadAndNotAskedForIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := after(time.Millisecond)
		a := newReadAhead(store, listOf(10, 1000), semaphore.NewWeighted(aheadMemory))
		for i := range 3 {
			retrieves(t, a, i)
		}
		time.Sleep(2*aheadTimeout + time.Second)
		allFree(t, a, aheadMemory)
		a.memory.Release(aheadMemory)
		asked := store.calls
		for i := 3; i < 10; i++ {
			retrieves(t, a, i)
			time.Sleep(time.Second)
		}
		if asked += 7; store.calls != asked {
			t.Errorf("the store was asked %d times; want %d", store.calls, asked)
		}
		a.close()
		allFree(t, a, aheadMemory)
	})
}

// The reader of a store knows where a content ends; the listing may be wrong.
func TestAContentOfAnotherSizeThanListedIsNotCut(t *testing.T) {
	for name, octets := range map[string]int{"one more": 1001, "many more": 5000, "one less": 999} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list := listOf(4, 1000)
				store := &faulty{Contents: after(time.Millisecond), message: list[2].ID}
				store.left.Store(10)
				store.open = func(mailbox.Message) io.Reader { return io.LimitReader(endless{}, int64(octets)) }
				a := newReadAhead(store, list, semaphore.NewWeighted(aheadMemory))
				for i := range 2 {
					retrieves(t, a, i)
					time.Sleep(time.Second)
				}
				r, err := a.open(t.Context(), list[2])
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil || len(got) != octets {
					t.Errorf("%d octets are read, %v; want %d", len(got), err, octets)
				}
				a.close()
				allFree(t, a, aheadMemory)
			})
		})
	}
}

func TestClosingAMaildropEndsReadingAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := listOf(10, 1000)
		store := &far{takes: func(m mailbox.Message, _ int) (time.Duration, error) {
			if m == list[3] || m == list[4] {
				return time.Hour, nil
			}
			return time.Millisecond, nil
		}}
		a := newReadAhead(store, list, semaphore.NewWeighted(aheadMemory))
		for i := range 3 {
			retrieves(t, a, i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.open(ctx, list[3]); err == nil {
			t.Error("a message of a store that hangs was opened")
		}
		begin := time.Now()
		a.close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("close waited %v", took)
		}
		allFree(t, a, aheadMemory)
	})
}

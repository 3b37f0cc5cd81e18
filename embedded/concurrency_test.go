package embedded

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
)

// TestListingsOfOneMaildropFollowOneAnother lets writers and sessions loose on
// one maildrop and checks each list against the calls around it: it has what was
// added before it began and not asked to go, it has nothing that was removed
// before it began or was not asked for by its end, and what a session holds
// never changes.
func TestListingsOfOneMaildropFollowOneAnother(t *testing.T) {
	for _, cached := range []int{0, 1} {
		t.Run(fmt.Sprintf("cached=%d", cached), func(t *testing.T) {
			s := openStore(t, Options{CachedMessages: cached, FS: vfs.NewMem(), memTableSize: smallMemTable})
			h := &history{calls: make(map[mailbox.MessageID]*span)}
			drop := mailbox.MaildropID{1}
			ids := new(mailbox.MessageIDs)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { h.write(t, s, drop, ids, 100) })
				all.Go(func() { h.session(t, s, drop, 100) })
			}
			all.Wait()
			h.session(t, s, drop, 1)
		})
	}
}

// A history is when each message was added and removed, in ticks.
type history struct {
	tick  atomic.Int64
	mu    sync.Mutex
	calls map[mailbox.MessageID]*span
}

// A span is the ticks at which the calls began and ended; 0: not yet.
type span struct{ adding, added, removing, removed int64 }

func (h *history) mark(id mailbox.MessageID, field func(*span) *int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[id] == nil {
		h.calls[id] = new(span)
	}
	*field(h.calls[id]) = h.tick.Add(1)
}

// write adds messages, and removes most of them again.
func (h *history) write(t *testing.T, s *Store, drop mailbox.MaildropID, ids *mailbox.MessageIDs, n int) {
	for i := range n {
		m := mailbox.Message{ID: ids.Next(), Octets: int64(i)}
		h.mark(m.ID, func(s *span) *int64 { return &s.adding })
		if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
			t.Error(err)
		}
		h.mark(m.ID, func(s *span) *int64 { return &s.added })
		if i%5 == 0 {
			continue
		}
		h.mark(m.ID, func(s *span) *int64 { return &s.removing })
		if err := s.Maildrops().Remove(t.Context(), drop, m); err != nil {
			t.Error(err)
		}
		h.mark(m.ID, func(s *span) *int64 { return &s.removed })
	}
}

// session lists again and again.
func (h *history) session(t *testing.T, s *Store, drop mailbox.MaildropID, n int) {
	var held, copied []mailbox.Message
	for range n {
		begin := h.tick.Add(1)
		list, err := s.Maildrops().List(t.Context(), drop)
		end := h.tick.Add(1)
		if err != nil {
			t.Error(err)
			return
		}
		if !slices.Equal(held, copied) {
			t.Error("a list changed while a session held it")
		}
		held, copied = list, slices.Clone(list)
		if !slices.IsSortedFunc(list, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) }) {
			t.Error("a list is not in order")
		}
		h.check(t, list, begin, end)
	}
}

func (h *history) check(t *testing.T, list []mailbox.Message, begin, end int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	listed := make(map[mailbox.MessageID]bool, len(list))
	before := func(tick, limit int64) bool { return tick != 0 && tick < limit }
	for _, m := range list {
		listed[m.ID] = true
		c := h.calls[m.ID]
		if !before(c.adding, end) || before(c.removed, begin) {
			t.Errorf("%s is listed between %d and %d, and its calls were %+v", m.ID, begin, end, *c)
		}
	}
	for id, c := range h.calls {
		if before(c.added, begin) && !before(c.removing, end) && !listed[id] {
			t.Errorf("%s is not listed between %d and %d, and its calls were %+v", id, begin, end, *c)
		}
	}
}

// TestNothingIsListedBeforeItIsDurable holds up the disk between an addition and
// its sync, and then a removal.
func TestNothingIsListedBeforeItIsDurable(t *testing.T) {
	for _, cached := range []int{0, 1} {
		t.Run(fmt.Sprintf("cached=%d", cached), func(t *testing.T) {
			var slow atomic.Pointer[chan struct{}]
			reached := make(chan struct{}, 100)
			fs := syncHook{vfs.NewMem(), func() {
				if wait := slow.Load(); wait != nil {
					reached <- struct{}{}
					<-*wait
				}
			}}
			s := openStore(t, Options{FS: fs, CachedMessages: cached})
			drop, m := mailbox.MaildropID{1}, mailbox.Message{ID: new(mailbox.MessageIDs).Next()}
			held := func(write func() error, want int) {
				t.Helper()
				wait := make(chan struct{})
				slow.Store(&wait)
				done := make(chan error, 1)
				go func() { done <- write() }()
				<-reached
				list, err := s.Maildrops().List(t.Context(), drop)
				if err != nil || len(list) != want {
					t.Errorf("List while the disk is slow = %v, %v; want %d messages", list, err, want)
				}
				slow.Store(nil)
				close(wait)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				list, err = s.Maildrops().List(t.Context(), drop)
				if err != nil || len(list) != 1-want {
					t.Errorf("List after the sync = %v, %v; want %d messages", list, err, 1-want)
				}
			}
			held(func() error {
				return s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}})
			}, 0)
			held(func() error { return s.Maildrops().Remove(t.Context(), drop, m) }, 1)
		})
	}
}

// TestADeliveryTakesOneSync counts them.
func TestADeliveryTakesOneSync(t *testing.T) {
	var hooks atomic.Int64
	s := openStore(t, Options{FS: syncHook{vfs.NewMem(), func() { hooks.Add(1) }}})
	l, before := newLoad(s), hooks.Load()
	const deliveries = 10
	for range deliveries {
		if err := put(t.Context(), s, l.ids.Next(), []byte("x"), l.drops[0]); err != nil {
			t.Fatal(err)
		}
	}
	if n := (hooks.Load() - before) / 2; n != deliveries {
		t.Errorf("%d syncs for %d deliveries", n, deliveries)
	}
}

// TestWritersToOneMaildropShareSyncs holds up one sync and counts what the next
// one makes durable.
func TestWritersToOneMaildropShareSyncs(t *testing.T) {
	var slow atomic.Pointer[chan struct{}]
	var syncs atomic.Int64
	reached := make(chan struct{}, 100)
	fs := syncHook{vfs.NewMem(), func() {
		syncs.Add(1)
		if wait := slow.Load(); wait != nil {
			reached <- struct{}{}
			<-*wait
		}
	}}
	s := openStore(t, Options{FS: fs})
	ids, drop := new(mailbox.MessageIDs), mailbox.MaildropID{1}
	add := func() error {
		return s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: mailbox.Message{ID: ids.Next()}}})
	}
	wait := make(chan struct{})
	slow.Store(&wait)
	const writers = 20
	done := make(chan error, writers)
	go func() { done <- add() }()
	<-reached
	for range writers - 1 {
		go func() { done <- add() }()
	}
	for { // until all are applied and wait for the sync
		l := s.maildrops.cache.hold([]mailbox.MaildropID{drop})
		l[0].mu.Lock()
		n := len(l[0].adding)
		l[0].mu.Unlock()
		s.maildrops.cache.release(l)
		if n == writers {
			break
		}
	}
	before := syncs.Load()
	slow.Store(nil)
	close(wait)
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := (syncs.Load() - before) / 2; n > 2 {
		t.Errorf("%d syncs for %d writers that waited together", n, writers-1)
	}
}

// TestListingsAreLetGo fills the cache with more than it may hold.
func TestListingsAreLetGo(t *testing.T) {
	const limit = 1000
	s := openStore(t, Options{CachedMessages: limit})
	ids := new(mailbox.MessageIDs)
	for n := range 500 {
		for range 5 {
			e := mailbox.Entry{Maildrop: benchDrop(n), Message: mailbox.Message{ID: ids.Next()}}
			if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{e}); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := s.Maildrops().List(t.Context(), benchDrop(n)); err != nil || len(list) != 5 {
			t.Fatalf("List = %v, %v; want 5 messages", list, err)
		}
	}
	c := s.maildrops.cache
	cost := 0
	for _, l := range c.byDrop {
		cost += l.cost
	}
	if cost != c.cost || cost > limit || len(c.byDrop) != c.recent.Len() {
		t.Errorf("%d listings, %d of them idle, cost %d, counted as %d; the limit is %d", len(c.byDrop), c.recent.Len(), cost, c.cost, limit)
	}
}

// TestTheDeadNeverOutnumberTheLiving removes at random and looks at the rows
// that a walk would have to pass.
func TestTheDeadNeverOutnumberTheLiving(t *testing.T) {
	s := openStore(t, Options{})
	rng, ids, drop := seeded(1), new(mailbox.MessageIDs), mailbox.MaildropID{1}
	for range 300 {
		var entries []mailbox.Entry
		for range rng.IntN(20) {
			entries = append(entries, mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: ids.Next()}})
		}
		if err := s.Maildrops().Add(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		list, err := s.Maildrops().List(t.Context(), drop)
		if err != nil {
			t.Fatal(err)
		}
		kept := slices.DeleteFunc(slices.Clone(list), func(mailbox.Message) bool { return rng.IntN(10) > 0 })
		if err := s.Maildrops().Remove(t.Context(), drop, kept...); err != nil {
			t.Fatal(err)
		}
		l := s.maildrops.cache.byDrop[drop]
		if dead, living := int(l.head.dead), len(list)-len(kept); dead > minDead+living {
			t.Fatalf("%d dead rows beside %d living", dead, living)
		}
		s.maildrops.cache = newListingCache(defaultCachedMessages)
		again, err := s.Maildrops().List(t.Context(), drop)
		if err != nil || len(again) != len(list)-len(kept) {
			t.Fatalf("%d messages from disk, %v; want %d", len(again), err, len(list)-len(kept))
		}
	}
	if n := keys(t, s, prefixRow); n != len(mustList(t, s, drop)) {
		t.Errorf("%d rows for %d messages", n, len(mustList(t, s, drop)))
	}
}

func mustList(t *testing.T, s *Store, drop mailbox.MaildropID) []mailbox.Message {
	t.Helper()
	list, err := s.Maildrops().List(t.Context(), drop)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

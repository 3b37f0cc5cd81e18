package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/relay"
)

// A witness remembers what the store acknowledged, and what it was asked.
type witness struct {
	mu       sync.Mutex
	messages map[mailbox.MessageID]*testimony
}

// A testimony is what is known of one message.
type testimony struct {
	drops    []mailbox.MaildropID
	octets   []byte
	added    bool                        // acknowledged
	removing map[mailbox.MaildropID]bool // asked for
	removed  map[mailbox.MaildropID]bool // acknowledged

	// Of a message that is to leave: added is that it was accepted, removing that it
	// was released for mailbox.Outbound.
	segment   relay.Segment
	delivered bool // acknowledged
	closing   bool // asked for
}

func (m *testimony) outbound() bool { return m.segment != relay.Segment{} }

func newWitness() *witness { return &witness{messages: make(map[mailbox.MessageID]*testimony)} }

func (w *witness) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// snapshot is what is known now.
func (w *witness) snapshot() map[mailbox.MessageID]testimony {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[mailbox.MessageID]testimony, len(w.messages))
	for id, m := range w.messages {
		c := *m
		c.removing, c.removed = clone(m.removing), clone(m.removed)
		all[id] = c
	}
	return all
}

func clone(m map[mailbox.MaildropID]bool) map[mailbox.MaildropID]bool {
	c := make(map[mailbox.MaildropID]bool, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// check compares a store that came up after a crash with what was known before
// the crash, and with what was asked by the end of it: what was acknowledged
// before is there, what was removed before is not, and whatever is listed can be
// read octet for octet.
func check(t *testing.T, s *Store, before, after map[mailbox.MessageID]testimony, drops []mailbox.MaildropID) {
	t.Helper()
	listed := make(map[mailbox.MaildropID]map[mailbox.MessageID]bool)
	for _, drop := range drops {
		listed[drop] = make(map[mailbox.MessageID]bool)
		messages, err := s.Maildrops().List(t.Context(), drop)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			listed[drop][m.ID] = true
			known, ok := after[m.ID]
			if !ok {
				t.Errorf("%s is listed and was never delivered", m.ID)
				continue
			}
			if before[m.ID].removed[drop] {
				t.Errorf("%s was removed from %s and is back", m.ID, drop)
			}
			if m.Octets != int64(len(known.octets)) {
				t.Errorf("%s is listed with %d octets and has %d", m.ID, m.Octets, len(known.octets))
			}
			if err := reads(t.Context(), s, m.ID, known.octets); err != nil {
				t.Errorf("%s is listed and not as it was: %v", m.ID, err)
			}
		}
	}
	for id, m := range before {
		for _, drop := range m.drops {
			if m.added && !after[id].removing[drop] && !listed[drop][id] {
				t.Errorf("%s was acknowledged for %s and is lost", id, drop)
			}
		}
	}
	checkJournal(t, s, before, after)
}

// checkJournal does so with what was to leave: what was journalled before is there, and
// what is there was journalled, with its content.
func checkJournal(t *testing.T, s *Store, before, after map[mailbox.MessageID]testimony) {
	t.Helper()
	found := make(map[relay.Segment]map[relay.EntryID]relay.Kind)
	for _, m := range after {
		if !m.outbound() || found[m.segment] != nil {
			continue
		}
		found[m.segment] = make(map[relay.EntryID]relay.Kind)
		for e, err := range s.Journal().Load(t.Context(), m.segment) {
			if err != nil {
				t.Fatal(err)
			}
			found[m.segment][e.Entry] = e.Kind
			id := e.Entry.Message
			if known, ok := after[id]; !ok || known.segment != m.segment || string(e.Data) != string(eventOf(m.segment, id, e.Kind).Data) {
				t.Errorf("an event of %s was never written", id)
			} else if err := readsSubmitted(t.Context(), s, m.segment, id, known.octets); err != nil && !known.removing[mailbox.Outbound] {
				t.Errorf("%s was accepted and is not as it was: %v", id, err)
			}
		}
	}
	for id, m := range before {
		if !m.outbound() || after[id].closing {
			continue
		}
		events := found[m.segment]
		if events[relay.EntryID{Message: id, Recipient: relay.Whole}] != relay.Accepted && m.added {
			t.Errorf("%s was accepted and is lost", id)
		}
		if events[relay.EntryID{Message: id}] != relay.Delivered && m.delivered {
			t.Errorf("%s was delivered and will be again", id)
		}
		if open, err := s.Journal().Segments(t.Context(), m.segment.Lane); m.added && (err != nil || !slices.Contains(open, m.segment)) {
			t.Errorf("the segment of %s is not listed: %v, %v", id, open, err)
		}
	}
}

// reads checks that a content is this.
func reads(ctx context.Context, s *Store, id mailbox.MessageID, want []byte) error {
	r, err := s.Contents().Open(ctx, mailbox.Message{ID: id})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d octets instead of %d, or other ones", len(got), len(want))
	}
	return nil
}

// A load delivers and expunges at random, with the seams in the order that the
// domain keeps.
type load struct {
	store   *Store
	ids     *mailbox.MessageIDs
	drops   []mailbox.MaildropID
	witness *witness

	// The segments in use, and what was accepted in them and did not leave yet.
	segments []relay.Segment
	waiting  []mailbox.MessageID
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func newLoad(s *Store) *load {
	l := &load{store: s, ids: new(mailbox.MessageIDs), drops: []mailbox.MaildropID{{1}, {2}, {3}}, witness: newWitness()}
	lane := l.ids.Next()
	for range 2 {
		l.segments = append(l.segments, relay.Segment{Lane: lane, ID: l.ids.Next()})
	}
	return l
}

// run does a step for each ticket, until a step fails or there are no more.
func (l *load) run(ctx context.Context, seed uint64, tickets <-chan struct{}) error {
	rng := seeded(seed)
	for range tickets {
		if err := l.step(ctx, rng); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) step(ctx context.Context, rng *rand.Rand) error {
	switch rng.IntN(12) {
	case 0, 1, 2, 3:
		return l.expunge(ctx, rng)
	case 4, 5, 6:
		return l.submit(ctx, rng)
	case 7:
		return l.leave(ctx, rng)
	case 8:
		if rng.IntN(3) == 0 {
			return l.closeSegment(ctx, rng)
		}
	}
	return l.deliver(ctx, rng)
}

// aTestimony is of a message that is like no other.
func aTestimony(rng *rand.Rand) *testimony {
	size := []int{0, 100, 100, 5000, 5000, smallBuffer, 20_000, 2*partSize + 1}[rng.IntN(8)]
	return &testimony{
		octets:   bytes.Repeat([]byte{byte(rng.Int())}, size),
		removing: make(map[mailbox.MaildropID]bool),
		removed:  make(map[mailbox.MaildropID]bool),
	}
}

// submit accepts a message that is to leave.
func (l *load) submit(ctx context.Context, rng *rand.Rand) error {
	m, id := aTestimony(rng), l.ids.Next()
	l.witness.note(func() {
		m.segment = l.segments[rng.IntN(len(l.segments))]
		l.witness.messages[id] = m
	})
	if err := l.store.Journal().Open(ctx, m.segment); err != nil {
		return err
	}
	if err := submit(ctx, l.store, m.segment, id, m.octets); err != nil {
		return err
	}
	l.witness.note(func() {
		m.added = true
		l.waiting = append(l.waiting, id)
	})
	return nil
}

// leave has a message taken by somebody else, and releases it.
func (l *load) leave(ctx context.Context, rng *rand.Rand) error {
	var id mailbox.MessageID
	var m *testimony
	l.witness.note(func() {
		if len(l.waiting) > 0 {
			i := rng.IntN(len(l.waiting))
			id = l.waiting[i]
			m, l.waiting = l.witness.messages[id], slices.Delete(l.waiting, i, i+1)
		}
	})
	if m == nil {
		return nil
	}
	l.witness.note(func() { m.removing[mailbox.Outbound] = true })
	if err := l.store.Journal().Append(ctx, m.segment, eventOf(m.segment, id, relay.Delivered)); err != nil {
		return err
	}
	l.witness.note(func() { m.delivered = true })
	return l.store.Contents().Release(ctx, mailbox.Outbound, mailbox.Message{ID: id, Recipients: 1})
}

// closeSegment closes a segment, whatever is in it, and begins another.
func (l *load) closeSegment(ctx context.Context, rng *rand.Rand) error {
	var closing relay.Segment
	l.witness.note(func() {
		i := rng.IntN(len(l.segments))
		closing = l.segments[i]
		l.segments[i].ID = l.ids.Next()
		for _, m := range l.witness.messages {
			m.closing = m.closing || m.segment == closing
		}
	})
	return l.store.Journal().Close(ctx, closing)
}

func (l *load) deliver(ctx context.Context, rng *rand.Rand) error {
	m := aTestimony(rng)
	m.drops = l.drops[rng.IntN(len(l.drops)):]
	size := len(m.octets)
	id := l.ids.Next()
	l.witness.note(func() { l.witness.messages[id] = m })
	if _, err := l.store.Contents().Put(ctx, mailbox.Content{ID: id, Maildrops: m.drops}, bytes.NewReader(m.octets)); err != nil {
		return err
	}
	var entries []mailbox.Entry
	for _, drop := range m.drops {
		entries = append(entries, mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: id, Octets: int64(size)}})
	}
	if err := l.store.Maildrops().Add(ctx, entries); err != nil {
		return err
	}
	l.witness.note(func() { m.added = true })
	return nil
}

func (l *load) expunge(ctx context.Context, rng *rand.Rand) error {
	drop := l.drops[rng.IntN(len(l.drops))]
	list, err := l.store.Maildrops().List(ctx, drop)
	if err != nil {
		return err
	}
	var some []mailbox.Message
	var ids []mailbox.MessageID
	for _, m := range list {
		if rng.IntN(3) > 0 {
			some, ids = append(some, m), append(ids, m.ID)
		}
	}
	l.witness.note(func() {
		for _, id := range ids {
			l.witness.messages[id].removing[drop] = true
		}
	})
	if err := l.store.Maildrops().Remove(ctx, drop, some...); err != nil {
		return err
	}
	l.witness.note(func() {
		for _, id := range ids {
			l.witness.messages[id].removed[drop] = true
		}
	})
	return l.store.Contents().Release(ctx, drop, some...)
}

// smallMemTable makes a store write tables and compact them all the time.
const smallMemTable = 256 << 10

// powerLosses is how often the plug is pulled.
const powerLosses = 200

// TestWhatWasAcknowledgedSurvivesPowerLoss pulls the plug at random moments
// under load. Of what was not synced, some is lost and some is not.
func TestWhatWasAcknowledgedSurvivesPowerLoss(t *testing.T) {
	fs := newCrashable()
	s := openStore(t, Options{FS: fs, memTableSize: smallMemTable})
	l := newLoad(s)
	tickets := make(chan struct{})
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			if err := l.run(t.Context(), seed, tickets); err != nil {
				t.Error(err)
			}
			for range tickets { // after a failure, so that nobody waits
			}
		})
	}
	rng := seeded(1)
	for n := 0; n < powerLosses && !t.Failed(); n++ {
		for range rng.IntN(20) {
			tickets <- struct{}{}
		}
		before := l.witness.snapshot()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * (n % 5), RNG: rng})
		after := l.witness.snapshot()
		if comesBack(t, clone, before, after, l.drops); t.Failed() {
			t.Errorf("at power loss %d", n)
		}
	}
	close(tickets)
	all.Wait()
}

// comesBack opens what a crash left, twice, and checks it.
func comesBack(t *testing.T, fs *vfs.MemFS, before, after map[mailbox.MessageID]testimony, drops []mailbox.MaildropID) {
	t.Helper()
	s, err := Open(Options{Dir: "mail", FS: fs, memTableSize: smallMemTable})
	if err != nil {
		t.Fatalf("the store does not open: %v", err)
	}
	check(t, s, before, after, drops)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// And once more, from what the first time wrote.
	if s, err = Open(Options{Dir: "mail", FS: fs, memTableSize: smallMemTable}); err != nil {
		t.Fatal(err)
	}
	check(t, s, before, after, drops)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crashable is a file system in memory that can be cloned, as a crash would leave it,
// while it is in use. Pebble's own deadlocks: Lock and ReuseForWrite take its lock for
// reading a second time, which waits for a clone that has come between and waits for them.
type crashable struct {
	*vfs.MemFS
	nested *sync.RWMutex // read by what does
}

func newCrashable() crashable { return crashable{vfs.NewCrashableMem(), new(sync.RWMutex)} }

func (fs crashable) Lock(name string) (io.Closer, error) {
	fs.nested.RLock()
	defer fs.nested.RUnlock()
	return fs.MemFS.Lock(name)
}

func (fs crashable) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.nested.RLock()
	defer fs.nested.RUnlock()
	return fs.MemFS.ReuseForWrite(oldname, newname, c)
}

func (fs crashable) CrashClone(c vfs.CrashCloneCfg) *vfs.MemFS {
	fs.nested.Lock()
	defer fs.nested.Unlock()
	return fs.MemFS.CrashClone(c)
}

// A syncHook is a file system that calls a function before and after each sync.
type syncHook struct {
	vfs.FS
	sync func()
}

func (fs syncHook) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return syncHookFile{f, fs.sync}, err
}

func (fs syncHook) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return syncHookFile{f, fs.sync}, err
}

func (fs syncHook) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, c)
	return syncHookFile{f, fs.sync}, err
}

type syncHookFile struct {
	vfs.File
	hook func()
}

func (f syncHookFile) Sync() error     { return f.around(f.File.Sync) }
func (f syncHookFile) SyncData() error { return f.around(f.File.SyncData) }

func (f syncHookFile) around(sync func() error) error {
	f.hook()
	err := sync()
	f.hook()
	return err
}

// TestPowerLossAtEverySync pulls the plug before and after every sync of a store
// that begins, delivers, removes and flushes, from the first octet on.
func TestPowerLossAtEverySync(t *testing.T) {
	mem := newCrashable()
	type crash struct {
		fs     *vfs.MemFS
		before map[mailbox.MessageID]testimony
	}
	var mu sync.Mutex
	var crashes []crash
	var known atomic.Pointer[witness]
	fs := syncHook{mem, func() {
		mu.Lock()
		defer mu.Unlock()
		before := map[mailbox.MessageID]testimony{}
		if w := known.Load(); w != nil {
			before = w.snapshot()
		}
		crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{}), before})
	}}
	s := openStore(t, Options{FS: fs, memTableSize: smallMemTable})
	l := newLoad(s)
	known.Store(l.witness)
	rng := seeded(2)
	for n := range 40 {
		if err := l.step(t.Context(), rng); err != nil {
			t.Fatal(err)
		}
		if n%10 == 9 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := l.witness.snapshot()
	mu.Lock()
	defer mu.Unlock()
	if len(crashes) < 100 {
		t.Errorf("only %d moments to crash at", len(crashes))
	}
	for n, c := range crashes {
		comesBack(t, c.fs, c.before, after, l.drops)
		if t.Failed() {
			t.Fatalf("at sync %d", n)
		}
	}
}

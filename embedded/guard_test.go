package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// A fault fails the operations that it is armed for.
type fault struct {
	match func(errorfs.Op) bool
	armed atomic.Bool
	err   error
}

func (f *fault) MaybeError(op errorfs.Op) error {
	if f.armed.Load() && f.match(op) {
		return f.err
	}
	return nil
}

func (f *fault) String() string { return "fault" }

// faulty is a file system with a fault. It makes a new file where Pebble would
// use an old one again, for what errorfs hands out then has no faults.
func faulty(fs vfs.FS, f *fault) vfs.FS { return noReuse{errorfs.Wrap(fs, f)} }

type noReuse struct{ vfs.FS }

func (fs noReuse) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Remove(oldname); err != nil {
		return nil, err
	}
	return fs.Create(newname, c)
}

func isLogFile(path string) bool { return strings.HasSuffix(path, ".log") }

// faults are the ways in which a disk lets the store down for good.
var faults = map[string]func(errorfs.Op) bool{
	"the log cannot be written": func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite && isLogFile(op.Path) },
	"the log cannot be synced": func(op errorfs.Op) bool {
		return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && isLogFile(op.Path)
	},
	"a blob file cannot be written": func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".blob")
	},
	"a blob file cannot be synced": func(op errorfs.Op) bool {
		return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".blob")
	},
	"a table cannot be written": func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".sst")
	},
	"a table cannot be synced": func(op errorfs.Op) bool {
		return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".sst")
	},
	"no log can be made": func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpCreate && isLogFile(op.Path)
	},
	"the manifest cannot be written": func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST")
	},
	"the manifest cannot be synced": func(op errorfs.Op) bool {
		return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.Contains(op.Path, "MANIFEST")
	},
}

// TestAFailingDiskStopsTheStoreInOrder lets the disk fail under load. Every call
// comes back, nothing is acknowledged from then on, what was is still read, and
// it is there after the next start.
func TestAFailingDiskStopsTheStoreInOrder(t *testing.T) {
	for name, match := range faults {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			f := &fault{match: match, err: syscall.ENOSPC}
			s := openStore(t, Options{FS: faulty(mem, f), memTableSize: smallMemTable, flushPatience: 10 * time.Millisecond})
			l, rng := newLoad(s), seeded(0)
			for range 20 {
				if err := l.deliver(t.Context(), rng); err != nil {
					t.Fatal(err)
				}
			}

			var all sync.WaitGroup
			for seed := range uint64(8) {
				all.Go(func() { l.runUntilItFails(t, seed) })
			}
			f.armed.Store(true)
			select {
			case cause := <-s.Failed():
				if !errors.Is(cause, syscall.ENOSPC) {
					t.Errorf("the store failed by %v", cause)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the store goes on")
			}
			all.Wait()
			known := l.witness.snapshot()
			stillReads(t, s, known)
			writesFail(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			f.armed.Store(false)
			comesBack(t, mem.CrashClone(vfs.CrashCloneCfg{}), known, known, l.drops)
			comesBack(t, mem, known, known, l.drops)
		})
	}
}

// runUntilItFails delivers and expunges until the store refuses.
func (l *load) runUntilItFails(t *testing.T, seed uint64) {
	rng := seeded(seed)
	for {
		if err := l.step(t.Context(), rng); err != nil {
			if !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("the step failed by %v", err)
			}
			return
		}
	}
}

// stillReads checks that what was acknowledged and nobody removed can be read.
func stillReads(t *testing.T, s *Store, known map[mailbox.MessageID]testimony) {
	t.Helper()
	for id, m := range known {
		if !m.added || len(m.removing) > 0 || m.closing {
			continue
		}
		err := readsSubmitted(t.Context(), s, m.segment, id, m.octets)
		if !m.outbound() {
			err = reads(t.Context(), s, id, m.octets)
		}
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// writesFail checks that no write is acknowledged.
func writesFail(t *testing.T, s *Store) {
	t.Helper()
	ctx, drop := t.Context(), mailbox.MaildropID{9}
	m := mailbox.Message{ID: new(mailbox.MessageIDs).Next(), Octets: 3}
	_, put := s.Contents().Put(ctx, mailbox.Content{ID: m.ID, Maildrops: []mailbox.MaildropID{drop}}, strings.NewReader("abc"))
	_, sweep := s.Sweep(ctx)
	for call, err := range map[string]error{
		"Put":     put,
		"Add":     s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drop, Message: m}}),
		"Remove":  s.Maildrops().Remove(ctx, drop, m),
		"Release": s.Contents().Release(ctx, drop, m),
		"address": s.Addresses().Put(ctx, mailbox.Address{Local: "a", Domain: "b"}, mailbox.Route{}),
		"Ping":    s.Ping(ctx),
	} {
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s = %v; want unavailable", call, err)
		}
	}
	if sweep != nil && !errors.Is(sweep, mailbox.ErrUnavailable) {
		t.Errorf("Sweep = %v", sweep)
	}
}

// TestAFullDiskRefusesMailAndStillHandsItOut leaves less than MinFree.
func TestAFullDiskRefusesMailAndStillHandsItOut(t *testing.T) {
	fs := vfs.NewMem()
	now := time.Now()
	s := openStore(t, Options{FS: fs, MinFree: 1 << 20, Now: func() time.Time { return now }})
	ctx, drop, ids := t.Context(), mailbox.MaildropID{1}, new(mailbox.MessageIDs)
	content := mailboxtest.Message(5000)
	kept := ids.Next()
	if err := put(ctx, s, kept, content, drop); err != nil {
		t.Fatal(err)
	}

	usage := func(free uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 1 << 30})
		now = now.Add(roomLasts)
	}
	usage(1<<20 + 1000)
	if err := put(ctx, s, ids.Next(), content, drop); !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("Put = %v; want full", err)
	}
	err := s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drop, Message: mailbox.Message{ID: ids.Next()}}, {Maildrop: drop, Message: mailbox.Message{ID: ids.Next()}}})
	if !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("Add = %v; want full", err)
	}
	list, err := s.Maildrops().List(ctx, drop)
	if err != nil || len(list) != 1 {
		t.Fatalf("List = %v, %v; want one message", list, err)
	}
	if err := reads(ctx, s, kept, content); err != nil {
		t.Error(err)
	}
	if err := s.Maildrops().Remove(ctx, drop, list...); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := s.Contents().Release(ctx, drop, mailbox.Message{ID: kept}); err != nil {
		t.Errorf("Release: %v", err)
	}

	usage(1 << 30)
	if err := put(ctx, s, ids.Next(), content, drop); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestRoomIsNotPromisedTwice asks for more in a second than there is.
func TestRoomIsNotPromisedTwice(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10_000})
	now := time.Now()
	r := &room{fs: fs, dir: "/", minFree: 1000, now: func() time.Time { return now }}
	if err := r.take(2000); err != nil {
		t.Fatal(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 4000})
	if err := r.take(2000); !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("take = %v; want full", err)
	}
}

// TestAFlushThatFailsIsTriedAgain fills the disk for tables but not for the log.
func TestAFlushThatFailsIsTriedAgain(t *testing.T) {
	f := &fault{err: syscall.ENOSPC, match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpCreate && (strings.HasSuffix(op.Path, ".sst") || strings.HasSuffix(op.Path, ".blob"))
	}}
	s := openStore(t, Options{FS: faulty(vfs.NewMem(), f)})
	l, rng := newLoad(s), seeded(0)
	f.armed.Store(true)
	for range 10 {
		if err := l.deliver(t.Context(), rng); err != nil {
			t.Fatal(err)
		}
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-flushed:
		t.Fatal("flushed to a full disk")
	case <-time.After(2 * backgroundRetry):
	}
	if err := l.deliver(t.Context(), rng); err != nil {
		t.Errorf("the log has room: %v", err)
	}
	f.armed.Store(false)
	select {
	case <-flushed:
	case <-time.After(time.Minute):
		t.Error("not flushed with room again")
	}
	stillReads(t, s, l.witness.snapshot())
}

// TestAStallObeysTheContext has a writer wait for Pebble no longer than it may.
func TestAStallObeysTheContext(t *testing.T) {
	s := openStore(t, Options{})
	s.stall.begin()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	id := new(mailbox.MessageIDs).Next()
	if err := put(ctx, s, id, []byte("abc"), mailbox.MaildropID{1}); !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put = %v; want unavailable, as the deadline passed", err)
	}
	done := make(chan error, 1)
	go func() { done <- put(t.Context(), s, id, []byte("abc"), mailbox.MaildropID{1}) }()
	s.stall.end()
	if err := <-done; err != nil {
		t.Errorf("after the stall: %v", err)
	}
}

// TestTooManyWritersWait has a writer more than there are places.
func TestTooManyWritersWait(t *testing.T) {
	s := openStore(t, Options{})
	for range maxWriters {
		s.gate <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Ping = %v; want unavailable", err)
	}
	<-s.gate
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping with a place: %v", err)
	}
	for range maxWriters - 1 {
		<-s.gate
	}
}

// TestEveryCallFailsAfterClose calls a closed store.
func TestEveryCallFailsAfterClose(t *testing.T) {
	s := openStore(t, Options{})
	content := bytes.Repeat([]byte("x"), 3*partSize)
	id, drop := new(mailbox.MessageIDs).Next(), mailbox.MaildropID{9}
	if err := put(t.Context(), s, id, content, drop); err != nil {
		t.Fatal(err)
	}
	r, err := s.Contents().Open(t.Context(), mailbox.Message{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Read of an open content = %v; want unavailable", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	writesFail(t, s)
	_, list := s.Maildrops().List(t.Context(), drop)
	_, open := s.Contents().Open(t.Context(), mailbox.Message{ID: id})
	_, lookup := s.Addresses().Lookup(t.Context(), mailbox.Address{})
	for _, err := range []error{list, open, lookup} {
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%v; want unavailable", err)
		}
	}
	for _, err := range s.Addresses().List(t.Context(), "example.org") {
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Error(fmt.Errorf("%w; want unavailable", err))
		}
	}
}

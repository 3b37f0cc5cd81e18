package embedded

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
)

// A clock is set by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// sweepable is a store whose clock is set by hand.
func sweepable(t *testing.T) (*Store, *clock, *mailbox.MessageIDs) {
	c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	return openStore(t, Options{Now: c.Now}), c, &mailbox.MessageIDs{Now: c.Now}
}

func sweep(t *testing.T, s *Store, want SweepStats) {
	t.Helper()
	got, err := s.Sweep(t.Context())
	if err != nil || got != want {
		t.Errorf("Sweep = %+v, %v; want %+v", got, err, want)
	}
}

// keys are how many keys have a prefix.
func keys(t *testing.T, s *Store, prefix byte) (n int) {
	t.Helper()
	if err := s.scanKeys(t.Context(), []byte{prefix}, []byte{prefix + 1}, func([]byte) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

// allKeys are how many keys there are.
func allKeys(t *testing.T, s *Store) (n int) {
	for _, prefix := range []byte("acpwhmregxsj") {
		n += keys(t, s, prefix)
	}
	return n
}

var sweepSizes = map[string]int{"small": 100, "of several parts": 3 * partSize}

func TestContentThatWasNeverListedIsSwept(t *testing.T) {
	for name, size := range sweepSizes {
		t.Run(name, func(t *testing.T) {
			s, clock, ids := sweepable(t)
			id := ids.Next()
			c := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{{1}, {2}}}
			if _, err := s.Contents().Put(t.Context(), c, strings.NewReader(strings.Repeat("x", size))); err != nil {
				t.Fatal(err)
			}
			clock.now = clock.now.Add(orphanAge - time.Second)
			sweep(t, s, SweepStats{})
			clock.now = clock.now.Add(time.Second)
			sweep(t, s, SweepStats{Unlisted: 1})
			if n := allKeys(t, s); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

func TestContentThatIsListedIsNotSwept(t *testing.T) {
	s, clock, ids := sweepable(t)
	id, content := ids.Next(), []byte(strings.Repeat("x", 3*partSize))
	if err := put(t.Context(), s, id, content, mailbox.MaildropID{1}); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(100 * orphanAge)
	sweep(t, s, SweepStats{})
	if err := reads(t.Context(), s, id, content); err != nil {
		t.Error(err)
	}
}

func TestContentGoesWhenThoseLeftNeverListedIt(t *testing.T) {
	s, clock, ids := sweepable(t)
	id, ctx := ids.Next(), t.Context()
	drops := []mailbox.MaildropID{{1}, {2}, {3}}
	if _, err := s.Contents().Put(ctx, mailbox.Content{ID: id, Maildrops: drops}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	m := mailbox.Message{ID: id, Octets: 1}
	if err := s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drops[0], Message: m}, {Maildrop: drops[1], Message: m}}); err != nil {
		t.Fatal(err)
	}
	expunge := func(drop mailbox.MaildropID) {
		t.Helper()
		if err := errors.Join(s.Maildrops().Remove(ctx, drop, m), s.Contents().Release(ctx, drop, m)); err != nil {
			t.Fatal(err)
		}
	}
	expunge(drops[0])
	clock.now = clock.now.Add(orphanAge)
	sweep(t, s, SweepStats{})
	if err := reads(ctx, s, id, []byte("x")); err != nil {
		t.Errorf("while the second lists it: %v", err)
	}
	expunge(drops[1])
	sweep(t, s, SweepStats{Unlisted: 1})
	if _, err := s.Contents().Open(ctx, mailbox.Message{ID: id}); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Open = %v; want not found", err)
	}
}

func TestPartsOfAPutThatACrashEndedAreSwept(t *testing.T) {
	fs := newCrashable()
	var crashed *vfs.MemFS
	c := &clock{time.Now()}
	s := openStore(t, Options{FS: fs, Now: c.Now})
	id := new(mailbox.MessageIDs).Next()
	crash := readerFunc(func([]byte) (int, error) {
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if keys(t, s, prefixPart) == 0 {
			t.Error("a put under way was swept")
		}
		if err := s.db.Flush(); err != nil {
			t.Error(err)
		}
		crashed = fs.CrashClone(vfs.CrashCloneCfg{})
		return 0, context.Canceled
	})
	c.now = c.now.Add(orphanAge + time.Minute)
	_, err := s.Contents().Put(t.Context(), mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{{1}}},
		readers(strings.NewReader(strings.Repeat("x", 3*partSize)), crash))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Put = %v", err)
	}
	if n := allKeys(t, s); n != 0 {
		t.Errorf("the put that failed left %d keys", n)
	}
	s = openStore(t, Options{FS: crashed, Now: c.Now})
	if n := keys(t, s, prefixPart); n != 3 {
		t.Fatalf("%d parts survived the crash; want 3", n)
	}
	sweep(t, s, SweepStats{Uncommitted: 1})
	if n := allKeys(t, s); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestWhatExpiredIsSwept(t *testing.T) {
	s, clock, ids := sweepable(t)
	ctx, drop := t.Context(), mailbox.MaildropID{1}
	at := clock.now.Add(time.Hour)
	var expiring []mailbox.MessageID
	for name, expires := range map[string]time.Time{"early": at, "also early": at, "late": at.Add(time.Hour), "never": {}} {
		id := ids.Next()
		if expires == at {
			expiring = append(expiring, id)
		}
		c := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{drop}, Expires: expires}
		if _, err := s.Contents().Put(ctx, c, strings.NewReader(name)); err != nil {
			t.Fatal(err)
		}
		m := mailbox.Message{ID: id, Octets: int64(len(name)), Expires: expires}
		if err := s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, s, SweepStats{})
	clock.now = at
	if list, err := s.Maildrops().List(ctx, drop); err != nil || len(list) != 2 {
		t.Errorf("List = %v, %v; want two that have not expired", list, err)
	}
	sweep(t, s, SweepStats{Expired: 4}) // two contents, two lines
	sweep(t, s, SweepStats{})
	for _, id := range expiring {
		if _, err := s.Contents().Open(ctx, mailbox.Message{ID: id}); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("Open of %s = %v; want not found", id, err)
		}
	}
	if c, e := keys(t, s, prefixContent), keys(t, s, prefixExpiry); c != 2 || e != 2 {
		t.Errorf("%d contents and %d times of expiry; want 2 and 2", c, e)
	}
}

func TestAMessageAddedAgainWithAnotherTimeIsKept(t *testing.T) {
	s, clock, ids := sweepable(t)
	m := mailbox.Message{ID: ids.Next(), Expires: clock.now.Add(time.Hour)}
	for range 2 {
		if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: mailbox.MaildropID{1}, Message: m}}); err != nil {
			t.Fatal(err)
		}
		m.Expires = m.Expires.Add(time.Hour)
	}
	clock.now = clock.now.Add(90 * time.Minute)
	sweep(t, s, SweepStats{})
	if list, err := s.Maildrops().List(t.Context(), mailbox.MaildropID{1}); err != nil || len(list) != 1 {
		t.Errorf("List = %v, %v; want the message", list, err)
	}
	if n := keys(t, s, prefixExpiry); n != 1 {
		t.Errorf("%d times of expiry; want the new one", n)
	}
}

func TestRemovalsAreForgottenAfterADay(t *testing.T) {
	s, clock, ids := sweepable(t)
	ctx, drop, left := t.Context(), mailbox.MaildropID{1}, ids.Next()
	// The crash came between Remove and Release.
	if err := put(ctx, s, left, []byte("x"), drop); err != nil {
		t.Fatal(err)
	}
	m := mailbox.Message{ID: left, Octets: 1}
	if err := s.Maildrops().Remove(ctx, drop, m); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(removalAge)
	sweep(t, s, SweepStats{})
	if err := s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Maildrops().List(ctx, drop); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v; want that the removal holds for a day", list, err)
	}
	clock.now = clock.now.Add(halfDay)
	sweep(t, s, SweepStats{Days: 1, Unreleased: 1})
	if n := allKeys(t, s); n != keys(t, s, prefixHead) {
		t.Errorf("%d keys are left", n)
	}
}

func TestRemovalsOfSeveralDaysAreFoundAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	ids := mailbox.MessageIDs{Now: c.Now}
	s := openStore(t, Options{FS: fs, Now: c.Now})
	drop := mailbox.MaildropID{1}
	var removed []mailbox.Message
	for range 5 {
		removed = append(removed, mailbox.Message{ID: ids.Next()})
		if err := s.Maildrops().Remove(t.Context(), drop, removed...); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(halfDay)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{FS: fs, Now: c.Now})
	if n := len(*s.maildrops.days.Load()); n != 5 {
		t.Errorf("%d days; want 5", n)
	}
	for _, m := range removed {
		if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Maildrops().List(t.Context(), drop); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v; want none", list, err)
	}
}

func TestARemovalHoldsWhenTheClockIsSetBack(t *testing.T) {
	s, clock, ids := sweepable(t)
	m, drop := mailbox.Message{ID: ids.Next()}, mailbox.MaildropID{1}
	clock.now = clock.now.Add(-3 * halfDay)
	if err := s.Maildrops().Remove(t.Context(), drop, m); err != nil {
		t.Fatal(err)
	}
	if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Maildrops().List(t.Context(), drop); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v; want none", list, err)
	}
}

func TestASweepGoesThroughManyPages(t *testing.T) {
	s, clock, ids := sweepable(t)
	const many = 3*sweepPage + 1
	drop := mailbox.MaildropID{1}
	for range many {
		if _, err := s.Contents().Put(t.Context(), mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{drop}}, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	clock.now = clock.now.Add(orphanAge + time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep with an ended context = %v", err)
	}
	sweep(t, s, SweepStats{Unlisted: many})
}

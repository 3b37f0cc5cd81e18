package embedded

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
)

// ending is the maildrop of a temporary address.
func ending(n int) mailbox.MaildropID {
	return mailbox.TemporaryMaildropOf(mailbox.Address{Local: fmt.Sprint(n), Domain: "temp.example.org"}, 1)
}

// deliverUntil puts a message that expires into maildrops.
func deliverUntil(t testing.TB, s *Store, id mailbox.MessageID, expires time.Time, drops ...mailbox.MaildropID) mailbox.Message {
	t.Helper()
	const text = "Subject: x\r\n\r\n"
	c := mailbox.Content{ID: id, Maildrops: drops, Expires: expires}
	if _, err := s.Contents().Put(t.Context(), c, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	m := mailbox.Message{ID: id, Octets: int64(len(text)), Expires: expires}
	var entries []mailbox.Entry
	for _, drop := range drops {
		entries = append(entries, mailbox.Entry{Maildrop: drop, Message: m})
	}
	if err := s.Maildrops().Add(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMaildropsThatEndLeaveNothing(t *testing.T) {
	for name, use := range map[string]func(t *testing.T, s *Store, drop mailbox.MaildropID){
		"and were never looked at": func(*testing.T, *Store, mailbox.MaildropID) {},
		"and are in memory":        func(t *testing.T, s *Store, drop mailbox.MaildropID) { mustList(t, s, drop) },
		"after a removal": func(t *testing.T, s *Store, drop mailbox.MaildropID) {
			if err := s.Maildrops().Remove(t.Context(), drop, mustList(t, s, drop)[0]); err != nil {
				t.Fatal(err)
			}
		},
		"after a generation": func(t *testing.T, s *Store, drop mailbox.MaildropID) {
			ids := &mailbox.MessageIDs{Now: s.now}
			for range 2 * minDead {
				m := deliverUntil(t, s, ids.Next(), s.now().Add(time.Hour), drop)
				if err := errors.Join(s.Maildrops().Remove(t.Context(), drop, m), s.Contents().Release(t.Context(), drop, m)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"and were emptied": func(t *testing.T, s *Store, drop mailbox.MaildropID) {
			list := mustList(t, s, drop)
			if err := errors.Join(s.Maildrops().Remove(t.Context(), drop, list...), s.Contents().Release(t.Context(), drop, list...)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, clock, ids := sweepable(t)
			drop := ending(1)
			for range 3 {
				deliverUntil(t, s, ids.Next(), clock.now.Add(time.Hour), drop)
			}
			use(t, s, drop)
			clock.now = clock.now.Add(time.Hour)
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := keys(t, s, prefixRow) + keys(t, s, prefixContent); n != 0 {
				t.Errorf("%d lines and contents are left", n)
			}
			clock.now = clock.now.Add(2 * headRest)
			for range 2 { // the first may find that the head is not needed
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := allKeys(t, s) - keys(t, s, prefixRemoval); n != 0 {
				t.Errorf("%d keys are left", n)
			}
			deliverUntil(t, s, ids.Next(), clock.now.Add(time.Hour), drop)
			if n := len(mustList(t, s, drop)); n != 1 {
				t.Errorf("%d messages after one delivery", n)
			}
		})
	}
}

func TestAMaildropInUseKeepsItsHead(t *testing.T) {
	s, clock, ids := sweepable(t)
	drop := ending(1)
	for range 30 {
		m := deliverUntil(t, s, ids.Next(), clock.now.Add(time.Minute), drop)
		kept := deliverUntil(t, s, ids.Next(), clock.now.Add(5*time.Hour), drop)
		if err := s.Maildrops().Remove(t.Context(), drop, m); err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(30 * time.Minute)
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys(t, s, prefixHead) != 1 {
			t.Fatal("a maildrop with dead lines has lost its head")
		}
		if list := mustList(t, s, drop); list[len(list)-1].ID != kept.ID {
			t.Fatalf("listed are %v; want %v at the end", list, kept)
		}
		s.maildrops.cache = newListingCache(defaultCachedMessages)
	}
	clock.now = clock.now.Add(24 * time.Hour)
	for range 2 {
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := keys(t, s, prefixHead) + keys(t, s, prefixExpiry) + keys(t, s, prefixRow); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// What expires is as dead as what is removed: a walk passes it.
func TestTheExpiredCountAmongTheDead(t *testing.T) {
	for _, cached := range []int{1, defaultCachedMessages} {
		t.Run(fmt.Sprint("cached=", cached), func(t *testing.T) {
			c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
			s := openStore(t, Options{Now: c.Now, CachedMessages: cached})
			ids, drop := &mailbox.MessageIDs{Now: c.Now}, ending(1)
			generations := uint32(0)
			for range 20 {
				for range 20 {
					deliverUntil(t, s, ids.Next(), c.now.Add(time.Minute), drop)
				}
				c.now = c.now.Add(time.Minute)
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				held := s.maildrops.cache.hold([]mailbox.MaildropID{drop})
				if err := s.maildrops.readHead(held[0]); err != nil {
					t.Fatal(err)
				}
				generations = max(generations, held[0].head.generation)
				if cached > 1 && held[0].head.dead >= minDead {
					t.Errorf("%d are dead and none living", held[0].head.dead)
				}
				s.maildrops.cache.release(held)
			}
			if cached > 1 && generations == 0 {
				t.Error("the rows were never buried")
			}
			if n := keys(t, s, prefixRow); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

func TestAContentStaysForTheMaildropThatStillListsIt(t *testing.T) {
	s, clock, ids := sweepable(t)
	id := ids.Next()
	stays := mailbox.MaildropID{15: 0}
	c := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{stays, ending(1), ending(2)}}
	if _, err := s.Contents().Put(t.Context(), c, strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	m := mailbox.Message{ID: id, Octets: 4}
	soon := m
	soon.Expires = clock.now.Add(time.Hour)
	if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: stays, Message: m}, {Maildrop: ending(1), Message: soon}, {Maildrop: ending(2), Message: soon}}); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(time.Hour)
	sweep(t, s, SweepStats{Expired: 2})
	if err := reads(t.Context(), s, id, []byte("text")); err != nil {
		t.Errorf("the content is gone: %v", err)
	}
	if err := errors.Join(s.Maildrops().Remove(t.Context(), stays, m), s.Contents().Release(t.Context(), stays, m)); err != nil {
		t.Fatal(err)
	}
	if n := keys(t, s, prefixContent) + keys(t, s, prefixPart); n != 0 {
		t.Errorf("%d keys of the content are left, though the two that expired had been all others", n)
	}
}

// An expiry that a crash undoes must not have been seen, and is done again.
func TestAnExpiryThatACrashUndidIsRepeated(t *testing.T) {
	fs := newCrashable()
	c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	s := openStore(t, Options{FS: fs, Now: c.Now})
	m := deliverUntil(t, s, (&mailbox.MessageIDs{Now: c.Now}).Next(), c.now.Add(time.Hour), ending(1))
	c.now = c.now.Add(time.Hour)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{}) // of what is not synced, nothing
	sweep(t, s, SweepStats{Expired: 2})
	s = openStore(t, Options{FS: crashed, Now: c.Now})
	if list := mustList(t, s, ending(1)); len(list) != 0 {
		t.Errorf("listed is %v, which has expired", list)
	}
	sweep(t, s, SweepStats{Expired: 2})
	if _, err := s.Contents().Open(t.Context(), m); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Open = %v; want not found", err)
	}
}

func TestTheStoreRemovesWhatExpiredByItself(t *testing.T) {
	s := openStore(t, Options{expireEvery: 10 * time.Millisecond})
	ids := new(mailbox.MessageIDs)
	for range 3 {
		for n := range 10 {
			deliverUntil(t, s, ids.Next(), time.Now().Add(-time.Second), ending(n))
		}
		for deadline := time.Now().Add(10 * time.Second); allKeys(t, s) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d keys are left", allKeys(t, s))
			}
		}
	}
}

// Writers, readers and the sweep meet on the same maildrops.
func TestTheSweepOfTheExpiredDisturbsNobody(t *testing.T) {
	for _, cached := range []int{1, defaultCachedMessages} {
		t.Run(fmt.Sprint("cached=", cached), func(t *testing.T) {
			s := openStore(t, Options{CachedMessages: cached, memTableSize: smallMemTable})
			ids := new(mailbox.MessageIDs)
			var writers, sweeper sync.WaitGroup
			done := make(chan struct{})
			sweeper.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := s.Sweep(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
			kept := make([][]mailbox.Message, 4)
			for w := range kept {
				writers.Go(func() {
					for i := range 150 {
						// Some have expired when they come, some do soon, some stay.
						expires := time.Now().Truncate(time.Second).Add(time.Duration(i%3-1) * time.Second)
						if i%5 == 0 {
							expires = time.Now().Add(time.Hour)
						}
						m := deliverUntil(t, s, ids.Next(), expires, ending(w%2), ending(2))
						if i%5 != 0 {
							continue
						}
						if i%10 == 0 {
							if err := s.Maildrops().Remove(t.Context(), ending(w%2), m); err != nil {
								t.Error(err)
							}
							continue
						}
						kept[w] = append(kept[w], m)
						list, err := s.Maildrops().List(t.Context(), ending(w%2))
						if err != nil || len(list) == 0 {
							t.Errorf("List = %v, %v", list, err)
						}
					}
				})
			}
			writers.Wait()
			close(done)
			sweeper.Wait()
			time.Sleep(1100 * time.Millisecond)
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, fresh := range []bool{false, true} {
				if fresh {
					s.maildrops.cache = newListingCache(defaultCachedMessages)
				}
				for n := range 2 {
					want := len(kept[n]) + len(kept[n+2])
					if list := mustList(t, s, ending(n)); len(list) != want {
						t.Errorf("%d are listed, from disk %t; want %d", len(list), fresh, want)
					}
				}
				if list := mustList(t, s, ending(2)); len(list) != 4*30 {
					t.Errorf("%d are listed, from disk %t; want %d", len(list), fresh, 4*30)
				}
			}
			if n := keys(t, s, prefixContent); n != 4*30 {
				t.Errorf("%d contents are left; want %d", n, 4*30)
			}
		})
	}
}

func TestTheSweepOfTheExpiredLeavesOthersInMemory(t *testing.T) {
	s, clock, ids := sweepable(t)
	const inUse = 100
	for n := range inUse {
		deliverUntil(t, s, ids.Next(), clock.now.Add(24*time.Hour), ending(n))
		mustList(t, s, ending(n))
	}
	for n := range 1000 {
		deliverUntil(t, s, ids.Next(), clock.now.Add(time.Hour), ending(inUse+n))
	}
	s.maildrops.cache.limit = s.maildrops.cache.cost // no room for more
	known := len(s.maildrops.cache.byDrop)
	clock.now = clock.now.Add(time.Hour)
	sweep(t, s, SweepStats{Expired: 2000})
	if n := len(s.maildrops.cache.byDrop); n != known {
		t.Errorf("%d listings are in memory; want the %d of before", n, known)
	}
}

func TestATemporaryAddressIsForgottenLongAfterItsEnd(t *testing.T) {
	hour := func(now time.Time) mailbox.Route {
		return mailbox.Route{Kind: mailbox.Temporary, Life: 1, Expires: now.Add(time.Hour)}
	}
	vacant := func(now time.Time) mailbox.Route {
		return mailbox.Route{Kind: mailbox.Vacant, Life: 1, Expires: now}
	}
	account := func(time.Time) mailbox.Route { return mailbox.Route{Kind: mailbox.Account, Life: 1} }
	days := func(n int) func(now time.Time) mailbox.Route {
		return func(now time.Time) mailbox.Route {
			return mailbox.Route{Kind: mailbox.Temporary, Life: 2, Expires: now.Add(time.Duration(n) * 24 * time.Hour)}
		}
	}
	long := func(now time.Time) mailbox.Route {
		return mailbox.Route{Kind: mailbox.Temporary, Life: 1, Expires: now.Add(-100 * 24 * time.Hour)}
	}
	for name, c := range map[string]struct {
		routes []func(now time.Time) mailbox.Route // one a minute
		kept   time.Duration                       // from the beginning; 0: for ever
	}{
		"one that ended":                  {[]func(time.Time) mailbox.Route{hour}, time.Hour + routeMemory},
		"one that was removed":            {[]func(time.Time) mailbox.Route{hour, vacant}, time.Hour + routeMemory},
		"one that was made again":         {[]func(time.Time) mailbox.Route{hour, vacant, days(2)}, 2*time.Minute + 2*24*time.Hour + routeMemory},
		"one that was made for less time": {[]func(time.Time) mailbox.Route{days(2), hour}, 2*24*time.Hour + routeMemory},
		"one that had ended at once":      {[]func(time.Time) mailbox.Route{long}, routeMemory},
		"an account":                      {[]func(time.Time) mailbox.Route{account}, 0},
		"an account that was removed":     {[]func(time.Time) mailbox.Route{account, vacant}, 0},
		"one that was an account once":    {[]func(time.Time) mailbox.Route{account, vacant, hour}, 0},
		"one that became an account":      {[]func(time.Time) mailbox.Route{hour, account}, 0},
		"one that was an account, again":  {[]func(time.Time) mailbox.Route{hour, account, vacant, hour, vacant}, 0},
		"a vacant one of nothing":         {[]func(time.Time) mailbox.Route{vacant}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			clock := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
			began := clock.now
			s := openStore(t, Options{FS: fs, Now: clock.Now})
			a := mailbox.Address{Local: "a b", Domain: "temp.example.org"}
			var last mailbox.Route
			for _, route := range c.routes {
				last = route(clock.now)
				if err := s.Addresses().Put(t.Context(), a, last); err != nil {
					t.Fatal(err)
				}
				clock.now = clock.now.Add(time.Minute)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, Options{FS: fs, Now: clock.Now})
			is := func(there bool) {
				t.Helper()
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				r, err := s.Addresses().Lookup(t.Context(), a)
				if there && (err != nil || r.Kind != last.Kind || r.Life != last.Life) || !there && !errors.Is(err, mailbox.ErrNotFound) {
					t.Errorf("%v after the beginning: %v, %v; there: %t", clock.now.Sub(began), r, err, there)
				}
			}
			if c.kept == 0 {
				clock.now = began.Add(10 * 365 * 24 * time.Hour)
				is(true)
				return
			}
			clock.now = began.Add(c.kept - time.Second)
			is(true)
			clock.now = began.Add(c.kept)
			is(false)
			if n := allKeys(t, s); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

func TestAnAddressThatIsMadeWhileItIsForgottenIsKept(t *testing.T) {
	s, clock, _ := sweepable(t)
	a := mailbox.Address{Local: "fred", Domain: "temp.example.org"}
	for life := range uint32(50) {
		ended := mailbox.Route{Kind: mailbox.Temporary, Life: life, Expires: clock.now.Add(-routeMemory)}
		if err := s.Addresses().Put(t.Context(), a, ended); err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(2 * routeMemory)
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			err := s.Addresses().Put(t.Context(), a, mailbox.Route{Kind: mailbox.Temporary, Life: life + 1, Expires: clock.now.Add(time.Hour)})
			if err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if r, err := s.Addresses().Lookup(t.Context(), a); err != nil || r.Life != life+1 {
			t.Fatalf("the new life is %v, %v", r, err)
		}
	}
}

func TestAStoreOfTheFirstFormatIsOpened(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("mail/"+formatFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(formatMagic + "1\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openStore(t, Options{FS: fs})
	if version, err := readFormat(fs, "mail/"+formatFile); err != nil || version != formatVersion {
		t.Errorf("the format is %d, %v; want %d", version, err, formatVersion)
	}
}

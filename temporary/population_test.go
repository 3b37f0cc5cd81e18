package temporary

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// live is how many mailboxes can be reached.
func (s *site) live() (n int) {
	s.Helper()
	for _, d := range s.directory.TempDomains {
		for _, err := range s.directory.List(s.Context(), d) {
			if err != nil {
				s.Fatal(err)
			}
			n++
		}
	}
	return n
}

// knows is how many mailboxes are known by their addresses.
func (s *site) knows() int {
	s.living.mu.Lock()
	defer s.living.mu.Unlock()
	if s.living.known == nil {
		return 0
	}
	return s.living.known.EstimatedSize()
}

func limit(n int) func(*Options) { return func(o *Options) { o.MaxLive = n } }

func TestThereAreNoMoreMailboxesThanMayBe(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 8).Draw(rt, "limit")
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"create", "create", "create chosen", "get", "get", "remove", "wait"}), 1, 60).Draw(rt, "steps")
		picks := rapid.SliceOfN(rapid.IntRange(0, 1<<20), len(steps), len(steps)).Draw(rt, "picks")
		bubble(t, func(t *testing.T) {
			s := newSite(t, mailboxtest.Never, limit(most))
			var made []Mailbox
			for i, step := range steps {
				pick := picks[i]
				if len(made) == 0 && (step == "get" || step == "remove") {
					continue
				}
				switch step {
				case "create", "create chosen":
					r := Request{Life: time.Duration(1+pick%20) * time.Second}
					if step == "create chosen" {
						r.Local = fmt.Sprintf("user%d", pick%5)
					}
					mb, err := s.Create(t.Context(), r)
					if errors.Is(err, mailbox.ErrExists) {
						continue
					}
					if err != nil {
						rt.Fatal(err)
					}
					if _, err := s.lookup(t.Context(), mb.Address); err != nil {
						rt.Fatalf("a new mailbox is gone at once: %v", err)
					}
					made = append(made, mb)
				case "get":
					_, _ = s.Get(t.Context(), made[pick%len(made)].Address)
				case "remove":
					_ = s.Remove(t.Context(), made[pick%len(made)].Address)
				case "wait":
					time.Sleep(time.Duration(pick%5) * time.Second)
				}
				if n := s.live(); n > most || n != s.living.len() || n != s.knows() {
					rt.Fatalf("step %d: %d are live, %d are counted and %d known; want no more than %d", i, n, s.living.len(), s.knows(), most)
				}
			}
		})
	})
}

func TestManyCreatorsAtOnceKeepTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := func(n int, _ string) mailboxtest.Fault {
			return mailboxtest.Delay(time.Duration(n%7) * time.Millisecond)
		}
		s := newSite(t, slow, limit(10))
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				for range 10 {
					if _, err := s.Create(t.Context(), Request{}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := s.live(); n != 10 {
			t.Errorf("%d are live; want 10", n)
		}
		s.counts("mailboxes_live", 10)
		s.counts("mailboxes_made_total", 300)
		s.counts("mailboxes_evicted_total", 290)
	})
}

func TestAFloodOfMailboxesDoesNotEvictTheOnesInUse(t *testing.T) {
	uses := map[string]func(s *site, mb Mailbox){
		"are looked at": func(s *site, mb Mailbox) {
			_, _ = s.Get(s.Context(), mb.Address)
		},
		"get mail": func(s *site, mb Mailbox) { s.deliver(mb, "text") },
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, mailboxtest.Never, limit(200))
				var inUse []Mailbox
				for range 100 {
					inUse = append(inUse, s.create(Request{Life: time.Hour}))
				}
				for range 3 {
					for _, mb := range inUse {
						use(s, mb)
						synctest.Wait()
					}
				}
				for i := range 3000 {
					s.create(Request{Life: time.Hour})
					if i%2 == 0 {
						use(s, inUse[i/2%len(inUse)])
						synctest.Wait()
					}
				}
				lost := 0
				for _, mb := range inUse {
					if _, err := s.lookup(t.Context(), mb.Address); err != nil {
						lost++
					}
				}
				// How often each is used is estimated, so one or the other may go.
				if lost > 5 {
					t.Errorf("%d of %d in use are gone", lost, len(inUse))
				}
				s.counts("mailboxes_live", 200)
				s.counts("mailboxes_evicted_total", 2900)
			})
		})
	}
}

func TestWhatIsEvictedLosesItsMail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, limit(2))
		var made []Mailbox
		for range 5 {
			made = append(made, s.create(Request{}))
			s.deliver(made[len(made)-1], "text")
		}
		time.Sleep(time.Second)
		kept := 0
		for _, mb := range made {
			if _, err := s.Get(t.Context(), mb.Address); err == nil {
				kept++
				s.holds(mb.Maildrop, 1)
			} else {
				s.gone(mb.Address)
				s.holds(mb.Maildrop, 0)
			}
		}
		if kept != 2 {
			t.Errorf("%d are kept; want 2", kept)
		}
		s.counts("mailboxes_removed_total", 0)
	})
}

// A victim that cannot be removed at once is removed when the store is back, and the
// creation does not fail for it.
func TestAnEvictionThatFailsIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		puts := 0
		away := time.Now().Add(5 * time.Second)
		s := newSite(t, func(_ int, name string) mailboxtest.Fault {
			if name == "Addresses.Put" {
				if puts++; puts > 2 && time.Now().Before(away) { // the second creation, not the eviction
					return mailboxtest.Fail
				}
			}
			return nil
		}, limit(1))
		s.deliver(s.create(Request{}), "text")
		s.create(Request{})
		if n := s.live(); n != 2 {
			t.Fatalf("%d are live; the store failed nothing", n)
		}
		time.Sleep(10 * time.Second)
		if n := s.live(); n != 1 {
			t.Errorf("%d are live; want 1", n)
		}
	})
}

func TestMailboxesThatExpireLeaveTheCount(t *testing.T) {
	for name, most := range map[string]int{"without a limit": 0, "with one": 2000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, mailboxtest.Never, limit(most))
				for i := range 2000 {
					s.create(Request{Life: time.Duration(1+i%2) * time.Minute})
				}
				s.counts("mailboxes_live", 2000)
				time.Sleep(time.Minute)
				s.counts("mailboxes_live", 1000)
				time.Sleep(expireInterval)
				synctest.Wait()
				s.counts("mailboxes_expired_total", 1000)
				time.Sleep(time.Minute)
				synctest.Wait()
				s.counts("mailboxes_live", 0)
				s.counts("mailboxes_expired_total", 2000)
				s.counts("mailboxes_evicted_total", 0)
				if len(s.living.ends) != 0 || len(s.living.expired) != 0 || s.knows() != 0 {
					t.Errorf("something is kept of them: %d ends, %d known", len(s.living.ends), s.knows())
				}
			})
		})
	}
}

// The clock of a machine that slept has leapt.
func TestALeapOfTheClockIsNotWalked(t *testing.T) {
	now := time.Now()
	p := newPopulation(3, func() time.Time { return now })
	for i := range 3 {
		p.add(resident{address: mailbox.Address{Local: fmt.Sprint(i)}, maildrop: mailbox.MaildropID{byte(i)}, expires: now.Add(time.Duration(i) * time.Hour)})
	}
	now = now.Add(1 << 62)
	if n := p.len(); n != 0 {
		t.Errorf("%d are live", n)
	}
	now = now.Add(-1 << 62) // and back
	p.add(resident{address: mailbox.Address{Local: "x"}, expires: now.Add(time.Minute)})
	if n := p.len(); n != 0 {
		t.Errorf("%d are counted that have ended", n)
	}
}

func TestMailboxesOfBeforeAreCountedAtTheStart(t *testing.T) {
	for _, c := range []struct{ limit, live, evicted float64 }{{0, 20, 0}, {30, 20, 0}, {20, 20, 0}, {8, 8, 12}} {
		t.Run(fmt.Sprint("limit ", c.limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				stores := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
				s := openSite(t, stores)
				for i := range 40 {
					mb := s.create(Request{Domain: s.directory.TempDomains[i%2], Life: time.Hour})
					switch i % 4 {
					case 0:
						if err := s.Remove(t.Context(), mb.Address); err != nil {
							t.Fatal(err)
						}
					case 1:
						s.create(Request{Life: time.Minute})
					case 2:
						s.deliver(mb, "text")
					}
				}
				time.Sleep(time.Minute) // ten of them expire
				ended := 10
				if n := s.live(); n != 30 {
					t.Fatalf("%d are live; want 30, %d have ended", n, ended)
				}
				for i := range 10 { // and ten more are removed
					for row := range s.directory.List(t.Context(), s.directory.TempDomains[i%2]) {
						if err := s.Remove(t.Context(), row.Address); err != nil {
							t.Fatal(err)
						}
						break
					}
				}
				s = openSite(t, stores, limit(int(c.limit)))
				time.Sleep(time.Second)
				s.counts("mailboxes_live", c.live)
				s.counts("mailboxes_evicted_total", c.evicted)
				if n := s.live(); float64(n) != c.live {
					t.Errorf("%d are live; want %v", n, c.live)
				}
				s.create(Request{})
				if n := float64(s.live()); c.limit > 0 && n > c.limit {
					t.Errorf("%v are live; the limit is %v", n, c.limit)
				}
			})
		})
	}
}

// Without a limit, nobody waits for the count.
func TestAMailboxThatIsMadeDuringTheCountIsCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Memory()
		openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never)).create(Request{})
		time.Sleep(time.Second)
		slow := func(_ int, name string) mailboxtest.Fault {
			if name == "Addresses.List" {
				return mailboxtest.Delay(time.Second)
			}
			return nil
		}
		s := openSite(t, mailboxtest.Faulty(stores, slow))
		s.create(Request{}) // before the background work has begun
		time.Sleep(time.Second / 2)
		s.create(Request{})
		time.Sleep(time.Minute)
		s.counts("mailboxes_live", 3)
	})
}

func TestNothingIsMadeBeforeTheCountIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Memory()
		old := openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never)).create(Request{})
		back := time.Now().Add(time.Minute)
		away := func(_ int, name string) mailboxtest.Fault {
			if name == "Addresses.List" && time.Now().Before(back) {
				return mailboxtest.Halve
			}
			return nil
		}
		s := openSite(t, mailboxtest.Faulty(stores, away), limit(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Create(ctx, Request{}); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("create: %v; want ErrUnavailable", err)
		}
		if err := s.Remove(ctx, old.Address); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("remove: %v; want ErrUnavailable", err)
		}
		if _, err := s.Get(t.Context(), old.Address); err != nil {
			t.Errorf("get: %v", err)
		}
		s.create(Request{}) // waits
		if time.Now().Before(back) {
			t.Error("a mailbox was made before the others were counted")
		}
		if n := s.live(); n != 1 {
			t.Errorf("%d are live; want 1", n)
		}
	})
}

func TestAServerCountsNoMailboxesOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
		poll := func(o *Options) { o.Poll, o.MaxLive = true, 2 }
		there := openSite(t, stores, poll)
		theirs := there.create(Request{})
		here := openSite(t, stores, poll)
		for range 5 {
			here.create(Request{})
		}
		if n := here.live(); n != 3 {
			t.Errorf("%d are live; want two here and one there", n)
		}
		if err := here.Remove(t.Context(), theirs.Address); err != nil {
			t.Fatal(err)
		}
		here.counts("mailboxes_live", 2)
		// The server that made it counts it until its time is over.
		there.create(Request{})
		there.counts("mailboxes_live", 2)
		there.create(Request{})
		there.counts("mailboxes_live", 2)
	})
}

// Somebody else removed the address, and it is made again: the life before is counted
// until its time is over.
func TestAnAddressThatIsMadeAgainIsCountedForEachLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, limit(2))
		mb := s.create(Request{Local: "fred", Life: time.Minute})
		if err := s.directory.Remove(t.Context(), mb.Address); err != nil {
			t.Fatal(err)
		}
		s.create(Request{Local: "fred", Life: time.Hour})
		s.counts("mailboxes_live", 2)
		time.Sleep(time.Minute)
		s.counts("mailboxes_live", 1)
		time.Sleep(time.Hour)
		s.counts("mailboxes_live", 0)
	})
}

package temporary

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestAMailboxIsMadeAsItIsAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.Life, o.MaxLife = time.Minute, time.Hour })
		for _, c := range []struct {
			request Request
			want    string
			life    time.Duration
		}{
			{Request{Local: "fred"}, "fred@" + domain, time.Minute},
			{Request{Local: "Fred.F", Domain: "Other.Example.ORG"}, "fred.f@other.example.org", time.Minute},
			{Request{Local: "пётр", Life: time.Second}, "пётр@" + domain, time.Second},
			{Request{Local: `"a b"`, Life: time.Hour}, `"a b"@` + domain, time.Hour},
			{Request{Domain: "other.example.org"}, "", time.Minute},
		} {
			mb := s.create(c.request)
			if got := mb.Address.String(); c.want != "" && got != c.want || mb.Expires.Sub(mb.Created) != c.life {
				t.Errorf("%+v makes %s for %v; want %s for %v", c.request, got, mb.Expires.Sub(mb.Created), c.want, c.life)
			}
			if _, err := s.Get(t.Context(), mb.Address); err != nil {
				t.Errorf("%+v: %v", c.request, err)
			}
		}
	})
}

func TestAMailboxThatCannotBeIsNotMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxLife = time.Hour })
		s.create(Request{Local: "fred"})
		for _, c := range []struct {
			request Request
			want    error
		}{
			{Request{Local: "fred"}, mailbox.ErrExists},
			{Request{Local: "FRED", Domain: strings.ToUpper(domain)}, mailbox.ErrExists},
			{Request{Local: "postmaster"}, mailbox.ErrExists},
			{Request{Local: "Webmaster", Domain: "other.example.org"}, mailbox.ErrExists},
			{Request{Local: "fred+x"}, mailbox.ErrAddress},
			{Request{Local: "fred@" + domain}, mailbox.ErrAddress},
			{Request{Local: "a b"}, mailbox.ErrAddress},
			{Request{Local: "a\r\nb"}, mailbox.ErrAddress},
			{Request{Local: strings.Repeat("x", 65)}, mailbox.ErrAddress},
			{Request{Local: "\xff"}, mailbox.ErrAddress},
			{Request{Domain: "-"}, mailbox.ErrAddress},
			{Request{Domain: "example.org"}, mailbox.ErrNotLocal},
			{Request{Domain: "text.example.org"}, mailbox.ErrNotLocal},
			{Request{Domain: "example.net"}, mailbox.ErrNotLocal},
			{Request{Life: time.Second - 1}, ErrLife},
			{Request{Life: -time.Hour}, ErrLife},
			{Request{Life: time.Hour + 1}, ErrLife},
			{Request{Life: 10 * 365 * 24 * time.Hour}, ErrLife},
		} {
			if mb, err := s.Create(t.Context(), c.request); !errors.Is(err, c.want) || mb != (Mailbox{}) {
				t.Errorf("%+v makes %+v, %v; want %v", c.request, mb, err, c.want)
			}
		}
		s.counts("mailboxes_made_total", 1)
		s.counts("mailboxes_live", 1)
	})
}

// While a data centre is away nobody can say whether a name is new, unless it was just
// drawn at random.
func TestAMailboxWithoutAChosenNameIsMadeThoughNobodyCanLookItUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(_ int, name string) mailboxtest.Fault {
			if name == "Addresses.Lookup" {
				return mailboxtest.Fail
			}
			return nil
		})
		s.create(Request{})
		if _, err := s.Create(t.Context(), Request{Local: "fred"}); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("with a chosen name: %v; want ErrUnavailable", err)
		}
	})
}

func TestMailboxesNeedSensibleOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no domain":               func(o *Options) { o.Directory = &mailbox.Directory{} },
		"a life that is too long": func(o *Options) { o.Life = 8 * 24 * time.Hour },
		"no life":                 func(o *Options) { o.Life = time.Millisecond },
		"negative messages":       func(o *Options) { o.MaxMessages = -1 },
		"negative mailboxes":      func(o *Options) { o.MaxLive = -1 },
		"negative watchers":       func(o *Options) { o.MaxWatchers = -1 },
	} {
		o := Options{Directory: &mailbox.Directory{TempDomains: []string{domain}}}
		if _, err := New(o); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOfManyWhoWantAnAddressOneGetsIt(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"without a limit": func(*Options) {},
		"with a limit":    func(o *Options) { o.MaxLive = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				slow := func(int, string) mailboxtest.Fault { return mailboxtest.Delay(time.Millisecond) }
				s := newSite(t, slow, change)
				var all sync.WaitGroup
				var mu sync.Mutex
				var made []Mailbox
				for range 20 {
					all.Go(func() {
						mb, err := s.Create(t.Context(), Request{Local: "fred"})
						if err != nil && !errors.Is(err, mailbox.ErrExists) {
							t.Error(err)
						}
						if err == nil {
							mu.Lock()
							defer mu.Unlock()
							made = append(made, mb)
						}
					})
				}
				all.Wait()
				if len(made) != 1 {
					t.Errorf("%d have the address; want one", len(made))
				}
				s.counts("mailboxes_live", 1)
			})
		})
	}
}

// Both servers find the address free, and both write it.
func TestOfTwoServersThatMakeAnAddressAtOnceOneGetsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Memory()
		slow := func(_ int, name string) mailboxtest.Fault {
			if name == "Addresses.Put" {
				return mailboxtest.Delay(10 * time.Millisecond)
			}
			return nil
		}
		var servers []*site
		for range 2 {
			servers = append(servers, openSite(t, mailboxtest.Faulty(stores, slow), func(o *Options) { o.Poll = true }))
		}
		errs := make([]error, len(servers))
		var all sync.WaitGroup
		for i, s := range servers {
			all.Go(func() { _, errs[i] = s.Create(t.Context(), Request{Local: "fred"}) })
		}
		all.Wait()
		if errs[0] == nil == (errs[1] == nil) || !errors.Is(errors.Join(errs...), mailbox.ErrExists) {
			t.Errorf("one: %v, the other: %v; want one ErrExists", errs[0], errs[1])
		}
	})
}

func TestARandomAddressIsNotContested(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.Poll = true })
		began := time.Now()
		s.create(Request{})
		if time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
		s.create(Request{Local: "fred"})
		if time.Since(began) == 0 {
			t.Error("nobody has looked whether another server made the address that was asked for")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Create(ctx, Request{Local: "wilma"}); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("the context ended while it was contested: %v; want ErrUnavailable", err)
		}
		if _, err := s.Create(t.Context(), Request{Local: "wilma"}); err != nil {
			t.Errorf("nobody was told that it was made, and it cannot be: %v", err)
		}
	})
}

func TestAnAddressThatIsMadeAgainShowsNoOldMail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		drops := make(map[mailbox.MaildropID]bool)
		for range 4 {
			mb := s.create(Request{Local: "fred", Life: time.Minute})
			if drops[mb.Maildrop] {
				t.Error("the maildrop is an old one")
			}
			drops[mb.Maildrop] = true
			if newest, err := s.Newest(t.Context(), mb, mailbox.MessageID{}, 10); err != nil || len(newest) != 0 {
				t.Errorf("a new mailbox shows %v, %v", newest, err)
			}
			s.deliver(mb, "old")
			if len(drops)%2 == 0 {
				time.Sleep(time.Minute)
			} else if err := s.Remove(t.Context(), mb.Address); err != nil {
				t.Error(err)
			}
			s.gone(mb.Address)
		}
	})
}

// holds checks how many messages a maildrop holds, shown or not, and that their
// contents are there.
func (s *site) holds(drop mailbox.MaildropID, want int) {
	s.Helper()
	list, err := s.stores.Intact.Maildrops.List(s.Context(), drop)
	if err != nil || len(list) != want {
		s.Errorf("maildrop %s holds %d messages, %v; want %d", drop, len(list), err, want)
	}
}

func TestAMailboxThatIsRemovedLosesItsMail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxMessages = 3 })
		mb, other := s.create(Request{}), s.create(Request{})
		kept := s.deliver(other, "kept")
		var messages []mailbox.Message
		for range 5 { // more than are shown
			messages = append(messages, s.deliver(mb, "text"))
		}
		if err := s.Remove(t.Context(), mb.Address); err != nil {
			t.Fatal(err)
		}
		s.gone(mb.Address)
		s.holds(mb.Maildrop, 0)
		for _, m := range messages {
			if _, err := s.Open(t.Context(), m); !errors.Is(err, mailbox.ErrNotFound) {
				t.Errorf("the content is left: %v", err)
			}
		}
		if _, err := s.Message(t.Context(), other, kept.ID); err != nil {
			t.Errorf("the other mailbox has lost its mail: %v", err)
		}
		if err := s.Remove(t.Context(), mb.Address); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("removed again: %v; want ErrNotFound", err)
		}
		s.counts("mailboxes_removed_total", 1)
		s.counts("mailboxes_live", 1)
	})
}

func TestOnlyWhatIsTemporaryIsShownAndRemoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		fred := mailbox.Address{Local: "fred", Domain: "example.org"}
		if _, err := s.directory.Create(t.Context(), fred, mailbox.Route{Kind: mailbox.Account}); err != nil {
			t.Fatal(err)
		}
		odd := mailbox.Address{Local: "odd", Domain: domain} // of a time when the domain was another's
		if err := s.stores.Addresses.Put(t.Context(), odd, mailbox.Route{Kind: mailbox.Account, Life: 1}); err != nil {
			t.Fatal(err)
		}
		for _, a := range []mailbox.Address{
			fred, odd, {Local: "fred", Domain: "text.example.org"}, {Local: "x", Domain: domain},
			{Local: "x", Domain: "example.net"}, {Domain: domain}, {},
		} {
			if mb, err := s.Get(t.Context(), a); !errors.Is(err, mailbox.ErrNotFound) {
				t.Errorf("get %q: %v, %v; want ErrNotFound", a, mb, err)
			}
			if err := s.Remove(t.Context(), a); !errors.Is(err, mailbox.ErrNotFound) {
				t.Errorf("remove %q: %v; want ErrNotFound", a, err)
			}
		}
		if _, err := s.directory.Lookup(t.Context(), fred); err != nil {
			t.Errorf("the account is gone: %v", err)
		}
	})
}

// When the address is gone and the mail cannot be removed, the caller need not know.
func TestMailThatCannotBeRemovedIsRemovedLater(t *testing.T) {
	for _, call := range []string{"Maildrops.List", "Maildrops.Remove"} {
		for until, left := range map[time.Duration]int{5 * time.Second: 0, time.Hour: 2} {
			t.Run(fmt.Sprint(call, " fails for ", until), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					back := time.Now().Add(until)
					s := newSite(t, func(_ int, name string) mailboxtest.Fault {
						if name == call && time.Now().Before(back) {
							return mailboxtest.Fail
						}
						return nil
					})
					mb := s.create(Request{Life: 30 * time.Minute})
					for range 2 {
						// Straight to the store: it shows what has not expired yet.
						s.deliver(Mailbox{mb.Address, mb.Maildrop, mb.Created, mb.Expires.Add(time.Hour), ""}, "text")
					}
					if err := s.Remove(t.Context(), mb.Address); err != nil {
						t.Fatal(err)
					}
					s.gone(mb.Address)
					s.holds(mb.Maildrop, 2)
					time.Sleep(until + time.Minute)
					s.holds(mb.Maildrop, left) // after its end, it expires by itself
				})
			})
		}
	}
}

func TestWhatCannotBeToldIsNotDenied(t *testing.T) {
	fred := mailbox.Address{Local: "fred", Domain: domain}
	for name, do := range map[string]func(ctx context.Context, s *site) error{
		"create": func(ctx context.Context, s *site) error {
			_, err := s.Create(ctx, Request{Local: "new"})
			return err
		},
		"get":    func(ctx context.Context, s *site) error { _, err := s.Get(ctx, fred); return err },
		"remove": func(ctx context.Context, s *site) error { return s.Remove(ctx, fred) },
		"newest": func(ctx context.Context, s *site) error {
			_, err := s.Newest(ctx, Mailbox{Maildrop: mailbox.TemporaryMaildropOf(fred, 1)}, mailbox.MessageID{}, 1)
			return err
		},
		"message": func(ctx context.Context, s *site) error {
			_, err := s.Message(ctx, Mailbox{Maildrop: mailbox.TemporaryMaildropOf(fred, 1)}, mailbox.MessageID{})
			if errors.Is(err, mailbox.ErrNotFound) {
				return nil // there is none
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) mailboxtest.Stores {
				stores := mailboxtest.Memory()
				err := stores.Addresses.Put(t.Context(), fred, mailbox.Route{
					Kind: mailbox.Temporary, Life: 1, Maildrop: mailbox.TemporaryMaildropOf(fred, 1), Expires: time.Now().Add(100 * 365 * 24 * time.Hour),
				})
				if err != nil {
					t.Fatal(err)
				}
				return stores
			}
			calls := 0
			mailboxtest.EveryCall(t, open, func(t *testing.T, f *mailboxtest.FaultyStores) {
				synctest.Test(t, func(t *testing.T) {
					s := &site{T: t, stores: f}
					s.directory = &mailbox.Directory{Addresses: f.Addresses, TempDomains: []string{domain}}
					var err error
					s.Mailboxes, err = New(Options{
						Directory: s.directory, Maildrops: f.Maildrops, Contents: f.Contents,
						Deliveries: &mailbox.Deliveries{Contents: f.Contents, Project: mailbox.Projector{Maildrops: f.Maildrops}},
					})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err = do(ctx, s)
					if calls++; calls == 1 {
						if err != nil {
							t.Errorf("without a fault: %v", err)
						}
						return
					}
					if err != nil && (!errors.Is(err, mailbox.ErrUnavailable) || errors.Is(err, mailbox.ErrNotFound)) {
						t.Errorf("%v; want ErrUnavailable", err)
					}
				})
			})
		})
	}
}

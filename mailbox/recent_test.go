package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const recent = 5 * time.Second

// Two servers on the same stores, each with a memory.
func twoServers(t *testing.T) (a, b *site) {
	stores := mailboxtest.Memory()
	server := func() *site {
		s := &site{T: t}
		s.Directory = mailbox.Directory{
			Addresses:   stores.Addresses,
			Domains:     []string{"example.org"},
			TempDomains: []string{"example.org"},
			Recent:      mailbox.NewRecentRoutes(recent),
		}
		return s
	}
	return server(), server()
}

func (s *site) maildropOf(text string) mailbox.MaildropID {
	s.Helper()
	found, err := s.Resolve(s.Context(), addr(s.T, text))
	if err != nil || len(found) != 1 {
		s.Fatalf("resolve %s: %v, %v", text, found, err)
	}
	return found[0].Maildrop
}

func TestARouteIsReadOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		s := &site{T: t}
		s.Directory = mailbox.Directory{
			Addresses: countedLooks{mailboxtest.Memory().Addresses, &looks},
			Domains:   []string{"example.org"},
			Recent:    mailbox.NewRecentRoutes(recent),
		}
		s.account("fred@example.org")
		looks = 0
		for range 12 { // seconds
			s.maildropOf("fred@example.org")
			time.Sleep(time.Second)
		}
		if looks != 3 {
			t.Errorf("read %d times in 12 seconds, want 3", looks)
		}
	})
}

type countedLooks struct {
	mailbox.Addresses
	looks *int
}

func (c countedLooks) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	*c.looks++
	return c.Addresses.Lookup(ctx, a)
}

func TestAServerNoticesItsOwnChangesAtOnceAndThoseOfOthersSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoServers(t)
		a.account("fred@example.org")
		for _, s := range []*site{a, b} {
			s.leadsTo("fred@example.org", "fred@example.org")
		}
		a.remove("fred@example.org")
		a.fails("fred@example.org", mailbox.ErrNotFound)
		b.maildropOf("fred@example.org")
		time.Sleep(recent)
		b.fails("fred@example.org", mailbox.ErrNotFound)
	})
}

func TestNobodyIsRememberedToBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoServers(t)
		b.fails("fred@example.org", mailbox.ErrNotFound)
		a.account("fred@example.org")
		b.leadsTo("fred@example.org", "fred@example.org")
	})
}

func TestARememberedAddressEndsAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := twoServers(t)
		a.create("fred@example.org", mailbox.Route{Kind: mailbox.Temporary, Expires: time.Now().Add(2 * time.Second)})
		a.leadsTo("fred@example.org", "fred@example.org")
		time.Sleep(2 * time.Second)
		a.fails("fred@example.org", mailbox.ErrNotFound)
	})
}

// When the second life has begun, no server delivers to the first.
func TestAnAddressIsMadeAgainWhenItsLastLifeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoServers(t)
		a.account("fred@example.org")
		b.leadsTo("fred@example.org", "fred@example.org")
		a.remove("fred@example.org")
		began := time.Now()
		second := a.account("fred@example.org")
		if took := time.Since(began); took < recent || took > 2*recent {
			t.Errorf("it took %v", took)
		}
		if got := b.maildropOf("fred@example.org"); got != second.Maildrop {
			t.Errorf("delivers to %v, want %v", got, second.Maildrop)
		}

		a.remove("fred@example.org")
		time.Sleep(time.Hour)
		began = time.Now()
		a.account("fred@example.org")
		if took := time.Since(began); took > 0 {
			t.Errorf("long after it was removed it took %v", took)
		}

		a.remove("fred@example.org")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Create(ctx, addr(t, "fred@example.org"), mailbox.Route{Kind: mailbox.Account})
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("a creation that cannot wait: %v", err)
		}
	})
}

// A look that began before a change may end after it, with what was there before.
func TestALookThatAChangeOvertookIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{T: t}
		slow := &slowLooks{Addresses: mailboxtest.Memory().Addresses}
		s.Directory = mailbox.Directory{Addresses: slow, Domains: []string{"example.org"}, Recent: mailbox.NewRecentRoutes(recent)}
		s.account("fred@example.org")
		slow.answer = make(chan struct{})
		go func() { _, _ = s.Lookup(t.Context(), addr(t, "fred@example.org")) }()
		synctest.Wait() // it has read, and does not say so yet
		held := slow.answer
		slow.answer = nil
		s.remove("fred@example.org")
		close(held)
		synctest.Wait()
		s.fails("fred@example.org", mailbox.ErrNotFound)
	})
}

type slowLooks struct {
	mailbox.Addresses
	answer chan struct{} // nil: at once
}

func (s *slowLooks) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	r, err := s.Addresses.Lookup(ctx, a)
	if answer := s.answer; answer != nil {
		<-answer
	}
	return r, err
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := twoServers(t)
		const many = 40_000
		for i := range many {
			text := fmt.Sprintf("user%d@example.org", i)
			a.account(text)
			a.maildropOf(text)
		}
		known := 0
		for i := range many {
			if _, ok := a.Recall(addr(t, fmt.Sprintf("user%d@example.org", i))); ok {
				known++
			}
		}
		if known < 1<<14 || known > 1<<15 {
			t.Errorf("%d of %d are remembered", known, many)
		}
	})
}

package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const recent = 5 * time.Second

// oneServer has a memory that ends with the test.
func oneServer(t *testing.T, addresses mailbox.Addresses) *site {
	s := &site{T: t}
	routes := mailbox.NewRecentRoutes(recent)
	t.Cleanup(routes.Close)
	s.Directory = mailbox.Directory{
		Addresses:   addresses,
		Domains:     []string{"example.org"},
		TempDomains: []string{"example.org"},
		Recent:      routes,
	}
	return s
}

// Two servers on the same stores, each with a memory.
func twoServers(t *testing.T) (a, b *site) {
	stores := mailboxtest.Memory()
	return oneServer(t, stores.Addresses), oneServer(t, stores.Addresses)
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
		looks := &countedLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, looks)
		s.account("fred@example.org")
		looks.n.Store(0)
		for range 12 { // seconds
			s.maildropOf("fred@example.org")
			time.Sleep(time.Second)
		}
		if n := looks.n.Load(); n != 4 {
			t.Errorf("read %d times in 12 seconds, want 4: each time that half of the %v are over", n, recent)
		}
		time.Sleep(time.Hour)
		if n := looks.n.Load(); n != 4 {
			t.Errorf("read %d times, the last when nobody asked", n)
		}
	})
}

func TestNobodyWaitsForARouteThatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := &countedLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, looks)
		first := s.account("fred@example.org")
		s.maildropOf("fred@example.org")
		looks.takes = time.Second
		for range 20 {
			time.Sleep(700 * time.Millisecond)
			began := time.Now()
			if got := s.maildropOf("fred@example.org"); got != first.Maildrop {
				t.Fatalf("delivers to %v", got)
			}
			if took := time.Since(began); took > 0 {
				t.Fatalf("waited %v", took)
			}
		}
	})
}

// What is read again is as old as the question, not as the answer.
func TestARouteThatCannotBeReadAgainHoldsForItsTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := &countedLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, looks)
		s.account("fred@example.org")
		looks.takes = 2 * time.Second
		began := time.Now()
		s.maildropOf("fred@example.org")
		looks.fails.Store(true)
		a := addr(t, "fred@example.org")
		for time.Since(began) < recent {
			if _, known := s.Recall(a); !known {
				t.Fatalf("forgotten after %v", time.Since(began))
			}
			time.Sleep(time.Second)
		}
		if _, known := s.Recall(a); known {
			t.Errorf("known %v after it was asked for", time.Since(began))
		}
		s.fails("fred@example.org", mailbox.ErrUnavailable)
	})
}

func TestARemovalIsNoticedWhenTheRouteIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoServers(t)
		a.account("fred@example.org")
		b.maildropOf("fred@example.org")
		a.remove("fred@example.org")
		time.Sleep(recent / 2)
		b.maildropOf("fred@example.org")
		synctest.Wait()
		b.fails("fred@example.org", mailbox.ErrNotFound)
	})
}

func TestNoRouteIsReadAgainAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := &countedLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, looks)
		s.account("fred@example.org")
		s.maildropOf("fred@example.org")
		looks.takes = time.Hour
		time.Sleep(recent / 2)
		s.maildropOf("fred@example.org")
		synctest.Wait()
		s.Recent.Close() // ends the look that is under way
		looks.n.Store(0)
		s.maildropOf("fred@example.org")
		synctest.Wait()
		if n := looks.n.Load(); n != 0 {
			t.Errorf("read %d times", n)
		}
	})
}

func TestOnlySoManyRoutesAreReadAgainAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := &countedLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, looks)
		user := func(i int) string { return fmt.Sprintf("user%d@example.org", i) }
		for i := range 200 {
			s.account(user(i))
			s.maildropOf(user(i))
		}
		looks.takes = time.Second
		time.Sleep(recent / 2)
		looks.n.Store(0)
		for range 2 {
			for i := range 200 {
				s.maildropOf(user(i))
			}
		}
		synctest.Wait()
		if n := looks.n.Load(); n != 64 {
			t.Errorf("%d are read again at once, want 64", n)
		}
	})
}

// countedLooks count the looks, which take some time, and may fail after it.
type countedLooks struct {
	mailbox.Addresses
	n     atomic.Int64
	takes time.Duration
	fails atomic.Bool
}

func (c *countedLooks) Lookup(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
	c.n.Add(1)
	if c.takes > 0 {
		select {
		case <-time.After(c.takes):
		case <-ctx.Done():
			return mailbox.Route{}, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, ctx.Err())
		}
	}
	if c.fails.Load() {
		return mailbox.Route{}, mailbox.ErrUnavailable
	}
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
		slow := &slowLooks{Addresses: mailboxtest.Memory().Addresses}
		s := oneServer(t, slow)
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

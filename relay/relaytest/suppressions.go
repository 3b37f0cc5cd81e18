package relaytest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// Suppressions checks that a store keeps the promises of relay.Suppressions. It calls
// open once.
func Suppressions(t *testing.T, open func(t *testing.T) relay.Suppressions) {
	s := suppressionsSuite{open(t), time.Now().Truncate(time.Millisecond)}
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"nobody is on the list of a new account", s.empty},
		{"what was put on the list comes back", s.comesBack},
		{"the last word about an address counts", s.replaced},
		{"accounts have lists of their own", s.apart},
		{"an address leaves the list when its time is over", s.ends},
		{"an address can be taken off", s.allowed},
		{"an address that is asked for twice is found once", s.once},
		{"a listing may be left early", s.leftEarly},
		{"it ends with its context or does its work", s.ended},
	} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.test(t) })
	}
}

type suppressionsSuite struct {
	store relay.Suppressions
	now   time.Time
}

func newAccount() mailbox.Address {
	return mailbox.Address{Local: ids.Next().String(), Domain: "example.org"}
}

func addressNo(n int) mailbox.Address {
	return mailbox.Address{Local: fmt.Sprintf("user %d", n), Domain: "xn--e1afmkfd.example"}
}

// suppression is one for the n-th address, which ends an hour and n seconds from now.
func (s suppressionsSuite) suppression(n int) relay.Suppression {
	return relay.Suppression{
		Address: addressNo(n), Since: s.now, Until: s.now.Add(time.Hour + time.Duration(n)*time.Second),
		Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550, Enhanced: "5.1.1", Text: fmt.Sprintf("нет %d", n)},
	}
}

func (s suppressionsSuite) put(t *testing.T, account mailbox.Address, all ...relay.Suppression) {
	t.Helper()
	for _, one := range all {
		if err := s.store.Suppress(t.Context(), account, one); err != nil {
			t.Fatal(err)
		}
	}
}

// has checks the list of an account, as it is found and as it is listed.
func (s suppressionsSuite) has(t *testing.T, account mailbox.Address, at time.Time, want ...relay.Suppression) {
	t.Helper()
	asked := []mailbox.Address{addressNo(1), addressNo(2), addressNo(3)}
	found, err := s.store.Suppressed(t.Context(), account, at, asked)
	if err != nil {
		t.Fatal(err)
	}
	var listed []relay.Suppression
	for one, err := range s.store.List(t.Context(), account, at) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, one)
	}
	for name, got := range map[string][]relay.Suppression{"found": found, "listed": listed} {
		if len(got) != len(want) {
			t.Errorf("%s %v; want %v", name, got, want)
		}
		for _, w := range want {
			if !holds(got, w) {
				t.Errorf("%s %v; want %v among them", name, got, w)
			}
		}
	}
}

func holds(all []relay.Suppression, want relay.Suppression) bool {
	for _, got := range all {
		if got.Address == want.Address && got.Since.Equal(want.Since) && got.Until.Equal(want.Until) && got.Outcome == want.Outcome {
			return true
		}
	}
	return false
}

func (s suppressionsSuite) empty(t *testing.T) { s.has(t, newAccount(), s.now) }

func (s suppressionsSuite) comesBack(t *testing.T) {
	account := newAccount()
	s.put(t, account, s.suppression(1), s.suppression(3))
	s.has(t, account, s.now, s.suppression(1), s.suppression(3))
}

func (s suppressionsSuite) replaced(t *testing.T) {
	account, last := newAccount(), s.suppression(1)
	last.Until, last.Outcome = s.now.Add(2*time.Hour), relay.Outcome{Result: relay.BadRecipient, Code: 553}
	s.put(t, account, s.suppression(1), last)
	s.has(t, account, s.now, last)
}

func (s suppressionsSuite) apart(t *testing.T) {
	one, another := newAccount(), newAccount()
	s.put(t, one, s.suppression(1))
	s.put(t, another, s.suppression(2))
	s.has(t, one, s.now, s.suppression(1))
	s.has(t, another, s.now, s.suppression(2))
}

func (s suppressionsSuite) ends(t *testing.T) {
	account := newAccount()
	first, second := s.suppression(1), s.suppression(2)
	s.put(t, account, first, second)
	s.has(t, account, first.Until.Add(-time.Millisecond), first, second)
	s.has(t, account, first.Until, second)
	s.has(t, account, second.Until)
}

func (s suppressionsSuite) allowed(t *testing.T) {
	account := newAccount()
	s.put(t, account, s.suppression(1), s.suppression(2))
	for _, a := range []mailbox.Address{addressNo(1), addressNo(1), addressNo(3)} {
		if err := s.store.Allow(t.Context(), account, a); err != nil {
			t.Fatal(err)
		}
	}
	s.has(t, account, s.now, s.suppression(2))
	if err := s.store.Allow(t.Context(), newAccount(), addressNo(1)); err != nil {
		t.Errorf("Allow for an account without a list: %v", err)
	}
	s.put(t, account, s.suppression(1))
	s.has(t, account, s.now, s.suppression(1), s.suppression(2))
}

func (s suppressionsSuite) once(t *testing.T) {
	account := newAccount()
	s.put(t, account, s.suppression(1))
	found, err := s.store.Suppressed(t.Context(), account, s.now, []mailbox.Address{addressNo(1), addressNo(1)})
	if err != nil || len(found) != 1 {
		t.Errorf("found %v, %v; want one", found, err)
	}
	if found, err := s.store.Suppressed(t.Context(), account, s.now, nil); err != nil || len(found) != 0 {
		t.Errorf("of nobody %v, %v were found", found, err)
	}
}

func (s suppressionsSuite) leftEarly(t *testing.T) {
	account := newAccount()
	s.put(t, account, s.suppression(1), s.suppression(2))
	for range s.store.List(t.Context(), account, s.now) {
		break
	}
	s.has(t, account, s.now, s.suppression(1), s.suppression(2))
}

// ended: a context that is over makes a call fail with ErrUnavailable, or does no harm.
func (s suppressionsSuite) ended(t *testing.T) {
	account, over := newAccount(), ended(t)
	_, err := s.store.Suppressed(over, account, s.now, []mailbox.Address{addressNo(1)})
	for name, err := range map[string]error{
		"Suppress": s.store.Suppress(over, account, s.suppression(1)), "Suppressed": err, "Allow": s.store.Allow(over, account, addressNo(1)),
	} {
		if err != nil && !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s = %v, want ErrUnavailable", name, err)
		}
	}
}

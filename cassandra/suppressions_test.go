package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
	"restante/relay"
)

// suppression is one of an address, for an hour.
func suppression(a mailbox.Address) relay.Suppression {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return relay.Suppression{Address: a, Since: now, Until: now.Add(time.Hour), Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550}}
}

func suppress(t testing.TB, s *Store, account mailbox.Address, one relay.Suppression) {
	t.Helper()
	if err := s.Suppressions().Suppress(t.Context(), account, one); err != nil {
		t.Fatal(err)
	}
}

// suppressedOf are those of the addresses that are on the list of an account.
func suppressedOf(t testing.TB, s *Store, account mailbox.Address, addresses ...mailbox.Address) []relay.Suppression {
	t.Helper()
	found, err := s.Suppressions().Suppressed(t.Context(), account, time.Now(), addresses)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFewStatementsServeTheListOfSuppressed(t *testing.T) {
	t.Parallel()
	s, account := newStore(t), anAddress()
	list := s.Suppressions()
	addresses := make([]mailbox.Address, 3*suppressedAtOnce/2)
	for i := range addresses {
		addresses[i] = anAddress()
	}
	last := addresses[len(addresses)-1]
	for _, step := range []struct {
		name string
		do   func() error
		want map[string]int
	}{
		{"suppressing", func() error { return list.Suppress(t.Context(), account, suppression(last)) }, map[string]int{"relay_suppression insert": 1}},
		{"asking for nobody", func() error { suppressedOf(t, s, account); return nil }, map[string]int{}},
		{"asking for one twice", func() error { suppressedOf(t, s, account, last, last); return nil }, map[string]int{"relay_suppression select": 1}},
		{"asking for many", func() error {
			if got := suppressedOf(t, s, account, slices.Concat(addresses, addresses)...); len(got) != 1 || got[0].Address != last {
				t.Errorf("found %+v", got)
			}
			return nil
		}, map[string]int{"relay_suppression select": 2}},
		{"allowing", func() error { return list.Allow(t.Context(), account, last) }, map[string]int{"relay_suppression select time": 1, "relay_suppression delete": 1}},
		{"allowing who is not there", func() error { return list.Allow(t.Context(), account, last) }, map[string]int{"relay_suppression select time": 1}},
	} {
		did := statements(t, s, func() {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
		})
		if fmt.Sprint(did) != fmt.Sprint(step.want) {
			t.Errorf("%s takes %v; want %v", step.name, did, step.want)
		}
	}
}

func TestAnAddressIsOffTheListAlthoughTheClockIsBehind(t *testing.T) {
	t.Parallel()
	s, behind := newStore(t), at(t, -time.Hour)
	account, address := anAddress(), anAddress()
	suppress(t, s, account, suppression(address))
	if err := behind.Suppressions().Allow(t.Context(), account, address); err != nil {
		t.Fatal(err)
	}
	if got := suppressedOf(t, s, account, address); len(got) != 0 {
		t.Errorf("found %+v", got)
	}
}

func TestASuppressionLivesUntilItsEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	for end, want := range map[time.Duration]int{
		time.Hour: 3600, relay.SuppressedFor: int(relay.SuppressedFor / time.Second), -time.Hour: 1, 100 * MaxLife: 0,
	} {
		account, one, life := anAddress(), suppression(anAddress()), 0
		one.Until = one.Since.Add(end)
		suppress(t, s, account, one)
		var left *int
		err := db.Query("SELECT TTL(outcome) FROM relay_suppression WHERE account = ? AND address = ?", plain(account), plain(one.Address)).Scan(&left)
		if end < 0 && errors.Is(err, gocql.ErrNotFound) {
			continue // the second is over
		}
		if err != nil {
			t.Fatal(err)
		}
		if left != nil {
			life = *left
		}
		if life > want || life < want-60 {
			t.Errorf("one that ends in %v lives for %d s; want %d", end, life, want)
		}
	}
}

func TestWhatCannotBeTextIsSuppressedToo(t *testing.T) {
	t.Parallel()
	s, account := newStore(t), anAddress()
	one := suppression(mailbox.Address{Local: "a@b c", Domain: "example.com"})
	one.Outcome.Text = "550 no\xff such\x00 user"
	suppress(t, s, account, one)
	got := suppressedOf(t, s, account, one.Address)
	if len(got) != 1 || got[0].Address != one.Address || got[0].Outcome.Text != "550 no\ufffd such\x00 user" {
		t.Errorf("found %+v", got)
	}
}

func TestAClosedStoreHasNoListOfSuppressed(t *testing.T) {
	t.Parallel()
	s, account := newStore(t), anAddress()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	list := s.Suppressions()
	for name, do := range map[string]func(context.Context) error{
		"Suppress": func(ctx context.Context) error { return list.Suppress(ctx, account, suppression(account)) },
		"Suppressed": func(ctx context.Context) error {
			_, err := list.Suppressed(ctx, account, time.Now(), []mailbox.Address{account})
			return err
		},
		"List": func(ctx context.Context) error {
			for _, err := range list.List(ctx, account, time.Now()) {
				return err
			}
			return nil
		},
		"Allow": func(ctx context.Context) error { return list.Allow(ctx, account, account) },
	} {
		if err := do(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

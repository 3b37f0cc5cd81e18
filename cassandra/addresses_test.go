package cassandra

import (
	"testing"
	"time"

	"restante/mailbox"
)

// What is in the clusters of others was put where this says.
func TestTheShardOfAnAddressNeverChanges(t *testing.T) {
	t.Parallel()
	for local, want := range map[string]int16{"": 5, "fred": 8, "wilma": 1, "a b": 50, "пётр": 4} {
		if got := shardOf(mailbox.Address{Local: local, Domain: "example.org"}); got != want {
			t.Errorf("%q is in shard %d, want %d", local, got, want)
		}
	}
}

func TestAnAddressIsRememberedAsLongAsItsLifeNumberMatters(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	endsIn := func(d time.Duration) mailbox.Route {
		return mailbox.Route{Kind: mailbox.Temporary, Expires: now.Add(d)}
	}
	for _, c := range []struct {
		name string
		old  addressCell
		new  mailbox.Route
		want time.Duration
	}{
		{"a new account", addressCell{}, mailbox.Route{Kind: mailbox.Account}, 0},
		{"a new temporary address", addressCell{}, endsIn(day), 31 * day},
		{"one that has ended already", addressCell{}, endsIn(-day), 30 * day},
		{"one without an end", addressCell{}, mailbox.Route{Kind: mailbox.Temporary}, 0},
		{"one that ends in many years", addressCell{}, endsIn(20 * 365 * day), 0},
		{"one that ends sooner than another did", addressCell{1, 86400 * 50}, endsIn(day), 50 * day},
		{"where an account was", addressCell{1, 0}, endsIn(day), 0},
		{"a temporary address that is removed", addressCell{1, 86400 * 31}, mailbox.Route{Kind: mailbox.Vacant}, 31 * day},
		{"an account that is removed", addressCell{1, 0}, mailbox.Route{Kind: mailbox.Vacant}, 0},
		{"an account where a temporary address was", addressCell{1, 86400 * 31}, mailbox.Route{Kind: mailbox.Account}, 0},
	} {
		if got := time.Duration(c.old.ttlFor(c.new, now)) * time.Second; got != c.want {
			t.Errorf("%s is kept for %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEachRouteOfAProcessIsWrittenLaterThanTheLast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var puts succession
	first := puts.after(now, 0)
	if first != writeTime(now.UnixMicro()) {
		t.Errorf("the first at %d, want now", first)
	}
	now = now.Add(-time.Hour) // the clock is set
	second := puts.after(now, 0)
	if second <= first {
		t.Errorf("%d, then %d", first, second)
	}
	ahead := second + 1e9 // written by a process whose clock is ahead
	if third := puts.after(now, ahead); third <= ahead {
		t.Errorf("%d, after %d was seen", third, ahead)
	}
}

// anAddress is one that no other test uses.
func anAddress() mailbox.Address {
	return mailbox.Address{Local: "fred", Domain: ids.Next().String() + ".example"}
}

// lookAt is what Cassandra says of the cell of an address.
func lookAt(t *testing.T, s *Store, a mailbox.Address) addressCell {
	t.Helper()
	c, err := s.addresses.cell(t.Context(), LocalQuorum, []any{a.Domain, shardOf(a), a.Local})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheRouteWrittenLastIsFoundAlthoughAClockWasAhead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := tableOptions(t)
	o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	ahead := openStore(t, o)
	a := anAddress()
	for life, store := range []*Store{ahead, s, ahead, s, s} {
		before := lookAt(t, s, a)
		if err := store.Addresses().Put(t.Context(), a, mailbox.Route{Kind: mailbox.Account, Life: uint32(life)}); err != nil {
			t.Fatal(err)
		}
		if after := lookAt(t, s, a); after.at <= before.at {
			t.Errorf("life %d is written at %d, the one before at %d", life, after.at, before.at)
		}
		if r, err := s.Addresses().Lookup(t.Context(), a); err != nil || r.Life != uint32(life) {
			t.Errorf("Lookup = %v, %v; want life %d", r, err, life)
		}
	}
}

func TestATemporaryAddressIsForgottenSomeTimeAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := anAddress()
	const month = 30 * 24 * 60 * 60
	for _, c := range []struct {
		route mailbox.Route
		ttl   int
	}{
		{mailbox.Route{Kind: mailbox.Temporary, Expires: time.Now().Add(2 * time.Hour)}, month + 7200},
		{mailbox.Route{Kind: mailbox.Vacant}, month + 7200},
		{mailbox.Route{Kind: mailbox.Temporary, Expires: time.Now().Add(4 * time.Hour)}, month + 14400},
		{mailbox.Route{Kind: mailbox.Account}, 0},
		{mailbox.Route{Kind: mailbox.Temporary, Expires: time.Now().Add(2 * time.Hour)}, 0},
	} {
		if err := s.Addresses().Put(t.Context(), a, c.route); err != nil {
			t.Fatal(err)
		}
		if got := lookAt(t, s, a).ttl; got > c.ttl || got < c.ttl-60 {
			t.Errorf("a %s is kept for %d s, want %d", c.route.Kind, got, c.ttl)
		}
	}
}

func TestALookUpTakesOneStatementWhereTheAddressIsLive(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	live, vacant, unknown := anAddress(), anAddress(), anAddress()
	for a, r := range map[mailbox.Address]mailbox.Route{live: {Kind: mailbox.Account, Life: 1}, vacant: {Life: 1}} {
		if err := s.Addresses().Put(t.Context(), a, r); err != nil {
			t.Fatal(err)
		}
	}
	for a, want := range map[mailbox.Address]int{live: 1, vacant: 2, unknown: 2} {
		did := statements(t, s, func() { _, _ = s.Addresses().Lookup(t.Context(), a) })
		if did["address select"] != want {
			t.Errorf("it took %v, want %d statements", did, want)
		}
	}
}

// Who leaves a listing leaves nothing running behind.
func TestAListingThatIsLeftReadsNoFurther(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	domain := anAddress().Domain
	for n := range 200 {
		a := mailbox.Address{Local: string(rune('a' + n)), Domain: domain}
		if err := s.Addresses().Put(t.Context(), a, mailbox.Route{Kind: mailbox.Account, Life: 1}); err != nil {
			t.Fatal(err)
		}
	}
	did := statements(t, s, func() {
		for _, err := range s.Addresses().List(t.Context(), domain) {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
	if n := did["address select shard"]; n > 2*addressReaders {
		t.Errorf("%d partitions were read for one row", n)
	}
	if n := metric(t, s, "statements_in_flight")[""]; n != 0 {
		t.Errorf("%v statements are still in flight", n)
	}
}

package mailboxtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// Addresses is the suite of the same name with these options.
func (o Options) Addresses(t *testing.T, open func(t *testing.T) mailbox.Addresses) {
	s := addressesSuite{o.withDefaults(), open(t)}
	t.Run("an unknown address is not found", s.unknown)
	t.Run("every field of a route comes back", s.comesBack)
	t.Run("the last write replaces the whole route", s.replaced)
	t.Run("vacant and expired rows are returned", s.vacantAndExpired)
	t.Run("a route is not shared with its caller", s.notShared)
	t.Run("local-parts that need quotes are told apart", s.quoted)
	t.Run("the longest address has a row", s.longest)
	t.Run("the catch-all has a row of its own", s.catchAll)
	t.Run("a domain lists each of its rows once", s.lists)
	t.Run("a domain does not list its neighbours", s.neighbours)
	t.Run("a domain of thousands is listed", s.thousands)
	t.Run("a listing may be left early", s.leftEarly)
	t.Run("the store may be used during a listing", s.usedWhileListed)
	t.Run("of writers at the same time one wins as a whole", s.raced)
	t.Run("an ended context does not say not found", s.ended)
}

type addressesSuite struct {
	Options
	store mailbox.Addresses
}

// aRoute has a value of its own in every field.
func aRoute(n int) mailbox.Route {
	r := mailbox.Route{
		Kind:     mailbox.Kind(1 + n%3),
		Life:     uint32(1 + n),
		Maildrop: newDrop(),
		Secret:   fmt.Sprintf("$argon2id$v=19$m=65536,t=3,p=4$salt$hash%d", n),
		Created:  time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC).Add(time.Duration(n) * time.Second),
		Expires:  time.Date(2126, 1, 2, 3, 4, 5, 6e6, time.UTC).Add(time.Duration(n) * time.Minute),
	}
	for i := range 1 + n%3 {
		r.Targets = append(r.Targets, mailbox.Address{Local: fmt.Sprintf("target %d of %d", i, n), Domain: "example.org"})
	}
	return r
}

func (s addressesSuite) unknown(t *testing.T) {
	domain := newDomain()
	s.put(t, mailbox.Address{Local: "fred", Domain: domain}, aRoute(1))
	for _, a := range []mailbox.Address{
		{Local: "wilma", Domain: domain}, {Local: "fre", Domain: domain}, {Local: "fredd", Domain: domain},
		{Local: "fred", Domain: "x" + domain}, {Local: "fred", Domain: newDomain()}, {Domain: domain},
	} {
		s.isUnknown(t, a)
	}
}

func (s addressesSuite) comesBack(t *testing.T) {
	many := aRoute(1)
	for i := range 100 {
		many.Targets = append(many.Targets, mailbox.Address{Local: fmt.Sprintf("t%d", 100-i), Domain: newDomain()})
	}
	old := aRoute(2)
	old.Created, old.Expires = time.Date(1996, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(1996, 5, 2, 0, 0, 0, 0, time.UTC)
	for name, r := range map[string]mailbox.Route{
		"account":                  aRoute(0),
		"alias":                    aRoute(1),
		"temporary":                aRoute(2),
		"alias with many targets":  many,
		"times long ago":           old,
		"nothing but kind":         {Kind: mailbox.Account, Life: 1},
		"nothing at all":           {},
		"a life beyond 31 bits":    {Kind: mailbox.Account, Life: 1<<32 - 1},
		"a long secret":            {Kind: mailbox.Account, Life: 1, Secret: strings.Repeat("s", 4096)},
		"targets that need quotes": {Kind: mailbox.Alias, Life: 1, Targets: []mailbox.Address{{Local: `a "b", c@d\`, Domain: "x"}, {Local: "пётр", Domain: "почта.рф"}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := mailbox.Address{Local: "fred", Domain: newDomain()}
			s.put(t, a, r)
			s.leadsTo(t, a, r)
		})
	}
}

func (s addressesSuite) replaced(t *testing.T) {
	a := mailbox.Address{Local: "fred", Domain: newDomain()}
	for _, r := range []mailbox.Route{
		aRoute(1), aRoute(2), aRoute(2),
		{Kind: mailbox.Account, Life: 3},
		aRoute(4),
		{Kind: mailbox.Vacant, Life: 4},
		{},
		aRoute(0),
	} {
		s.put(t, a, r)
		s.leadsTo(t, a, r)
	}
}

func (s addressesSuite) vacantAndExpired(t *testing.T) {
	domain := newDomain()
	vacant := mailbox.Route{Kind: mailbox.Vacant, Life: 7}
	expired := mailbox.Route{Kind: mailbox.Temporary, Life: 8, Maildrop: newDrop(), Expires: time.Now().Add(-time.Hour).UTC().Truncate(time.Second)}
	want := map[mailbox.Address]mailbox.Route{
		{Local: "vacant", Domain: domain}:  vacant,
		{Local: "expired", Domain: domain}: expired,
	}
	for a, r := range want {
		s.put(t, a, r)
		s.leadsTo(t, a, r)
	}
	s.listsRows(t, domain, want)
}

func (s addressesSuite) notShared(t *testing.T) {
	a := mailbox.Address{Local: "fred", Domain: newDomain()}
	want, given := aRoute(2), aRoute(2)
	given.Maildrop = want.Maildrop
	s.put(t, a, given)
	given.Targets[0].Local = "changed by who put it"
	s.leadsTo(t, a, want)
	got, err := s.store.Lookup(t.Context(), a)
	if err != nil || len(got.Targets) == 0 {
		t.Fatalf("Lookup = %v, %v", got, err)
	}
	got.Targets[0].Local = "changed by who looked it up"
	s.leadsTo(t, a, want)
}

func (s addressesSuite) quoted(t *testing.T) {
	domain := newDomain()
	want := make(map[mailbox.Address]mailbox.Route)
	for i, local := range []string{
		"a", "a b", "a@b", `a"b`, `a\b`, `"a"`, " ", "a ", " a", ".", "a.", "a..b", "a,b", "a/b", "a|b", "a:b", "a'b", "a%b", "a*", "%", "null", "<a>",
		"ä", "a\u0308", "пётр", "山田", "😀", "\u00a0", "ß", "ss",
	} {
		a := mailbox.Address{Local: local, Domain: domain}
		want[a] = aRoute(i)
		s.put(t, a, want[a])
	}
	// Joined without care, this is the text of one above.
	s.put(t, mailbox.Address{Local: "a", Domain: "b." + domain}, aRoute(100))
	for a, r := range want {
		s.leadsTo(t, a, r)
	}
	s.listsRows(t, domain, want)
}

func (s addressesSuite) longest(t *testing.T) {
	label := strings.Repeat("d", 63)
	a := mailbox.Address{Local: strings.Repeat("l", 64), Domain: strings.ToLower(newDomain()[:26]) + "." + label + "." + label + "." + strings.Repeat("e", 34)}
	if len(a.String()) != 254 {
		t.Fatalf("the sample has %d octets; want the 254 of the limit", len(a.String()))
	}
	want := aRoute(1)
	s.put(t, a, want)
	s.leadsTo(t, a, want)
	s.listsRows(t, a.Domain, map[mailbox.Address]mailbox.Route{a: want})
}

func (s addressesSuite) catchAll(t *testing.T) {
	domain := newDomain()
	all, fred := mailbox.Address{Domain: domain}, mailbox.Address{Local: "fred", Domain: domain}
	s.put(t, fred, aRoute(1))
	s.isUnknown(t, all)
	want := map[mailbox.Address]mailbox.Route{all: aRoute(2), fred: aRoute(3)}
	s.put(t, all, want[all])
	s.put(t, fred, want[fred])
	s.leadsTo(t, all, want[all])
	s.leadsTo(t, fred, want[fred])
	s.isUnknown(t, mailbox.Address{Local: "wilma", Domain: domain})
	s.isUnknown(t, mailbox.Address{Domain: "sub." + domain})
	s.listsRows(t, domain, want)
}

func (s addressesSuite) lists(t *testing.T) {
	domain := newDomain()
	want := make(map[mailbox.Address]mailbox.Route)
	s.listsRows(t, domain, want)
	for i, local := range []string{"fred", "fre", "fredd", "wilma", "", "a b"} {
		a := mailbox.Address{Local: local, Domain: domain}
		s.put(t, a, aRoute(10*i))
		want[a] = aRoute(i)
		s.put(t, a, want[a])
		s.listsRows(t, domain, want)
	}
}

func (s addressesSuite) neighbours(t *testing.T) {
	domain := newDomain()
	domains := []string{
		domain, domain + ".uk", domain + "x", domain[:len(domain)-1], "x" + domain, "sub." + domain,
		"ü" + domain, domain + "ü", domain + "-x", domain[:10],
	}
	want := make(map[string]map[mailbox.Address]mailbox.Route)
	for i, d := range domains {
		want[d] = make(map[mailbox.Address]mailbox.Route)
		for j, local := range []string{"", "fred", "x"} {
			a := mailbox.Address{Local: local, Domain: d}
			want[d][a] = aRoute(3*i + j)
			s.put(t, a, want[d][a])
		}
	}
	for _, d := range domains {
		s.listsRows(t, d, want[d])
	}
}

func (s addressesSuite) thousands(t *testing.T) {
	domain := newDomain()
	want := make(map[mailbox.Address]mailbox.Route)
	var all sync.WaitGroup
	work := make(chan mailbox.Row)
	for range s.Writers {
		all.Go(func() {
			for row := range work {
				s.put(t, row.Address, row.Route)
			}
		})
	}
	for i := range s.Many {
		a := mailbox.Address{Local: fmt.Sprintf("user%d", i), Domain: domain}
		want[a] = aRoute(i)
		work <- mailbox.Row{Address: a, Route: want[a]}
	}
	close(work)
	all.Wait()
	s.listsRows(t, domain, want)
}

func (s addressesSuite) leftEarly(t *testing.T) {
	domain := newDomain()
	want := s.some(t, domain)
	for _, err := range s.store.List(t.Context(), domain) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	s.listsRows(t, domain, want)
}

func (s addressesSuite) usedWhileListed(t *testing.T) {
	domain := newDomain()
	want := s.some(t, domain)
	for row, err := range s.store.List(t.Context(), domain) {
		if err != nil {
			t.Fatal(err)
		}
		s.leadsTo(t, row.Address, want[row.Address])
		want[row.Address] = aRoute(200)
		s.put(t, row.Address, want[row.Address])
		s.leadsTo(t, row.Address, want[row.Address])
	}
	s.listsRows(t, domain, want)
}

// some puts a few rows in a domain.
func (s addressesSuite) some(t *testing.T, domain string) map[mailbox.Address]mailbox.Route {
	t.Helper()
	rows := make(map[mailbox.Address]mailbox.Route)
	for i := range 5 {
		a := mailbox.Address{Local: fmt.Sprintf("user%d", i), Domain: domain}
		rows[a] = aRoute(i)
		s.put(t, a, rows[a])
	}
	return rows
}

func (s addressesSuite) raced(t *testing.T) {
	a := mailbox.Address{Local: "fred", Domain: newDomain()}
	routes := make([]mailbox.Route, s.Writers)
	var all sync.WaitGroup
	for i := range routes {
		routes[i] = aRoute(i)
		all.Go(func() { s.put(t, a, routes[i]) })
	}
	all.Wait()
	got, err := s.store.Lookup(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(routes, func(r mailbox.Route) bool { return sameRoute(got, r) }) {
		t.Errorf("Lookup = %+v; no writer wrote that", got)
	}
	s.put(t, a, aRoute(100))
	got, err = s.store.Lookup(t.Context(), a)
	if err != nil || got.Life != 101 {
		t.Errorf("Lookup = %+v, %v; want what was written after all others", got, err)
	}
}

func (s addressesSuite) ended(t *testing.T) {
	known, unknown := mailbox.Address{Local: "fred", Domain: newDomain()}, mailbox.Address{Local: "fred", Domain: newDomain()}
	s.put(t, known, aRoute(1))
	for _, a := range []mailbox.Address{known, unknown} {
		if r, err := s.store.Lookup(ended(t), a); err == nil || errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("Lookup = %v, %v; want an error other than not found", r, err)
		}
		rows, failed := 0, error(nil)
		for _, err := range s.store.List(ended(t), a.Domain) {
			if rows++; err != nil {
				failed = err
			}
		}
		if rows != 1 || failed == nil {
			t.Errorf("List gave %d rows, %v; want an error and then the end", rows, failed)
		}
	}
	if err := s.store.Put(ended(t), unknown, aRoute(1)); err == nil {
		t.Error("Put succeeded with a context that had ended")
	}
}

func (s addressesSuite) put(t *testing.T, a mailbox.Address, r mailbox.Route) {
	t.Helper()
	if err := s.store.Put(t.Context(), a, r); err != nil {
		t.Errorf("Put %q: %v", a, err)
	}
}

func (s addressesSuite) leadsTo(t *testing.T, a mailbox.Address, want mailbox.Route) {
	t.Helper()
	if got, err := s.store.Lookup(t.Context(), a); err != nil || !sameRoute(got, want) {
		t.Errorf("Lookup %q = %+v, %v; want %+v", a, got, err, want)
	}
}

func (s addressesSuite) isUnknown(t *testing.T, a mailbox.Address) {
	t.Helper()
	if got, err := s.store.Lookup(t.Context(), a); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Lookup %q = %+v, %v; want not found", a, got, err)
	}
}

// listsRows checks that the domain has exactly these rows, in any order.
func (s addressesSuite) listsRows(t *testing.T, domain string, want map[mailbox.Address]mailbox.Route) {
	t.Helper()
	got, err := rowsOf(t.Context(), s.store, domain)
	if err != nil {
		t.Errorf("List %q: %v", domain, err)
	} else if !maps.EqualFunc(got, want, sameRoute) {
		t.Errorf("List %q has %d rows, want %d, or they differ: %v; want %v", domain, len(got), len(want),
			shorten(slices.Collect(maps.Keys(got))), shorten(slices.Collect(maps.Keys(want))))
	}
}

// rowsOf collects a listing. A row that comes twice is an error.
func rowsOf(ctx context.Context, store mailbox.Addresses, domain string) (map[mailbox.Address]mailbox.Route, error) {
	rows := make(map[mailbox.Address]mailbox.Route)
	for row, err := range store.List(ctx, domain) {
		if err != nil {
			return nil, err
		}
		if _, twice := rows[row.Address]; twice {
			return nil, fmt.Errorf("%q is listed twice", row.Address)
		}
		rows[row.Address] = row.Route
	}
	return rows, nil
}

// sameRoute compares routes: times as moments, and no targets as no targets.
func sameRoute(a, b mailbox.Route) bool {
	return a.Kind == b.Kind && a.Life == b.Life && a.Maildrop == b.Maildrop && a.Secret == b.Secret &&
		a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires) &&
		a.Created.IsZero() == b.Created.IsZero() && a.Expires.IsZero() == b.Expires.IsZero() &&
		slices.Equal(a.Targets, b.Targets)
}

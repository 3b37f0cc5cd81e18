package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A site is a directory on stores in memory, at a time that a test sets.
type site struct {
	*testing.T
	mailbox.Directory
	stores *mailboxtest.FaultyStores
	now    time.Time
}

func newSite(t *testing.T, plan mailboxtest.Plan) *site {
	s := &site{T: t, now: noon, stores: mailboxtest.Faulty(mailboxtest.Memory(), plan)}
	s.Directory = mailbox.Directory{
		Addresses:   s.stores.Addresses,
		Domains:     []string{"example.org", "example.com"},
		TempDomains: []string{"temp.example.org", "example.org"},
		TextDomain:  "text.example.org",
		Now:         func() time.Time { return s.now },
	}
	return s
}

func addr(t *testing.T, text string) mailbox.Address {
	t.Helper()
	a, err := mailbox.ParseRoute(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *site) create(text string, r mailbox.Route) mailbox.Route {
	s.Helper()
	r, err := s.Create(s.Context(), addr(s.T, text), r)
	if err != nil {
		s.Fatalf("create %s: %v", text, err)
	}
	return r
}

func (s *site) account(text string) mailbox.Route {
	s.Helper()
	return s.create(text, mailbox.Route{Kind: mailbox.Account})
}

func (s *site) alias(text string, targets ...string) {
	s.Helper()
	r := mailbox.Route{Kind: mailbox.Alias}
	for _, target := range targets {
		r.Targets = append(r.Targets, addr(s.T, target))
	}
	s.create(text, r)
}

func (s *site) remove(text string) {
	s.Helper()
	if err := s.Remove(s.Context(), addr(s.T, text)); err != nil {
		s.Fatalf("remove %s: %v", text, err)
	}
}

// leadsTo checks who receives mail for an address.
func (s *site) leadsTo(text string, want ...string) {
	s.Helper()
	recipients, err := s.Resolve(s.Context(), addr(s.T, text))
	if err != nil {
		s.Errorf("resolve %s: %v", text, err)
		return
	}
	var got []string
	for _, r := range recipients {
		got = append(got, r.Address.String())
		route, err := s.Lookup(s.Context(), r.Address)
		if err != nil || route.Maildrop != r.Maildrop || !route.Expires.Equal(r.Expires) {
			s.Errorf("%s leads to %v; the route of that address is %v, %v", text, r, route, err)
		}
	}
	if !slices.Equal(got, want) {
		s.Errorf("%s leads to %v; want %v", text, got, want)
	}
}

func (s *site) fails(text string, want error) {
	s.Helper()
	if r, err := s.Resolve(s.Context(), addr(s.T, text)); !errors.Is(err, want) || r != nil {
		s.Errorf("%s leads to %v, %v; want the error %v", text, r, err, want)
	}
}

func TestAnAccountReceivesItsMail(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	r := s.account("fred@example.org")
	if want := mailbox.MaildropOf(addr(t, "fred@example.org"), 1); r.Maildrop != want || r.Life != 1 || !r.Created.Equal(noon) {
		t.Errorf("the account is %+v; want the first life, made at noon", r)
	}
	s.leadsTo("fred@example.org", "fred@example.org")
	s.fails("wilma@example.org", mailbox.ErrNotFound)
	s.fails("fred@example.com", mailbox.ErrNotFound)
	s.fails("fred@example.net", mailbox.ErrNotLocal)
	s.fails("fred@sub.example.org", mailbox.ErrNotLocal)
}

func TestALiveAddressCannotBeCreatedAgain(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	first := s.account("fred@example.org")
	if _, err := s.Create(t.Context(), addr(t, "fred@example.org"), mailbox.Route{Kind: mailbox.Temporary}); !errors.Is(err, mailbox.ErrExists) {
		t.Errorf("create: %v; want ErrExists", err)
	}
	if r, err := s.Lookup(t.Context(), addr(t, "fred@example.org")); err != nil || r.Kind != mailbox.Account || r.Maildrop != first.Maildrop {
		t.Errorf("the account has become %v, %v", r, err)
	}
}

func TestAnAddressOfAnotherDomainCannotBeCreated(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	if _, err := s.Create(t.Context(), addr(t, "fred@example.net"), mailbox.Route{Kind: mailbox.Account}); !errors.Is(err, mailbox.ErrNotLocal) {
		t.Errorf("create: %v; want ErrNotLocal", err)
	}
	if calls := s.stores.Calls(); len(calls) != 0 {
		t.Errorf("the store was asked: %v", calls)
	}
}

func TestEachKindOfAddressHasItsDomains(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	for text, kinds := range map[string][]mailbox.Kind{
		"fred@example.com":      {mailbox.Temporary},
		"fred@temp.example.org": {mailbox.Account, mailbox.Alias},
		"@temp.example.org":     {mailbox.Account, mailbox.Alias},
		"fred@text.example.org": {mailbox.Account, mailbox.Alias, mailbox.Temporary},
	} {
		for _, kind := range kinds {
			if _, err := s.Create(t.Context(), addr(t, text), mailbox.Route{Kind: kind}); !errors.Is(err, mailbox.ErrNotLocal) {
				t.Errorf("create %s as %s: %v; want ErrNotLocal", text, kind, err)
			}
		}
	}
	if calls := s.stores.Calls(); len(calls) != 0 {
		t.Errorf("the store was asked: %v", calls)
	}
	r := s.create("fred@temp.example.org", mailbox.Route{Kind: mailbox.Temporary, Expires: noon.Add(time.Hour)})
	if want := mailbox.TemporaryMaildropOf(addr(t, "fred@temp.example.org"), 1); r.Maildrop != want {
		t.Errorf("the maildrop is %s; want %s", r.Maildrop, want)
	}
	for _, domain := range []string{"example.org", "example.com", "temp.example.org", "text.example.org"} {
		if !s.IsLocal(domain) {
			t.Errorf("%s is not local", domain)
		}
	}
	s.TextDomain = ""
	if s.IsLocal("text.example.org") || s.IsLocal("") {
		t.Error("there is a text service without a domain")
	}
}

func TestARecreatedAddressNeverHasAnOldMaildrop(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	old := make(map[mailbox.MaildropID]uint32)
	for life := uint32(1); life <= 5; life++ {
		r := s.create("fred@example.org", mailbox.Route{Kind: mailbox.Temporary, Secret: "secret", Expires: s.now.Add(time.Hour)})
		if before, again := old[r.Maildrop]; again || r.Life != life {
			t.Errorf("life %d is counted as %d and has the maildrop of life %d", life, r.Life, before)
		}
		old[r.Maildrop] = life
		s.leadsTo("fred@example.org", "fred@example.org")
		if life%2 == 0 {
			s.remove("fred@example.org")
		} else {
			s.now = s.now.Add(time.Hour) // it expires
		}
		s.fails("fred@example.org", mailbox.ErrNotFound)
	}
	s.alias("fred@example.org", "wilma@example.org")
	s.remove("fred@example.org")
	if r := s.account("fred@example.org"); old[r.Maildrop] != 0 {
		t.Errorf("after a life as an alias the maildrop is that of life %d", old[r.Maildrop])
	}
}

func TestTwoNodesThatCreateAnAddressAtOnceAgreeOnTheMaildrop(t *testing.T) {
	one, other := newSite(t, mailboxtest.Never), newSite(t, mailboxtest.Never)
	if a, b := one.account("fred@example.org"), other.account("fred@example.org"); a.Maildrop != b.Maildrop {
		t.Errorf("one made %s, the other %s", a.Maildrop, b.Maildrop)
	}
}

func TestARemovedAddressForgetsItsSecretAndKeepsItsLife(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.create("fred@example.org", mailbox.Route{Kind: mailbox.Account, Secret: "secret"})
	s.remove("fred@example.org")
	r, err := s.stores.Intact.Addresses.Lookup(t.Context(), addr(t, "fred@example.org"))
	if err != nil || r.Kind != mailbox.Vacant || r.Life != 1 || r.Secret != "" || r.Maildrop != (mailbox.MaildropID{}) {
		t.Errorf("the row is %+v, %v; want a vacant one of the first life", r, err)
	}
	if err := s.Remove(t.Context(), addr(t, "fred@example.org")); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("removed again: %v; want ErrNotFound", err)
	}
}

func TestASecretCanBeChangedWhereSomeoneLogsIn(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	before := s.create("fred@example.org", mailbox.Route{Kind: mailbox.Account, Secret: "old"})
	if err := s.SetSecret(t.Context(), addr(t, "fred@example.org"), "new"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Lookup(t.Context(), addr(t, "fred@example.org"))
	if err != nil || r.Secret != "new" || r.Life != before.Life || r.Maildrop != before.Maildrop || !r.Created.Equal(before.Created) {
		t.Errorf("the route is %+v, %v; want only the secret changed from %+v", r, err, before)
	}
	s.alias("all@example.org", "fred@example.org")
	for _, text := range []string{"all@example.org", "wilma@example.org", "fred+lists@example.org"} {
		if err := s.SetSecret(t.Context(), addr(t, text), "new"); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("secret of %s: %v; want ErrNotFound", text, err)
		}
	}
}

func TestAnAliasCanBeLedElsewhere(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.alias("all@example.org", "fred@example.org")
	all, wilma := addr(t, "all@example.org"), addr(t, "wilma@example.org")
	before, err := s.Lookup(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	told, err := s.SetTargets(t.Context(), all, []mailbox.Address{wilma})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Lookup(t.Context(), all)
	if err != nil || !slices.Equal(r.Targets, []mailbox.Address{wilma}) || !slices.Equal(told.Targets, r.Targets) ||
		r.Kind != mailbox.Alias || r.Life != before.Life || !r.Created.Equal(before.Created) {
		t.Errorf("the route is %+v, %v; want only the targets changed from %+v", r, err, before)
	}
	if _, err := s.SetTargets(t.Context(), addr(t, "fred@example.org"), nil); !errors.Is(err, mailbox.ErrExists) {
		t.Errorf("targets of an account: %v; want ErrExists", err)
	}
	if _, err := s.SetTargets(t.Context(), addr(t, "nobody@example.org"), nil); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("targets of nobody: %v; want ErrNotFound", err)
	}
}

func TestADetailLeadsToTheAddressWithoutIt(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.account("fred+work@example.org")
	s.alias("team@example.org", "fred@example.org")
	s.leadsTo("fred+lists@example.org", "fred@example.org")
	s.leadsTo("fred+a+b@example.org", "fred@example.org")
	s.leadsTo("fred+work@example.org", "fred+work@example.org")
	s.leadsTo("team+x@example.org", "fred@example.org")
	s.fails("wilma+lists@example.org", mailbox.ErrNotFound)
	s.fails("+lists@example.org", mailbox.ErrNotFound)
}

func TestAnAliasLeadsToItsTargets(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.account("wilma@example.com")
	s.alias("all@example.org", "wilma@example.com", "fred+all@example.org")
	s.alias("everyone@example.com", "all@example.org", "fred@example.org", "all@example.org")
	s.leadsTo("all@example.org", "wilma@example.com", "fred@example.org")
	s.leadsTo("everyone@example.com", "wilma@example.com", "fred@example.org")
}

func TestATargetThatLeadsNowhereDoesNotStopTheOthers(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.alias("all@example.org", "nobody@example.org", "far@example.net", "fred@example.org")
	s.alias("none@example.org", "nobody@example.org", "far@example.net")
	// A row of a domain that was served once is not a maildrop of today.
	if err := s.stores.Intact.Addresses.Put(t.Context(), addr(t, "far@example.net"), mailbox.Route{Kind: mailbox.Account, Life: 1}); err != nil {
		t.Fatal(err)
	}
	s.leadsTo("all@example.org", "fred@example.org")
	s.fails("none@example.org", mailbox.ErrNotFound)
}

func TestAnAliasLoopEnds(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.alias("self@example.org", "self@example.org")
	s.alias("a@example.org", "b@example.org")
	s.alias("b@example.org", "c@example.org", "fred@example.org")
	s.alias("c@example.org", "a@example.org")
	s.fails("self@example.org", mailbox.ErrNotFound)
	for _, text := range []string{"a@example.org", "b@example.org", "c@example.org"} {
		s.leadsTo(text, "fred@example.org")
	}
}

func TestAnAliasChainMayBeEightLong(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("a0@example.org")
	for i := 1; i <= 9; i++ {
		s.alias(fmt.Sprintf("a%d@example.org", i), fmt.Sprintf("a%d@example.org", i-1))
	}
	s.leadsTo("a8@example.org", "a0@example.org")
	s.fails("a9@example.org", mailbox.ErrTooFar)
}

func TestAnAliasLeadsToAllOfAThousandAndElseToNobody(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	var targets []string
	for i := range 1001 {
		targets = append(targets, fmt.Sprintf("user%d@example.org", i))
		s.account(targets[i])
	}
	s.alias("all@example.org", targets[:1000]...)
	s.leadsTo("all@example.org", targets[:1000]...)
	s.alias("more@example.org", targets...)
	s.fails("more@example.org", mailbox.ErrTooFar)
	s.alias("staff@example.org", "all@example.org", targets[1000])
	s.fails("staff@example.org", mailbox.ErrTooFar)
}

func TestTheCatchAllReceivesWhatNobodyElseDoes(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.account("@example.org")
	s.leadsTo("fred@example.org", "fred@example.org")
	s.leadsTo("fred+x@example.org", "fred@example.org")
	s.leadsTo("nobody@example.org", "@example.org")
	s.leadsTo("nobody+x@example.org", "@example.org")
	s.fails("nobody@example.com", mailbox.ErrNotFound)
	s.remove("fred@example.org")
	s.leadsTo("fred@example.org", "@example.org")
	s.alias("@example.com", "fred@example.org")
	s.leadsTo("nobody@example.com", "@example.org")
}

func TestACatchAllThatPointsAtItselfEnds(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.alias("@example.org", "nobody@example.org")
	s.fails("somebody@example.org", mailbox.ErrNotFound)
}

func TestMailForPostmasterIsNeverRefused(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	lifeTold := func(text string, life uint32) {
		t.Helper()
		r, err := s.Resolve(t.Context(), addr(t, text))
		want := mailbox.MaildropOf(addr(t, "postmaster@example.org"), life)
		if err != nil || len(r) != 1 || r[0].Maildrop != want {
			t.Errorf("%s leads to %v, %v; want the maildrop of life %d of the first domain's postmaster", text, r, err, life)
		}
	}
	every := []string{
		"postmaster@example.org", "Postmaster@example.com", "postmaster+x@example.com",
		"postmaster@temp.example.org", "postmaster@text.example.org", "postmaster+x@text.example.org",
	}
	for _, text := range every {
		lifeTold(text, 1)
	}
	s.account("@example.com")
	s.leadsTo("postmaster@example.com", "@example.com")
	s.remove("@example.com")

	if r := s.account("postmaster@example.org"); r.Maildrop != mailbox.MaildropOf(addr(t, "postmaster@example.org"), 1) {
		t.Error("the account of postmaster does not open the maildrop where the mail waited")
	}
	for _, text := range every {
		s.leadsTo(text, "postmaster@example.org")
	}
	s.account("@example.com")
	s.leadsTo("postmaster@example.com", "postmaster@example.org")
	s.account("postmaster@example.com")
	s.leadsTo("postmaster@example.com", "postmaster@example.com")
	s.leadsTo("postmaster@example.org", "postmaster@example.org")

	s.remove("postmaster@example.org")
	lifeTold("postmaster@example.org", 2)
	s.alias("postmaster@example.org", "nobody@example.org")
	lifeTold("postmaster@example.org", 3)
	s.fails("postmaster@example.net", mailbox.ErrNotLocal)
	s.fails("postmasters@example.org", mailbox.ErrNotFound)
}

func TestATemporaryAddressEndsAtItsTime(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.create("t@example.org", mailbox.Route{Kind: mailbox.Temporary, Expires: noon.Add(time.Hour)})
	s.alias("all@example.org", "t@example.org")
	s.now = noon.Add(time.Hour - 1)
	s.leadsTo("t@example.org", "t@example.org")
	s.leadsTo("all@example.org", "t@example.org")
	s.now = noon.Add(time.Hour)
	s.fails("t@example.org", mailbox.ErrNotFound)
	s.fails("all@example.org", mailbox.ErrNotFound)
	if err := s.SetSecret(t.Context(), addr(t, "t@example.org"), "x"); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("secret of an expired address: %v; want ErrNotFound", err)
	}
	if err := s.Remove(t.Context(), addr(t, "t@example.org")); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("removal of an expired address: %v; want ErrNotFound", err)
	}
}

func TestADomainListsItsLiveAddresses(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.account("wilma@example.org")
	s.account("barney@example.com")
	s.create("t@example.org", mailbox.Route{Kind: mailbox.Temporary, Expires: noon.Add(time.Hour)})
	s.account("@example.org")
	s.remove("wilma@example.org")
	lists := func(want ...string) {
		t.Helper()
		var got []string
		for row, err := range s.List(t.Context(), "example.org") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Address.String())
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("listed are %v; want %v", got, want)
		}
	}
	lists("@example.org", "fred@example.org", "t@example.org")
	s.now = noon.Add(time.Hour)
	lists("@example.org", "fred@example.org")
	for range s.List(t.Context(), "example.org") {
		break
	}
}

func TestAListingThatBreaksOffSaysSo(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("fred@example.org")
	s.remove("fred@example.org") // a row that is left out, before the error
	s.Addresses = mailboxtest.Faulty(s.stores.Intact, mailboxtest.Nth(1, mailboxtest.Lie)).Addresses
	var last error
	for _, err := range s.List(t.Context(), "example.org") {
		last = err
	}
	if !errors.Is(last, mailbox.ErrUnavailable) {
		t.Errorf("the listing ended with %v; want ErrUnavailable", last)
	}
}

// Where the store cannot answer, nobody may be told that an address does not
// exist: SMTP would bounce the mail for good.
func TestWhatCannotBeToldIsNotDenied(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, s *site) error{
		"resolve an account":        func(ctx context.Context, s *site) error { return resolve(ctx, s, "fred@example.org") },
		"resolve a detail":          func(ctx context.Context, s *site) error { return resolve(ctx, s, "fred+x@example.org") },
		"resolve an alias":          func(ctx context.Context, s *site) error { return resolve(ctx, s, "all@example.org") },
		"resolve for the catch-all": func(ctx context.Context, s *site) error { return resolve(ctx, s, "nobody@example.org") },
		"resolve nobody":            func(ctx context.Context, s *site) error { return resolve(ctx, s, "nobody@example.com") },
		"resolve postmaster":        func(ctx context.Context, s *site) error { return resolve(ctx, s, "postmaster@example.com") },
		"look up": func(ctx context.Context, s *site) error {
			_, err := s.Lookup(ctx, addr(s.T, "fred@example.org"))
			return err
		},
		"create": func(ctx context.Context, s *site) error {
			_, err := s.Create(ctx, addr(s.T, "new@example.org"), mailbox.Route{Kind: mailbox.Account})
			return err
		},
		"set a secret": func(ctx context.Context, s *site) error {
			return s.SetSecret(ctx, addr(s.T, "fred@example.org"), "new")
		},
		"lead an alias elsewhere": func(ctx context.Context, s *site) error {
			_, err := s.SetTargets(ctx, addr(s.T, "all@example.org"), nil)
			return err
		},
		"remove": func(ctx context.Context, s *site) error { return s.Remove(ctx, addr(s.T, "fred@example.org")) },
	} {
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) mailboxtest.Stores {
				s := newSite(t, mailboxtest.Never)
				s.account("fred@example.org")
				s.account("wilma@example.org")
				s.account("@example.org")
				s.alias("all@example.org", "wilma@example.org", "fred@example.org", "nobody@example.com")
				return s.stores.Intact
			}
			calls := 0
			mailboxtest.EveryCall(t, open, func(t *testing.T, f *mailboxtest.FaultyStores) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, mailboxtest.Never)
					s.Addresses = f.Addresses
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := do(ctx, s)
					if calls++; calls == 1 {
						return // no fault
					}
					if !errors.Is(err, mailbox.ErrUnavailable) || errors.Is(err, mailbox.ErrNotFound) {
						t.Errorf("%s: %v; want ErrUnavailable", name, err)
					}
				})
			})
		})
	}
}

func resolve(ctx context.Context, s *site, text string) error {
	_, err := s.Resolve(ctx, addr(s.T, text))
	return err
}

func TestAnAddressOfARandomNameIsCreatedThoughNobodyCanSayThatItIsNew(t *testing.T) {
	s := newSite(t, func(_ int, name string) mailboxtest.Fault {
		if name == "Addresses.Lookup" {
			return mailboxtest.Fail
		}
		return nil
	})
	a := addr(t, "lk3vvzq2hkvdspk5lkjv5wtnqi@temp.example.org")
	if _, err := s.Create(t.Context(), a, mailbox.Route{Kind: mailbox.Temporary}); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("created by its name: %v; want ErrUnavailable", err)
	}
	made, err := s.CreateRandom(t.Context(), a, mailbox.Route{Kind: mailbox.Temporary})
	if err != nil || made.Maildrop != mailbox.TemporaryMaildropOf(a, 1) {
		t.Errorf("CreateRandom = %v, %v; want the first life", made, err)
	}
	s.Addresses = s.stores.Intact.Addresses
	if r, err := s.Lookup(t.Context(), a); err != nil || r.Maildrop != made.Maildrop {
		t.Errorf("the route is %v, %v; want %v", r, err, made)
	}
	if _, err := s.CreateRandom(t.Context(), addr(t, "x@example.net"), mailbox.Route{Kind: mailbox.Temporary}); !errors.Is(err, mailbox.ErrNotLocal) {
		t.Errorf("in another domain: %v; want ErrNotLocal", err)
	}
}

// A creation that failed may have been done. Whoever asks again is told that
// the address exists, or gets it, with the same maildrop.
func TestACreationThatFailedMayBeRepeated(t *testing.T) {
	s := newSite(t, mailboxtest.Nth(2, mailboxtest.Lie))
	a := addr(t, "fred@example.org")
	if _, err := s.Create(t.Context(), a, mailbox.Route{Kind: mailbox.Account}); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Fatalf("create: %v; want ErrUnavailable", err)
	}
	if _, err := s.Create(t.Context(), a, mailbox.Route{Kind: mailbox.Account}); !errors.Is(err, mailbox.ErrExists) {
		t.Errorf("create again: %v; want ErrExists", err)
	}
	if r, err := s.Lookup(t.Context(), a); err != nil || r.Maildrop != mailbox.MaildropOf(a, 1) {
		t.Errorf("the route is %v, %v; want the first life", r, err)
	}
}

func TestADirectoryWithoutAClockUsesTheSystems(t *testing.T) {
	d := mailbox.Directory{Addresses: mailboxtest.Memory().Addresses, Domains: []string{"example.org"}}
	before := time.Now().Truncate(time.Millisecond)
	r, err := d.Create(t.Context(), addr(t, "fred@example.org"), mailbox.Route{Kind: mailbox.Account})
	if err != nil || r.Created.Before(before) || r.Created.After(time.Now()) {
		t.Errorf("created %v, %v; want now", r.Created, err)
	}
}

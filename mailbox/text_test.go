package mailbox_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const texts = "text.example.org"

func TestTheNameOfATextUserIsReadBackFromTheAddress(t *testing.T) {
	for user, local := range map[string]string{
		"fred":             "fred",
		"Fred":             "=46red",
		"fred.f+x":         "fred.f+x",
		".fred..f.":        "=2efred.=2ef=2e",
		"fred flintstone":  "fred=20flintstone",
		"fred@example.org": "fred=40example.org",
		"a=b":              "a=3db",
		`"<>\`:             "=22=3c=3e=5c",
		"a\r\nb\x00":       "a=0d=0ab=00",
		"42a":              "42a",
		"٤٢":               "٤٢", // digits, but not of an id
		"пётр":             "пётр",
		"Пётр":             "=d0=9fётр",
		"北京":               "北京",
		"e\u0301":          "e\u0301",
		"☺":                "=e2=98=ba",
		"\xff":             "=ff",
		"\ufffd":           "=ef=bf=bd",
		"postmaster":       "postmaster",
	} {
		a, err := mailbox.TextAddress(user, texts)
		if err != nil || a.Local != local || a.Domain != texts {
			t.Errorf("the address of %q is %v, %v; want %s", user, a, err, local)
		}
		if again, ok := mailbox.TextUser(a); !ok || again != user {
			t.Errorf("the user of %v is %q, %t; want %q", a, again, ok, user)
		}
	}
}

func TestSomeNamesAreNotOfATextUser(t *testing.T) {
	for name, user := range map[string]string{
		"empty": "", "digits": "0815", "long": strings.Repeat("x", 65), "long when escaped": strings.Repeat(" ", 22),
		"endless": strings.Repeat("\x00", 1<<20),
	} {
		if a, err := mailbox.TextAddress(user, texts); !errors.Is(err, mailbox.ErrAddress) {
			t.Errorf("%s: the address is %v, %v; want ErrAddress", name, a, err)
		}
	}
	if _, err := mailbox.TextAddress("fred", strings.Repeat("x", 250)); !errors.Is(err, mailbox.ErrAddress) {
		t.Error("an address may be longer than any")
	}
}

func TestTheAddressOfATextUserIsAnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-cA-C.=+ 0-9é\x00]{0,70}`)).Draw(t, "user")
		a, err := mailbox.TextAddress(user, texts)
		if err != nil {
			return
		}
		if parsed, err := mailbox.ParseAddress(a.String()); err != nil || parsed != a {
			t.Fatalf("%v is read back as %v, %v", a, parsed, err)
		}
		if again, ok := mailbox.TextUser(a); !ok || again != user {
			t.Fatalf("the user of %v is %q, %t; want %q", a, again, ok, user)
		}
	})
}

func TestNoTwoAddressesAreOfOneTextUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := mailbox.Address{Local: rapid.StringMatching(`(=[0-9a-fA-F]{2}|[a-c.=é])*`).Draw(t, "local-part"), Domain: texts}
		user, ok := mailbox.TextUser(a)
		if !ok {
			return
		}
		if again, err := mailbox.TextAddress(user, texts); err != nil || again != a {
			t.Fatalf("%v is of %q, who has %v, %v", a, user, again, err)
		}
	})
}

func TestEveryTextUserHasAnAddress(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.TextSecret = "secret"
	for text, life := range map[string]time.Duration{"fred@" + texts: 0, "fred+x@" + texts: time.Hour, "=46red@" + texts: time.Second} {
		s.TextLife = life
		if life == 0 {
			life = time.Minute
		}
		a := addr(t, text)
		want := mailbox.Recipient{Address: a, Maildrop: mailbox.TemporaryMaildropOf(a, 1), Expires: noon.Add(life)}
		if found, err := s.Resolve(t.Context(), a); err != nil || len(found) != 1 || found[0] != want {
			t.Errorf("%s leads to %v, %v; want %v", text, found, err, want)
		}
		r, err := s.Lookup(t.Context(), a)
		if err != nil || r.Kind != mailbox.Temporary || r.Life != 1 || r.Maildrop != want.Maildrop || r.Secret != "secret" || !r.Expires.IsZero() {
			t.Errorf("the route of %s is %+v, %v", text, r, err)
		}
	}
	if calls := s.stores.Calls(); len(calls) != 0 {
		t.Errorf("the store was asked: %v", calls)
	}
}

func TestAnAliasMayLeadToATextUser(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("wilma@example.org")
	s.alias("all@example.org", "fred@"+texts, "wilma@example.org", "42@"+texts)
	found, err := s.Resolve(t.Context(), addr(t, "all@example.org"))
	if err != nil || len(found) != 2 || !found[0].Expires.Equal(noon.Add(time.Minute)) || !found[1].Expires.IsZero() {
		t.Errorf("the alias leads to %v, %v; want a text that expires and a mail that does not", found, err)
	}
}

func TestAnImpossibleTextUserGetsNoMail(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	s.account("@example.org")
	for _, text := range []string{"42@" + texts, "=66red@" + texts, "fred=@" + texts, "=4@" + texts, "=zz@" + texts, `"a b"@` + texts, "@" + texts} {
		s.fails(text, mailbox.ErrNotFound)
		if r, err := s.Lookup(t.Context(), addr(t, text)); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("the route of %s is %+v, %v; want ErrNotFound", text, r, err)
		}
	}
}

func TestNobodyChangesTheAddressOfATextUser(t *testing.T) {
	s := newSite(t, mailboxtest.Never)
	a := addr(t, "fred@"+texts)
	_, create := s.Create(t.Context(), a, mailbox.Route{Kind: mailbox.Temporary})
	_, targets := s.SetTargets(t.Context(), a, nil)
	for name, err := range map[string]error{
		"create": create, "lead elsewhere": targets,
		"set a secret": s.SetSecret(t.Context(), a, "x"), "remove": s.Remove(t.Context(), a),
	} {
		if !errors.Is(err, mailbox.ErrNotLocal) {
			t.Errorf("%s: %v; want ErrNotLocal", name, err)
		}
	}
	if calls := s.stores.Calls(); len(calls) != 0 {
		t.Errorf("the store was asked: %v", calls)
	}
}

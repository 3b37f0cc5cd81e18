package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// route is the row of an address as the store has it.
func (s *site) route(t *testing.T, address string) mailbox.Route {
	t.Helper()
	a, err := mailbox.ParseRoute(address)
	if err != nil {
		t.Fatal(err)
	}
	route, err := s.stores.Intact.Addresses.Lookup(t.Context(), a)
	if err != nil && !errors.Is(err, mailbox.ErrNotFound) {
		t.Fatal(err)
	}
	return route
}

// account makes an account without a hash to compute.
func (s *site) account(t *testing.T, address string) mailbox.Route {
	t.Helper()
	w := s.answerTo("POST", "/accounts", `{"address":"`+address+`","hash":"`+bcryptHash+`"}`)
	if w.Code != http.StatusCreated {
		t.Fatalf("%s: %d %s", address, w.Code, w.Body)
	}
	return s.route(t, address)
}

func TestAnAccountIsMadeWithAPasswordOrAHash(t *testing.T) {
	s := newHandler()
	w := s.answerTo("POST", "/accounts", `{"address":"Fred@Example.org","password":"secret"}`)
	if w.Code != http.StatusCreated || w.Header().Get("Location") != "/accounts/fred@example.org" {
		t.Fatalf("%d %s %s", w.Code, w.Header(), w.Body)
	}
	for _, leak := range []string{"secret", "argon2", "$"} {
		if strings.Contains(w.Body.String(), leak) {
			t.Errorf("the answer shows %q: %s", leak, w.Body)
		}
	}
	route := s.route(t, "fred@example.org")
	if route.Kind != mailbox.Account || !auth.Check(route.Secret, "secret") {
		t.Errorf("the row is %+v", route)
	}
	s.account(t, "barney@example.net")
	if route := s.route(t, "barney@example.net"); route.Secret != bcryptHash || !auth.Check(route.Secret, "secret") {
		t.Errorf("the row is %+v", route)
	}
}

func TestAnAccountThatCannotBeIsRefused(t *testing.T) {
	s := newHandler()
	s.account(t, "taken@example.org")
	before := s.route(t, "taken@example.org")
	for body, want := range map[string]struct {
		status int
		kind   string
	}{
		`{"address":"taken@example.org","password":"x"}`:                     {http.StatusConflict, "address-exists"},
		`{"address":"TAKEN@example.org.","password":"x"}`:                    {http.StatusConflict, "address-exists"},
		`{"address":"a@example.com","password":"x"}`:                         {http.StatusUnprocessableEntity, "domain-not-local"},
		`{"address":"a@@example.org","password":"x"}`:                        {http.StatusUnprocessableEntity, "malformed-address"},
		`{"address":"a","password":"x"}`:                                     {http.StatusUnprocessableEntity, "malformed-address"},
		`{"address":"@example.org","password":"x"}`:                          {http.StatusUnprocessableEntity, "malformed-address"},
		`{"address":"","password":"x"}`:                                      {http.StatusUnprocessableEntity, "malformed-address"},
		`{"address":"a@example.org"}`:                                        {http.StatusUnprocessableEntity, "unusable-password"},
		`{"address":"a@example.org","password":""}`:                          {http.StatusUnprocessableEntity, "unusable-password"},
		`{"address":"a@example.org","password":"x","hash":"y"}`:              {http.StatusUnprocessableEntity, "unusable-password"},
		`{"address":"a@example.org","password":"x\u0000"}`:                   {http.StatusUnprocessableEntity, "unusable-password"},
		`{"address":"a@example.org","hash":"x"}`:                             {http.StatusUnprocessableEntity, "unusable-hash"},
		`{"address":"a@example.org","hash":"$6$salt$hash"}`:                  {http.StatusUnprocessableEntity, "unusable-hash"},
		`{"address":"a@example.org","hash":"$2y$31$` + bcryptHash[7:] + `"}`: {http.StatusUnprocessableEntity, "unusable-hash"},
	} {
		wantProblem(t, s.answerTo("POST", "/accounts", body), want.status, want.kind)
	}
	if after := s.route(t, "taken@example.org"); after.Secret != before.Secret || after.Life != before.Life {
		t.Errorf("the account that was there is now %+v", after)
	}
	if route := s.route(t, "a@example.org"); route.Kind != mailbox.Vacant {
		t.Errorf("an account was made: %+v", route)
	}
}

func TestAnAccountIsFoundUnderItsAddressHoweverOdd(t *testing.T) {
	s := newSite(t)
	for _, address := range []string{
		"fred@example.org", "a/b@example.org", `"a//b"@example.org`, `"../x"@example.org`, `"a b"@example.org`, "50%@example.org",
		"a+b@example.org", "ä@example.org", "a?b#c@example.org", `"\"\\"@example.org`, `"@"@example.org`,
	} {
		made, err := s.AddHash(t.Context(), address, bcryptHash)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		found, err := s.Get(t.Context(), made.Address)
		if err != nil || found.Address != made.Address || found.Kind != "account" || !found.Login || !found.Created.Equal(made.Created) {
			t.Errorf("%s: %+v, %v", address, found, err)
		}
		if err := s.Remove(t.Context(), address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAPasswordIsChanged(t *testing.T) {
	s := newHandler()
	s.account(t, "fred@example.org")
	if w := s.answerTo("PUT", "/accounts/fred@example.org/password", `{"password":"changed"}`); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if route := s.route(t, "fred@example.org"); !auth.Check(route.Secret, "changed") || route.Life != 1 {
		t.Errorf("the row is %+v", route)
	}
	if w := s.answerTo("PUT", "/accounts/fred@example.org/password", `{"hash":"`+bcryptHash+`"}`); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if route := s.route(t, "fred@example.org"); route.Secret != bcryptHash {
		t.Errorf("the row is %+v", route)
	}
	wantProblem(t, s.answerTo("PUT", "/accounts/fred@example.org/password", `{}`), http.StatusUnprocessableEntity, "unusable-password")
	wantProblem(t, s.answerTo("PUT", "/accounts/wilma@example.org/password", `{"password":"x"}`), http.StatusNotFound, "address-not-found")
	wantProblem(t, s.answerTo("PUT", "/accounts/x/password", `{"password":"x"}`), http.StatusUnprocessableEntity, "malformed-address")
}

// deliver puts messages into a maildrop, all of the same content.
func (s *site) deliver(t *testing.T, address string, n int) {
	t.Helper()
	route := s.route(t, address)
	env := mailbox.Envelope{Recipients: []mailbox.Recipient{{Maildrop: route.Maildrop}}}
	for range n {
		if _, err := s.stores.Intact.Deliveries().Deliver(t.Context(), env, strings.NewReader("x\r\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// mail is what a maildrop holds.
func (s *site) mail(t *testing.T, drop mailbox.MaildropID) []mailbox.Message {
	t.Helper()
	list, err := s.stores.Intact.Maildrops.List(t.Context(), drop)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestARemovedAccountTakesItsMailAlong(t *testing.T) {
	s := newHandler()
	fred := s.account(t, "fred@example.org")
	barney := s.account(t, "barney@example.org")
	s.deliver(t, "fred@example.org", 2*expungeChunk+1)
	s.deliver(t, "barney@example.org", 1)
	one := s.mail(t, fred.Maildrop)[0]
	if w := s.answerTo("DELETE", "/accounts/fred@example.org", ""); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if n := len(s.mail(t, fred.Maildrop)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	if _, err := s.stores.Intact.Contents.Open(t.Context(), one); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("content is left: %v", err)
	}
	if n := len(s.mail(t, barney.Maildrop)); n != 1 {
		t.Errorf("another account has %d messages, want 1", n)
	}
	if route := s.route(t, "fred@example.org"); route.Kind != mailbox.Vacant || route.Secret != "" {
		t.Errorf("the row is %+v", route)
	}
	wantProblem(t, s.answerTo("DELETE", "/accounts/fred@example.org", ""), http.StatusNotFound, "address-not-found")
	if again := s.account(t, "fred@example.org"); again.Life != 2 || again.Maildrop == fred.Maildrop {
		t.Errorf("made again, the row is %+v", again)
	}
}

func TestMailThatArrivesDuringARemovalIsExpungedToo(t *testing.T) {
	s := newHandler()
	fred := s.account(t, "fred@example.org")
	s.breakCalls("Addresses.Put", func(ctx context.Context, c mailboxtest.Call) error {
		s.deliver(t, "fred@example.org", 1)
		return c.Do(ctx)
	})
	if w := s.answerTo("DELETE", "/accounts/fred@example.org", ""); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if n := len(s.mail(t, fred.Maildrop)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestARemovalThatFailsHalfWayCanBeRepeated(t *testing.T) {
	for _, call := range []string{"Maildrops.List", "Maildrops.Remove", "Addresses.Lookup", "Addresses.Put"} {
		t.Run(call, func(t *testing.T) {
			s := newHandler()
			fred := s.account(t, "fred@example.org")
			s.deliver(t, "fred@example.org", 3)
			s.breakCalls(call, func(context.Context, mailboxtest.Call) error { return mailbox.ErrUnavailable })
			wantProblem(t, s.answerTo("DELETE", "/accounts/fred@example.org", ""), http.StatusServiceUnavailable, "storage-unavailable")
			if route := s.route(t, "fred@example.org"); route.Kind != mailbox.Account {
				t.Error("the address is gone, and with it the way to repeat")
			}
			s.breakCalls("", nil)
			if w := s.answerTo("DELETE", "/accounts/fred@example.org", ""); w.Code != http.StatusNoContent {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if n := len(s.mail(t, fred.Maildrop)); n != 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
	t.Run("after the address is gone, what is left is a line of the log", func(t *testing.T) {
		s := newHandler()
		s.account(t, "fred@example.org")
		var lists atomic.Int32
		s.breakCalls("Maildrops.List", func(ctx context.Context, c mailboxtest.Call) error {
			if lists.Add(1) == 2 {
				return mailbox.ErrUnavailable
			}
			return c.Do(ctx)
		})
		if w := s.answerTo("DELETE", "/accounts/fred@example.org", ""); w.Code != http.StatusNoContent {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if !strings.Contains(s.log.String(), "mail left") {
			t.Errorf("log: %s", s.log)
		}
	})
}

func TestAnAliasIsMadeChangedAndRemoved(t *testing.T) {
	s := newHandler()
	put := func(address, targets string) string {
		t.Helper()
		w := s.answerTo("PUT", "/aliases/"+address, `{"targets":`+targets+`}`)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	leads := func(address string, want ...string) {
		t.Helper()
		var got []string
		for _, a := range s.route(t, address).Targets {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s leads to %s, want %s", address, got, want)
		}
	}
	answer := put("sales@example.org", `["Fred@example.org","barney@example.net","fred@EXAMPLE.org"]`)
	if !strings.Contains(answer, `"targets":["fred@example.org","barney@example.net"]`) || !strings.Contains(answer, `"login":false`) {
		t.Errorf("answer is %s", answer)
	}
	leads("sales@example.org", "fred@example.org", "barney@example.net")

	s.breakCalls("Addresses.", nil) // counts the writes of the change
	before := len(s.stores.Calls())
	put("sales@example.org", `["wilma@example.org"]`)
	writes := 0
	for _, call := range s.stores.Calls()[before:] {
		if call == "Addresses.Put" {
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("a change is %d writes: in between, mail was refused", writes)
	}
	leads("sales@example.org", "wilma@example.org")

	put("@example.net", `["fred@example.org"]`)
	leads("@example.net", "fred@example.org")
	if route := s.route(t, "@example.net"); route.Kind != mailbox.Alias {
		t.Errorf("the catch-all is %+v", route)
	}
	for _, address := range []string{"sales@example.org", "@example.net"} {
		if w := s.answerTo("DELETE", "/aliases/"+address, ""); w.Code != http.StatusNoContent {
			t.Errorf("%s: %d %s", address, w.Code, w.Body)
		}
		wantProblem(t, s.answerTo("DELETE", "/aliases/"+address, ""), http.StatusNotFound, "address-not-found")
	}
}

func TestAnAliasThatCannotBeIsRefused(t *testing.T) {
	s := newHandler()
	s.account(t, "fred@example.org")
	if w := s.answerTo("PUT", "/aliases/sales@example.org", `{"targets":["fred@example.org"]}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	put := func(address, targets string, status int, kind string) {
		t.Helper()
		wantProblem(t, s.answerTo("PUT", "/aliases/"+address, `{"targets":`+targets+`}`), status, kind)
	}
	const unprocessable = http.StatusUnprocessableEntity
	put("fred@example.org", `["barney@example.org"]`, http.StatusConflict, "address-exists")
	put("x@example.com", `["fred@example.org"]`, unprocessable, "domain-not-local")
	put("@example.com", `["fred@example.org"]`, unprocessable, "domain-not-local")
	put("x@example.org", `["fred@example.com"]`, unprocessable, "domain-not-local")
	put("x@example.org", `["X@example.org"]`, unprocessable, "alias-loop")
	put("x@example.org", `["fred"]`, unprocessable, "malformed-address")
	put("x@example.org", `["@example.net"]`, unprocessable, "malformed-address")
	put("x", `["fred@example.org"]`, unprocessable, "malformed-address")
	put("x@example.org", `[]`, unprocessable, "")
	put("x@example.org", `null`, unprocessable, "")
	put("x@example.org", `[`+strings.Repeat(`"fred@example.org",`, 100)+`"fred@example.org"]`, unprocessable, "")
	wantProblem(t, s.answerTo("DELETE", "/aliases/fred@example.org", ""), http.StatusNotFound, "address-not-found")
	for request, body := range map[string]string{
		"GET /accounts/sales@example.org": "", "DELETE /accounts/sales@example.org": "",
		"PUT /accounts/sales@example.org/password": `{"password":"x"}`,
	} {
		method, path, _ := strings.Cut(request, " ")
		p := wantProblem(t, s.answerTo(method, path, body), http.StatusNotFound, "address-not-found")
		if !strings.Contains(p.Detail, "alias") {
			t.Errorf("%s: detail %q does not say what the address is", request, p.Detail)
		}
	}
	if s.route(t, "fred@example.org").Kind != mailbox.Account || s.route(t, "sales@example.org").Kind != mailbox.Alias {
		t.Error("what was there has changed")
	}
}

func TestAListingHasWhatWasAskedForAndNoSecret(t *testing.T) {
	s := newHandler()
	s.account(t, "fred@example.org")
	s.account(t, "barney@example.net")
	s.account(t, "gone@example.org")
	s.answerTo("DELETE", "/accounts/gone@example.org", "")
	s.answerTo("PUT", "/aliases/@example.org", `{"targets":["fred@example.org"]}`)
	temp := mailbox.Address{Local: "temp", Domain: "temp.example.org"}
	if _, err := s.directory.Create(t.Context(), temp, mailbox.Route{Kind: mailbox.Temporary}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                      "@example.org barney@example.net fred@example.org",
		"?domain=example.org":   "@example.org fred@example.org",
		"?domain=Example.NET.":  "barney@example.net",
		"?kind=account":         "barney@example.net fred@example.org",
		"?kind=alias":           "@example.org",
		"?kind=temporary":       "temp@temp.example.org",
		"?kind=alias,temporary": "@example.org temp@temp.example.org",
		"?kind=alias,temporary&domain=example.org":      "@example.org",
		"?kind=alias,temporary&domain=temp.example.org": "temp@temp.example.org",
		"?kind=alias&domain=example.net":                "",
	} {
		w := s.answerTo("GET", "/accounts"+query, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", query, w.Code, w.Header())
		}
		if strings.Contains(w.Body.String(), "$2y$") {
			t.Errorf("%s shows a hash: %s", query, w.Body)
		}
		if got := addresses(t, w.Body.String()); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
}

func TestAListingThatFailsMidwayIsCut(t *testing.T) {
	s := newSite(t)
	for i := range 300 {
		s.account(t, fmt.Sprintf("user%d@example.org", i))
	}
	var lists atomic.Int32
	s.breakCalls("Addresses.List", func(ctx context.Context, c mailboxtest.Call) error {
		if lists.Add(1) == 2 { // of the second domain
			return mailbox.ErrUnavailable
		}
		return c.Do(ctx)
	})
	seen := 0
	var last error
	for account, err := range s.List(t.Context(), "") {
		if err != nil {
			last = err
			continue
		}
		if account.Kind != "account" {
			t.Errorf("%+v", account)
		}
		seen++
	}
	if last == nil {
		t.Errorf("%d accounts, and no word that there may be more", seen)
	}
	t.Run("and one that fails at once is a problem", func(t *testing.T) {
		s.breakCalls("Addresses.List", func(context.Context, mailboxtest.Call) error { return mailbox.ErrUnavailable })
		for _, err := range s.List(t.Context(), "") {
			if !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

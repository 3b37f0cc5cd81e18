package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAClientMakesSoManyMailboxesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) {
			o.CreateRate = 6
			o.Keys = map[string]string{"ann": "0123456789abcdef"}
		})
		create := func(edit ...func(*http.Request)) int { return l.answerTo("POST", "/mailboxes", "", edit...).Code }
		for range 6 {
			l.mailbox(t, "")
		}
		w := l.answerTo("POST", "/mailboxes", "")
		wantProblem(t, w, http.StatusTooManyRequests, "too-many-mailboxes")
		if w.Header().Get("Retry-After") != "10" {
			t.Errorf("Retry-After is %s", w.Header().Get("Retry-After"))
		}
		for addr, want := range map[string]int{
			"192.0.2.2:1":   http.StatusCreated,
			"127.0.0.1:1":   http.StatusCreated,
			"[::1]:1":       http.StatusCreated,
			"192.0.2.1:999": http.StatusTooManyRequests,
		} {
			if got := create(from(addr)); got != want {
				t.Errorf("%s: %d, want %d", addr, got, want)
			}
		}
		for i := range 6 {
			create(from(fmt.Sprintf("[2001:db8::%d]:1", i)))
		}
		if got := create(from("[2001:db8::ffff]:1")); got != http.StatusTooManyRequests {
			t.Errorf("another address of a network: %d", got)
		}
		if got := create(from("[2001:db8:0:1::1]:1")); got != http.StatusCreated {
			t.Errorf("another network: %d", got)
		}
		for range 100 {
			if got := create(field("X-API-Key", "0123456789abcdef")); got != http.StatusCreated {
				t.Fatalf("the holder of a key: %d", got)
			}
		}
		time.Sleep(10 * time.Second)
		if got := create(); got != http.StatusCreated {
			t.Errorf("ten seconds later: %d", got)
		}
		if got := create(); got != http.StatusTooManyRequests {
			t.Errorf("and one more: %d", got)
		}
	})
}

func TestAClientPostsSoManyMessagesAndTextsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) { o.CreateRate = 1 })
		at := "/mailboxes/" + l.mailbox(t, "").Email + "/messages"
		for range postFactor {
			if w := l.answerTo("POST", at, `{"sender":"a@example.com"}`); w.Code != http.StatusCreated {
				t.Fatal(w.Code)
			}
		}
		wantProblem(t, l.answerTo("POST", at, `{"sender":"a@example.com"}`), http.StatusTooManyRequests, "too-many-messages")
		wantProblem(t, l.answerTo("POST", "/chat?username=fred&text=hello", ""), http.StatusTooManyRequests, "too-many-texts")
		time.Sleep(time.Minute / postFactor)
		if w := l.answerTo("POST", "/chat?username=fred&text=hello", ""); w.Code != http.StatusCreated {
			t.Errorf("when a message was earned: %d", w.Code)
		}
	})
}

func TestClientsAreForgottenWhenTheyAreTooManyAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(1)
		of := func(i int) client { return client{holder: fmt.Sprint(i)} }
		for range keyFactor {
			if r.take(of(0)) > 0 {
				t.Fatal("refused too soon")
			}
		}
		for i := range 3 * rateClients {
			r.take(of(i + 1))
			if len(r.young)+len(r.old) > 2*rateClients {
				t.Fatalf("%d are remembered", len(r.young)+len(r.old))
			}
			if i == rateClients && r.take(of(0)) == 0 {
				t.Fatal("forgotten too soon")
			}
		}
		if r.take(of(0)) > 0 {
			t.Error("remembered for ever")
		}
	})
}

func TestAKeyMustBeKnown(t *testing.T) {
	l := newLodge(t, func(o *PublicOptions) {
		o.Keys = map[string]string{"ann": "0123456789abcdef", "bob": "fedcba9876543210"}
	})
	for _, edit := range []func(*http.Request){
		field("X-API-Key", "0123456789abcdef"), field("Authorization", "Bearer fedcba9876543210"), field("Authorization", "bearer 0123456789abcdef"),
		field("Authorization", "Basic x"), // for somebody else, perhaps a proxy
	} {
		if w := l.answerTo("GET", "/healthz", "", edit); w.Code != http.StatusOK {
			t.Errorf("%d", w.Code)
		}
	}
	for _, edit := range []func(*http.Request){
		field("X-API-Key", "0123456789abcdeF"), field("X-API-Key", "ann"), field("Authorization", "Bearer "), field("Authorization", "Bearer ann:0123456789abcdef"),
	} {
		w := l.answerTo("POST", "/mailboxes", "", edit)
		wantProblem(t, w, http.StatusUnauthorized, "key-unknown")
		if w.Header().Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
	}
	wantProblem(t, newLodge(t).answerTo("GET", "/healthz", "", field("X-API-Key", "x")), http.StatusUnauthorized, "key-unknown")
}

func TestWhoWaitsHasASlotOfHisOwn(t *testing.T) {
	s := newSlots(5, 2)
	a, b, holder := client{network: subscriber("192.0.2.1")}, client{network: subscriber("192.0.2.2")}, client{holder: "ann"}
	enter := func(c client) func() {
		t.Helper()
		leave, err := s.enter(c)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	refused := func(c client) {
		t.Helper()
		if _, err := s.enter(c); err == nil {
			t.Error("let in")
		}
	}
	leave := enter(a)
	enter(a)
	refused(a)
	enter(b)
	enter(holder)
	enter(client{}) // on loopback
	refused(b)
	refused(client{})
	leave()
	leave() // again, which has no effect
	if s.count() != 4 {
		t.Errorf("%d are taken", s.count())
	}
	enter(a)
	refused(a)
}

func TestEveryPublicAnswerHasTheHeadersThatKeepABrowserOut(t *testing.T) {
	l := newLodge(t)
	for _, path := range []string{"/mailboxes/x@temp.example.org", "/healthz", "/nothing", "/mailboxes/%ff", "/chat"} {
		h := l.answerTo("GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestPublicMetricsCountRoutesNotPathsAndNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) { o.Page = http.NotFoundHandler() })
		made := l.mailbox(t, "")
		l.page(t, "/mailboxes/"+made.Email+"/messages?wait=30s")
		l.answerTo("GET", "/made/up", "")
		l.answerTo("GET", "/mailboxes/made/up", "")
		families, err := l.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels := ""
				for _, p := range m.GetLabel() {
					labels += " " + p.GetValue()
				}
				switch f.GetName() {
				case "restante_http_requests_total":
					got = append(got, fmt.Sprintf("%s: %v", labels, m.GetCounter().GetValue()))
				case "restante_http_request_seconds":
					if m.GetHistogram().GetSampleSum() > 1 {
						t.Errorf("%s took %v", labels, m.GetHistogram().GetSampleSum())
					}
				}
			}
		}
		want := " GET /mailboxes/{email}/messages 200: 1| POST /mailboxes 201: 1| none 404: 1| page 404: 1"
		if strings.Join(got, "|") != want {
			t.Errorf("%s, want %s", strings.Join(got, "|"), want)
		}
	})
}

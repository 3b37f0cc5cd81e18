package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/internal/network"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/temporary"
	"restante/textman"
)

// A lodge is a public interface over a store in memory. Nothing is sent over a
// network, and every request comes from far away.
type lodge struct {
	handler   http.Handler
	stores    *mailboxtest.FaultyStores
	mailboxes *temporary.Mailboxes
	directory *mailbox.Directory
	registry  *prometheus.Registry
	log       *logged
	stopping  chan struct{}
	faults
}

// newLodge serves temp.example.org and temp.example.net until the test ends; edit may
// change the options first.
func newLodge(t testing.TB, edit ...func(*PublicOptions)) *lodge {
	t.Helper()
	l := &lodge{log: new(logged), registry: prometheus.NewRegistry(), stopping: make(chan struct{})}
	l.stores = mailboxtest.Faulty(mailboxtest.Memory(), l.faults.of)
	l.directory = &mailbox.Directory{
		Addresses:   l.stores.Addresses,
		Domains:     []string{"example.org"},
		TempDomains: []string{"temp.example.org", "temp.example.net"},
		TextDomain:  "text.example.org",
	}
	log := slog.New(slog.NewTextHandler(l.log, nil))
	deliveries := l.stores.Deliveries()
	deliveries.Announce = mailbox.NewAnnouncements(log)
	var err error
	l.mailboxes, err = temporary.New(temporary.Options{
		Directory: l.directory, Maildrops: l.stores.Maildrops, Contents: l.stores.Contents, Deliveries: deliveries, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	deliveries.Announce.Listen("temporary", l.mailboxes, nil)
	deliveries.Announce.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.mailboxes.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		deliveries.Announce.Stop()
	})
	texts, err := textman.New(textman.Options{
		Domain: "text.example.org", Maildrops: l.stores.Maildrops, Contents: l.stores.Contents, Deliveries: deliveries, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := PublicOptions{
		Mailboxes:  l.mailboxes,
		Chat:       texts,
		Ready:      func(context.Context) error { return errors.New("disk on fire") },
		Stopping:   l.stopping,
		Log:        log,
		Registerer: l.registry,
		Version:    "test",
	}
	for _, e := range edit {
		e(&o)
	}
	l.handler = Public(o)
	return l
}

// answerTo plays a request; edit may change it first.
func (l *lodge) answerTo(method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.1:1234"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w
}

// field sets a field of the header of a request.
func field(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// from says where a request comes from.
func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

// decode reads an answer, which has to have this status.
func decode[T any](t testing.TB, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if w.Code != status {
		t.Fatalf("%d, want %d: %s", w.Code, status, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

// mailbox makes a mailbox. The wish is the body of the request.
func (l *lodge) mailbox(t testing.TB, wish string) NewMailbox {
	t.Helper()
	return decode[NewMailbox](t, l.answerTo("POST", "/mailboxes", wish), http.StatusCreated)
}

// post puts a small message into a mailbox.
func (l *lodge) post(t testing.TB, email, subject, body string) Message {
	t.Helper()
	text, err := json.Marshal(draft{Sender: "alice@example.com", Subject: subject, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return decode[Message](t, l.answerTo("POST", "/mailboxes/"+email+"/messages", string(text), from("127.0.0.1:1")), http.StatusCreated)
}

// raw puts a whole message into a mailbox.
func (l *lodge) raw(t testing.TB, email, text string) Message {
	t.Helper()
	w := l.answerTo("POST", "/mailboxes/"+email+"/messages", text, field("Content-Type", "message/rfc822"))
	return decode[Message](t, w, http.StatusCreated)
}

func TestThePublicDescriptionIsTheGoldenFile(t *testing.T) {
	wantGolden(t, newSorting(t).answerTo("GET", "/openapi.json", ""), "testdata/public.openapi.json")
}

func TestAMailboxIsMadeReadAndRemoved(t *testing.T) {
	l := newLodge(t)
	w := l.answerTo("POST", "/mailboxes", "")
	made := decode[NewMailbox](t, w, http.StatusCreated)
	local, domain, _ := strings.Cut(made.Email, "@")
	if len(local) != 26 || domain != "temp.example.org" || len(made.Password) < 22 {
		t.Errorf("made %+v", made)
	}
	if life := made.Expires.Sub(made.Created); life != 15*time.Minute {
		t.Errorf("it lives for %s", life)
	}
	at := "/mailboxes/" + made.Email
	if got := w.Header().Get("Location"); got != at {
		t.Errorf("Location is %s", got)
	}
	l.post(t, made.Email, "one", "first")
	got := decode[Mailbox](t, l.answerTo("GET", at, ""), http.StatusOK)
	if want := (Mailbox{Email: made.Email, Created: made.Created, Expires: made.Expires, Messages: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w := l.answerTo("DELETE", at, ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, request := range []string{"GET " + at, "DELETE " + at, "GET " + at + "/messages", "GET " + at + "/events", "GET " + at + "/messages?wait=1s"} {
		method, path, _ := strings.Cut(request, " ")
		wantProblem(t, l.answerTo(method, path, ""), http.StatusNotFound, "mailbox-not-found")
	}
	w = l.answerTo("POST", at+"/messages", `{"sender":"a@example.com"}`)
	wantProblem(t, w, http.StatusNotFound, "mailbox-not-found")
}

func TestAMailboxHasWhatWasWishedFor(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, `{"local_part":"Fred","domain":"TEMP.example.net","ttl":60}`)
	if made.Email != "fred@temp.example.net" || made.Expires.Sub(made.Created) != time.Minute {
		t.Errorf("made %+v", made)
	}
	wantProblem(t, l.answerTo("POST", "/mailboxes", `{"local_part":"fred","domain":"temp.example.net"}`), http.StatusConflict, "mailbox-exists")
	if other := l.mailbox(t, `{"local_part":"fred"}`); other.Email != "fred@temp.example.org" {
		t.Errorf("made %+v", other)
	}
}

func TestAMailboxThatIsMadeAgainShowsNoOldMail(t *testing.T) {
	l := newLodge(t)
	first := l.mailbox(t, `{"local_part":"fred"}`)
	old := l.post(t, first.Email, "old", "old")
	l.answerTo("DELETE", "/mailboxes/"+first.Email, "")
	second := l.mailbox(t, `{"local_part":"fred"}`)
	if second.Password == first.Password {
		t.Error("the password is the old one")
	}
	page := decode[Listing](t, l.answerTo("GET", "/mailboxes/"+second.Email+"/messages", ""), http.StatusOK)
	if len(page.Data) != 0 {
		t.Errorf("it shows %+v", page.Data)
	}
	wantProblem(t, l.answerTo("GET", "/mailboxes/"+second.Email+"/messages/"+old.ID, ""), http.StatusNotFound, "message-not-found")
}

func TestOlderClientsGetTheRepresentationThatTheyExpect(t *testing.T) {
	l := newLodge(t)
	for _, c := range []struct{ query, prefer, applied string }{
		{"?compat=1", "", ""},
		{"", "return=representation", "return=representation"},
		{"", `respond-async, Return="Representation"; foo=1`, "return=representation"},
	} {
		made := l.mailbox(t, "")
		w := l.answerTo("DELETE", "/mailboxes/"+made.Email+c.query, "", field("Prefer", c.prefer))
		if got := decode[Mailbox](t, w, http.StatusOK); got.Email != made.Email {
			t.Errorf("%+v: %+v", c, got)
		}
		if got := w.Header().Get("Preference-Applied"); got != c.applied {
			t.Errorf("%+v: Preference-Applied is %q", c, got)
		}
	}
	made := l.mailbox(t, "")
	for prefer, status := range map[string]int{"return=minimal": http.StatusNoContent, "": http.StatusOK, "return=maximal": http.StatusOK} {
		m := l.post(t, made.Email, "one", "one")
		w := l.answerTo("DELETE", "/mailboxes/"+made.Email+"/messages/"+m.ID, "", field("Prefer", prefer))
		if w.Code != status {
			t.Errorf("%q: %d %s", prefer, w.Code, w.Body)
		}
		if want := `{"id":"` + m.ID + `","success":true}`; status == http.StatusOK && strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
	}
}

func TestEveryPathIsThereUnderV1AndLinksStayThere(t *testing.T) {
	l := newLodge(t)
	w := l.answerTo("POST", "/v1/mailboxes", "")
	made := decode[NewMailbox](t, w, http.StatusCreated)
	at := "/v1/mailboxes/" + made.Email
	if w.Header().Get("Location") != at {
		t.Errorf("Location is %s", w.Header().Get("Location"))
	}
	w = l.answerTo("POST", at+"/messages", `{"sender":"a@example.com","body":"one"}`)
	m := decode[Message](t, w, http.StatusCreated)
	if want := at + "/messages/" + m.ID; w.Header().Get("Location") != want || m.Source != want+"/raw" {
		t.Errorf("Location is %s, the source %s", w.Header().Get("Location"), m.Source)
	}
	l.post(t, made.Email, "two", "two")
	page := decode[Listing](t, l.answerTo("GET", at+"/messages?limit=1", ""), http.StatusOK)
	if !strings.HasPrefix(page.Links.Next, at+"/messages?") {
		t.Errorf("next is %s", page.Links.Next)
	}
	for _, path := range []string{"/v1/openapi.json", "/v1/healthz", "/v1" + page.Links.Next[3:]} {
		if w := l.answerTo("GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/v1", "/v1/", "/v1/v1/healthz", "/v2/healthz", "/v1healthz"} {
		wantProblem(t, l.answerTo("GET", path, ""), http.StatusNotFound, "no-such-resource")
	}
}

func TestMethodsThatThereAreNotAndOptions(t *testing.T) {
	l := newLodge(t)
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email
	id := l.post(t, made.Email, "one", "one").ID
	for path, allow := range map[string]string{
		"/mailboxes":                    "POST",
		at:                              "DELETE, GET, HEAD",
		at + "/messages":                "GET, HEAD, POST",
		at + "/messages/" + id:          "DELETE, GET, HEAD",
		at + "/messages/" + id + "/raw": "GET, HEAD",
		at + "/messages/" + id + "/attachments/1": "GET, HEAD",
		at + "/events":  "GET, HEAD",
		"/openapi.json": "GET, HEAD",
		"/healthz":      "GET, HEAD",
	} {
		for _, prefix := range []string{"", "/v1"} {
			w := l.answerTo("PATCH", prefix+path, "")
			wantProblem(t, w, http.StatusMethodNotAllowed, "method-not-allowed")
			if got := w.Header().Get("Allow"); got != allow {
				t.Errorf("PATCH %s: Allow is %q, want %q", path, got, allow)
			}
			w = l.answerTo("OPTIONS", prefix+path, "")
			if got := w.Header().Get("Allow"); w.Code != http.StatusNoContent || got != allow {
				t.Errorf("OPTIONS %s: %d, Allow is %q, want %q", path, w.Code, got, allow)
			}
		}
	}
	for _, path := range []string{"/", "/nothing", at + "/mail", "/mailboxes/"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			wantProblem(t, l.answerTo(method, path, ""), http.StatusNotFound, "no-such-resource")
		}
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	l := newLodge(t)
	server := httptest.NewServer(l.handler)
	defer server.Close()
	made := l.mailbox(t, "")
	at := "/mailboxes/" + made.Email
	id := l.post(t, made.Email, "one", "one").ID
	for _, path := range []string{at, at + "/messages", at + "/messages/" + id, at + "/messages/" + id + "/raw", at + "/events", "/openapi.json", "/healthz"} {
		answer, err := http.Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK || len(body) > 0 || answer.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s, %d octets, %s", path, answer.Status, len(body), answer.Header)
		}
		answer.Body.Close()
	}
}

func TestThePageGetsWhatIsNotTheInterface(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "its own")
		io.WriteString(w, "page "+r.URL.Path)
	})
	l := newLodge(t, func(o *PublicOptions) { o.Page = page })
	for _, path := range []string{"/", "/assets/page.js", "/mailboxesandmore"} {
		if w := l.answerTo("GET", path, ""); w.Body.String() != "page "+path || w.Header().Get("Content-Security-Policy") != "its own" {
			t.Errorf("%s: %d %s %s", path, w.Code, w.Header(), w.Body)
		}
		w := l.answerTo("DELETE", path, "")
		wantProblem(t, w, http.StatusMethodNotAllowed, "method-not-allowed")
		if got := w.Header().Get("Allow"); got != "GET, HEAD" {
			t.Errorf("DELETE %s: Allow is %q", path, got)
		}
	}
	for _, path := range []string{"/mailboxes/", "/mailboxes/a@temp.example.org/x", "/chat/x", "/v1/", "/v1/x"} {
		wantProblem(t, l.answerTo("GET", path, ""), http.StatusNotFound, "no-such-resource")
	}
}

func TestAnybodyMayAskForHealthAndLearnsNothing(t *testing.T) {
	l := newLodge(t)
	if w := l.answerTo("GET", "/healthz", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := l.answerTo("GET", "/readyz", "")
	wantProblem(t, w, http.StatusServiceUnavailable, "not-ready")
	if strings.Contains(w.Body.String(), "fire") {
		t.Errorf("anybody reads %s", w.Body)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/accounts"} {
		wantProblem(t, l.answerTo("GET", path, ""), http.StatusNotFound, "no-such-resource")
	}
}

func TestOtherOriginsAreLetInOnlyIfTheyAreNamed(t *testing.T) {
	preflight := func(r *http.Request) {
		r.Header.Set("Origin", "https://a.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
	}
	t.Run("none", func(t *testing.T) {
		w := newLodge(t).answerTo("OPTIONS", "/mailboxes", "", preflight)
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s", w.Header())
			}
		}
	})
	t.Run("some", func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) { o.Origins = []string{"https://a.example", "https://b.example"} })
		w := l.answerTo("OPTIONS", "/mailboxes", "", preflight)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":  "https://a.example",
			"Access-Control-Allow-Methods": "POST",
			"Access-Control-Allow-Headers": corsRequestHeaders,
			"Vary":                         "Origin",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		w = l.answerTo("GET", "/mailboxes/x@temp.example.org", "", field("Origin", "https://b.example"))
		if w.Header().Get("Access-Control-Allow-Origin") != "https://b.example" || w.Header().Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("an error: %s", w.Header())
		}
		for _, origin := range []string{"https://c.example", "https://a.example.evil", "null"} {
			w = l.answerTo("GET", "/healthz", "", field("Origin", origin))
			if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Vary") != "Origin" {
				t.Errorf("%s: %s", origin, w.Header())
			}
		}
	})
	t.Run("all", func(t *testing.T) {
		l := newLodge(t, func(o *PublicOptions) { o.Origins = []string{"*"} })
		w := l.answerTo("POST", "/mailboxes", "", field("Origin", "null"))
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s", w.Header())
		}
	})
}

// quiet is a log that nobody reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// subscriber is the network of an address.
func subscriber(addr string) netip.Prefix { return network.Subscriber(netip.MustParseAddr(addr)) }

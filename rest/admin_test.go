package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

var update = flag.Bool("update", false, "write golden files")

const testToken = "open sesame"

// bcryptHash is of "secret", at a cost that takes no time.
const bcryptHash = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

// A site is an admin interface over a store in memory, with a client.
type site struct {
	*Client
	stores    *mailboxtest.FaultyStores
	directory *mailbox.Directory
	handler   http.Handler
	log       *logged
	faults

	mu    sync.Mutex
	ready error
}

// faults make calls to a store fail.
type faults struct {
	mu    sync.Mutex
	fault mailboxtest.Fault
	calls string // how the names of those that fail begin; empty: none
}

// breakCalls makes calls fail whose name begins so; "" mends them.
func (f *faults) breakCalls(prefix string, fault mailboxtest.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.fault = prefix, fault
}

// of is the fault of a call.
func (f *faults) of(_ int, name string) mailboxtest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == "" || !strings.HasPrefix(name, f.calls) {
		return nil
	}
	return f.fault
}

// newSite serves example.org and example.net over HTTP.
func newSite(t *testing.T) *site {
	t.Helper()
	s := newHandler()
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.Client = &Client{Base: server.URL, Token: testToken, HTTP: server.Client()}
	return s
}

// newHandler is a site without a network.
func newHandler() *site {
	s := &site{log: new(logged)}
	s.stores = mailboxtest.Faulty(mailboxtest.Memory(), s.faults.of)
	s.directory = &mailbox.Directory{Addresses: s.stores.Addresses, Domains: []string{"example.org", "example.net"}, TempDomains: []string{"temp.example.org"}}
	registry := prometheus.NewRegistry()
	s.handler = Admin(AdminOptions{
		Directory:  s.directory,
		Maildrops:  s.stores.Maildrops,
		Deliveries: s.stores.Deliveries(),
		Hasher:     auth.NewHasher(auth.HasherOptions{Registerer: registry}),
		Token:      testToken,
		Gatherer:   registry,
		Registerer: registry,
		Ready: func(context.Context) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.ready
		},
		Log:     slog.New(slog.NewTextHandler(s.log, nil)),
		Version: "test",
	})
	return s
}

// A logged is a log that a test can read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// answerTo plays a request with the token; edit may change it first.
func (s *site) answerTo(method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// wantProblem fails the test unless the answer is a problem document with this
// status and kind.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, kind string) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	if got, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type")); got != problemType {
		t.Errorf("content type is %q", got)
	}
	if kind != "" {
		kind = "urn:problem:" + kind
	}
	if w.Code != status || p.Status != status || p.Type != kind {
		t.Errorf("%d %s, want %d %s: %s", w.Code, p.Type, status, kind, w.Body)
	}
	if p.Title != http.StatusText(status) {
		t.Errorf("title is %q", p.Title)
	}
	return p
}

func TestTheDescriptionIsTheGoldenFile(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		wantGolden(t, d.answerTo("GET", "/openapi.json", ""), "testdata/admin.openapi.json")
	})
}

// wantGolden compares a description with the file that holds it.
func wantGolden(t *testing.T, w *httptest.ResponseRecorder, golden string) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the description is not %s any more; go test ./rest -run Golden -update writes it", golden)
	}
}

func TestNobodyIsLetInWithoutTheToken(t *testing.T) {
	s := newHandler()
	for _, request := range []string{
		"GET /accounts", "POST /accounts", "GET /accounts/a@example.org", "PUT /accounts/a@example.org/password",
		"DELETE /accounts/a@example.org", "POST /accounts/import", "PUT /aliases/a@example.org", "DELETE /aliases/a@example.org",
		"GET /metrics", "GET /openapi.json", "GET /", "GET /nothing", "PATCH /accounts", "GET /healthz/", "GET //healthz",
	} {
		method, path, _ := strings.Cut(request, " ")
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer open", "Bearer open sesame!", "Basic open sesame", "open sesame"} {
			w := s.answerTo(method, path, "", func(r *http.Request) { r.Header.Set("Authorization", header) })
			wantProblem(t, w, http.StatusUnauthorized, "token-required")
			if w.Header().Get("WWW-Authenticate") != `Bearer realm="restante admin"` {
				t.Errorf("WWW-Authenticate is %q", w.Header().Get("WWW-Authenticate"))
			}
		}
	}
	if w := s.answerTo("GET", "/accounts", "", func(r *http.Request) { r.Header.Set("Authorization", "bearer  "+testToken) }); w.Code != http.StatusOK {
		t.Errorf("a scheme in lower case: %d (RFC 9110, section 11.1)", w.Code)
	}
}

func TestAnInterfaceWithoutATokenIsNotMade(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made")
		}
	}()
	Admin(AdminOptions{Log: slog.New(slog.DiscardHandler)})
}

func TestEveryAnswerHasTheHeadersThatKeepABrowserOut(t *testing.T) {
	s := newHandler()
	for _, path := range []string{"/accounts", "/healthz", "/nothing", "/metrics", "/accounts/%ff"} {
		h := s.answerTo("GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	s := newHandler()
	for _, path := range []string{"/", "/nothing", "/docs", "/schemas/Account.json", "/openapi.yaml", "/accounts/", "/accounts/a@example.org/mail"} {
		wantProblem(t, s.answerTo("GET", path, ""), http.StatusNotFound, "no-such-resource")
	}
	for request, allow := range map[string]string{
		"PATCH /accounts":                      "GET, HEAD, POST",
		"POST /accounts/a@example.org":         "DELETE, GET, HEAD",
		"GET /accounts/a@example.org/password": "PUT",
		"POST /healthz":                        "GET, HEAD",
		"GET /aliases/@example.org":            "DELETE, PUT",
		"OPTIONS /metrics":                     "GET, HEAD",
	} {
		method, path, _ := strings.Cut(request, " ")
		w := s.answerTo(method, path, "")
		wantProblem(t, w, http.StatusMethodNotAllowed, "method-not-allowed")
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow is %q, want %q", request, got, allow)
		}
	}
}

func TestARequestThatIsNoneIsAProblem(t *testing.T) {
	s := newHandler()
	add := func(body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
		return s.answerTo("POST", "/accounts", body, edit...)
	}
	wantProblem(t, add(""), http.StatusBadRequest, "")
	wantProblem(t, add("{"), http.StatusBadRequest, "")
	wantProblem(t, add("\x00\xff"), http.StatusBadRequest, "")
	wantProblem(t, add("null"), http.StatusUnprocessableEntity, "")
	wantProblem(t, add("[]"), http.StatusUnprocessableEntity, "")
	wantProblem(t, add("{}"), http.StatusUnprocessableEntity, "")
	wantProblem(t, add(`{"address":"a@example.org","pasword":"x"}`), http.StatusUnprocessableEntity, "")
	wantProblem(t, add(`{"address":7,"password":"x"}`), http.StatusUnprocessableEntity, "")
	wantProblem(t, add(`x=y`, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }),
		http.StatusUnsupportedMediaType, "")
	wantProblem(t, add(strings.Repeat(" ", maxRequest+1)), http.StatusRequestEntityTooLarge, "request-too-large")
	wantProblem(t, add("{}", func(r *http.Request) { r.Body = io.NopCloser(brokenReader{}) }), http.StatusBadRequest, "malformed-request")
	wantProblem(t, add("{}", func(r *http.Request) { r.Body = io.NopCloser(slowReader{}) }), http.StatusRequestTimeout, "request-timeout")
	wantProblem(t, s.answerTo("GET", "/accounts?kin=alias", ""), http.StatusUnprocessableEntity, "")
	wantProblem(t, s.answerTo("GET", "/accounts?kind=vacant", ""), http.StatusUnprocessableEntity, "")
	wantProblem(t, s.answerTo("GET", "/accounts?domain=..", ""), http.StatusUnprocessableEntity, "malformed-address")
	wantProblem(t, s.answerTo("GET", "/accounts?domain=example.com", ""), http.StatusUnprocessableEntity, "domain-not-local")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type slowReader struct{}

func (slowReader) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestAnAnswerDoesNotRepeatThePassword(t *testing.T) {
	s := newHandler()
	for _, body := range []string{
		`{"address":"a@example.org","password":["hunter2"]}`,
		`{"address":"a@example.org","password":"` + strings.Repeat("hunter2", 100) + `"}`,
		`{"address":"a@example.org","passwd":"hunter2"}`,
		`{"address":"a@example.org","hash":"hunter2"}`,
		`{"address":"a@example.org","password":"hunter2\u0000"}`,
	} {
		w := s.answerTo("POST", "/accounts", body)
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", body, w.Code)
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s is answered %s", body, w.Body)
		}
	}
	if strings.Contains(s.log.String(), "hunter2") {
		t.Errorf("the log has it: %s", s.log)
	}
}

func TestAStoreThatFailsIsAProblemThatTellsNoMoreThanItsID(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		kind   string
	}{
		"down":            {mailbox.ErrUnavailable, http.StatusServiceUnavailable, "storage-unavailable"},
		"slow":            {context.DeadlineExceeded, http.StatusServiceUnavailable, "storage-unavailable"},
		"full":            {mailbox.ErrFull, http.StatusInsufficientStorage, "storage-full"},
		"nobody knows":    {errors.New("secret driver text"), http.StatusInternalServerError, "internal-error"},
		"nobody knows it": {fmt.Errorf("secret driver text: %w", io.EOF), http.StatusInternalServerError, "internal-error"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHandler()
			s.breakCalls("Addresses.", func(context.Context, mailboxtest.Call) error { return fmt.Errorf("secret driver text: %w", c.err) })
			for _, request := range [][3]string{
				{"GET", "/accounts", ""},
				{"POST", "/accounts", `{"address":"a@example.org","hash":"` + bcryptHash + `"}`},
				{"GET", "/accounts/a@example.org", ""},
				{"PUT", "/accounts/a@example.org/password", `{"password":"x"}`},
				{"DELETE", "/accounts/a@example.org", ""},
				{"PUT", "/aliases/a@example.org", `{"targets":["b@example.org"]}`},
				{"DELETE", "/aliases/a@example.org", ""},
			} {
				w := s.answerTo(request[0], request[1], request[2])
				p := wantProblem(t, w, c.status, c.kind)
				if strings.Contains(w.Body.String(), "driver") {
					t.Errorf("the client reads %s", w.Body)
				}
				_, id, _ := strings.Cut(strings.TrimSuffix(p.Detail, ")"), "(")
				if len(id) != 10 || !strings.Contains(s.log.String(), "session="+id) || !strings.Contains(s.log.String(), "secret driver text") {
					t.Errorf("%s: detail %q cannot be found in the log: %s", request[1], p.Detail, s.log)
				}
				if got := w.Header().Get("Retry-After"); (got != "") != (c.status == http.StatusServiceUnavailable) {
					t.Errorf("Retry-After is %q", got)
				}
			}
		})
	}
}

func TestAPanicIsAnAnswerAndALineOfTheLog(t *testing.T) {
	s := newHandler()
	s.breakCalls("Addresses.", func(context.Context, mailboxtest.Call) error { panic("out of cheese") })
	p := wantProblem(t, s.answerTo("GET", "/accounts/a@example.org", ""), http.StatusInternalServerError, "internal-error")
	if strings.Contains(p.Detail, "cheese") || !strings.Contains(s.log.String(), "out of cheese") {
		t.Errorf("detail %q, log %s", p.Detail, s.log)
	}
}

func TestHealthNeedsNoTokenAndNoStore(t *testing.T) {
	s := newHandler()
	s.ready = errors.New("no")
	for _, method := range []string{"GET", "HEAD"} {
		if w := s.answerTo(method, "/healthz", "", anonymous); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
}

func anonymous(r *http.Request) { r.Header.Del("Authorization") }

func TestReadinessFollowsTheStoreAndKeepsItsReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var fault error
		log := new(logged)
		r := readiness{log: slog.New(slog.NewTextHandler(log, nil)), ask: func(ctx context.Context) error {
			asked++
			if fault == context.DeadlineExceeded {
				<-ctx.Done()
				return ctx.Err()
			}
			return fault
		}}
		for step, c := range []struct {
			fault error
			ready bool
			log   string
		}{
			{nil, true, ""},
			{errors.New("disk on fire"), false, "disk on fire"},
			{errors.New("disk still on fire"), false, ""},
			{nil, true, "ready again"},
			{context.DeadlineExceeded, false, "context deadline exceeded"},
		} {
			before := len(log.String())
			fault = c.fault
			for range 100 { // within a moment
				if r.now(t.Context()) != c.ready {
					t.Fatalf("step %d: ready is %t", step, !c.ready)
				}
			}
			added := log.String()[before:]
			if (added == "") != (c.log == "") || !strings.Contains(added, c.log) {
				t.Errorf("step %d: the log says %q, want %q", step, added, c.log)
			}
			if asked != step+1 {
				t.Errorf("step %d: the store was asked %d times", step, asked)
			}
			time.Sleep(readyFor)
		}
	})
	t.Run("over HTTP", func(t *testing.T) {
		s := newHandler()
		s.ready = errors.New("disk on fire")
		w := s.answerTo("GET", "/readyz", "", anonymous)
		wantProblem(t, w, http.StatusServiceUnavailable, "not-ready")
		if strings.Contains(w.Body.String(), "fire") {
			t.Errorf("anybody reads %s", w.Body)
		}
		if w := newHandler().answerTo("GET", "/readyz", "", anonymous); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestMetricsAreServedAndCountRoutesNotPaths(t *testing.T) {
	s := newHandler()
	s.answerTo("GET", "/accounts/nobody@example.org", "")
	s.answerTo("GET", "/made/up", "")
	s.answerTo("GET", "/accounts", "", anonymous)
	w := s.answerTo("GET", "/metrics", "")
	if w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
	for _, line := range []string{
		`restante_rest_requests_total{route="GET /accounts/{address}",status="404"} 1`,
		`restante_rest_requests_total{route="none",status="404"} 1`,
		`restante_rest_requests_total{route="GET /accounts",status="401"} 1`,
		`restante_auth_hash_seconds_count 0`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no line %s in\n%s", line, w.Body)
		}
	}
}

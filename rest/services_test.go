package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/relaytest"
)

const enrolToken = "who has this may register"

// A post is a next hop that does as it is told.
type post struct {
	mu     sync.Mutex
	result relay.Outcome
	hold   chan struct{} // attempts wait until it is closed; nil: they do not
	sent   []string      // services, one for each attempt
}

func (p *post) set(change func(*post)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// A postman is the provider of one service.
type postman struct {
	*post
	name string
}

func (p postman) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	p.mu.Lock()
	p.sent = append(p.sent, p.name)
	result, hold := p.result, p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	outcomes := make([]relay.Outcome, len(m.Recipients))
	for i := range outcomes {
		outcomes[i] = result
	}
	return outcomes
}

func (postman) Probe(context.Context) relay.Outcome { return relay.Outcome{} }
func (postman) Limits() relay.Limits                { return relay.Limits{} }
func (postman) Close() error                        { return nil }

// silence tells nobody.
type silence struct{}

func (silence) Notify(context.Context, relay.Notice) error { return nil }

// A depot is an admin interface over a relay in memory and in virtual time. One service,
// fixed, is in the configuration.
type depot struct {
	*Client // by admin
	t       *testing.T
	handler http.Handler
	pool    *pool.Pool
	node    *relay.Node
	post    *post
	journal *relaytest.Memory
	log     *logged
	token   string // that requests bear

	suppressed relay.Suppressions
	stop       chan struct{}
}

// inDepot runs a test in one that has found out that its service works.
func inDepot(t *testing.T, test func(t *testing.T, d *depot), change ...func(*pool.Options)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, change...)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		test(t, d)
	})
}

func newDepot(t *testing.T, change ...func(*pool.Options)) *depot {
	d := &depot{t: t, post: new(post), journal: relaytest.NewMemory(), log: new(logged), token: testToken, stop: make(chan struct{}), suppressed: relay.NewSuppressions()}
	log := slog.New(slog.NewTextHandler(d.log, nil))
	o := pool.Options{
		Static:     []pool.Document{{Name: "fixed", Kind: "smtp"}},
		Enrolments: []pool.Enrolment{{Digest: pool.Digest(enrolToken), Names: "a*"}},
		Open:       func(s pool.Document) (relay.Provider, error) { return postman{d.post, s.Name}, nil },
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, fmt.Errorf("secret text of the resolver about %s", host)
		},
		Log: log,
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if d.pool, err = pool.New(o); err != nil {
		t.Fatal(err)
	}
	d.run(d.pool.Run)
	return d.with(nil, true)
}

// run runs something until the test ends.
func (d *depot) run(what func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { what(ctx) })
	d.t.Cleanup(func() { cancel(); running.Wait() })
}

// with is the depot with another node, which others are beside if there are lanes.
func (d *depot) with(lanes relay.Lanes, run bool) *depot {
	d.t.Helper()
	other := *d
	log := slog.New(slog.NewTextHandler(d.log, nil))
	var err error
	other.node, err = relay.NewNode(relay.NodeOptions{Queue: relay.Options{
		Journal: d.journal, Contents: mailboxtest.Memory().Contents, Pool: d.pool, IDs: new(mailbox.MessageIDs), Notifier: silence{}, Log: log,
	}, Name: "here", Lanes: lanes})
	if err != nil {
		d.t.Fatal(err)
	}
	if run {
		d.run(other.node.Run)
		synctest.Wait()
	}
	other.handler = Admin(AdminOptions{
		Token: testToken, Log: log, Hasher: auth.NewHasher(auth.HasherOptions{}), Version: "test",
		Relay: &RelayOptions{Pool: d.pool, Node: other.node, Suppressions: d.suppressed, Stopping: d.stop},
	})
	other.Client = &Client{Base: "http://restante.example", Token: testToken, HTTP: &http.Client{Transport: &other}}
	return &other
}

// RoundTrip lets a client ask without a network.
func (d *depot) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = r.URL.RequestURI()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// as is the depot for who has another token.
func (d *depot) as(token string) *depot {
	other := *d
	other.token = token
	return &other
}

// answerTo plays a request.
func (d *depot) answerTo(method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	synctest.Wait()
	return w
}

func document(name string) string {
	return `{"name":"` + name + `","kind":"smtp","endpoint":"smtp://127.0.0.1:2526","weight":50,"tags":["rack 1"],"destinations":true,"reassembles":true}`
}

// beatOf is the body of a beat.
func beatOf(epoch string, more string) string { return `{"epoch":"` + epoch + `"` + more + `}` }

func TestAServiceRegistersBeatsAndLeaves(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		w := d.as(enrolToken).answerTo("POST", servicesPath, document("a1"))
		r := decode[Registered](t, w, http.StatusCreated)
		if w.Header().Get("Location") != "/v1/services/a1" || r.Name != "a1" || r.Token == "" || r.State != "probing" {
			t.Errorf("%s %+v", w.Header(), r)
		}
		if h := r.Heartbeat; h.URL != "/v1/services/a1/heartbeat" || h.Interval != 1000 || h.TTL != 3000 {
			t.Errorf("%+v", h)
		}
		if strings.Contains(d.log.String(), r.Token) || strings.Contains(d.log.String(), enrolToken) {
			t.Error("a token stands in the log")
		}
		agent := d.as(r.Token)
		for seq := range 2 {
			b := decode[Beaten](t, agent.answerTo("PUT", r.Heartbeat.URL, beatOf(r.Epoch, fmt.Sprintf(`,"seq":%d,"capacity":3,"note":"fine","later":1`, seq+1))), http.StatusOK)
			if want := []string{"probing", "up"}[seq]; b.State != want || b.Epoch != r.Epoch || b.Next != 1000 || b.Drain {
				t.Errorf("%+v, want %s", b, want)
			}
			time.Sleep(time.Second)
		}
		w = d.answerTo("GET", "/v1/services/a1", "")
		s := decode[Service](t, w, http.StatusOK)
		if s.State != "up" || s.Static || s.Note != "fine" || s.Room != 3 || s.LastBeat == nil || *s.LastBeat != 1000 || s.Epoch != r.Epoch || s.Document.Weight != 50 || !s.Document.Destinations || !s.Document.Reassembles {
			t.Errorf("%+v", s)
		}
		if w.Header().Get("ETag") != fmt.Sprintf(`"%d"`, s.Revision) {
			t.Errorf("ETag %s of revision %d", w.Header().Get("ETag"), s.Revision)
		}

		wantProblem(t, agent.answerTo("PUT", r.Heartbeat.URL, `{"seq":9}`), http.StatusUnprocessableEntity, "invalid-service")
		wantProblem(t, agent.answerTo("PUT", "/v1/services/a2/heartbeat", beatOf(r.Epoch, "")), http.StatusNotFound, "unregistered")
		wantProblem(t, agent.answerTo("DELETE", "/v1/services/fixed", ""), http.StatusNotFound, "unregistered")
		wantProblem(t, d.as("made up").answerTo("DELETE", "/v1/services/a1", ""), http.StatusUnauthorized, "token-required")
		wantProblem(t, agent.answerTo("DELETE", "/v1/services/a1?epoch=x", ""), http.StatusUnprocessableEntity, "invalid-service")
		if w := agent.answerTo("DELETE", "/v1/services/a1?epoch="+r.Epoch, ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		wantProblem(t, d.answerTo("GET", "/v1/services/a1", ""), http.StatusNotFound, "service-not-found")
		wantProblem(t, agent.answerTo("DELETE", "/v1/services/a1", ""), http.StatusNotFound, "service-not-found")
	})
}

func TestANewerInstanceFencesTheOneBefore(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		first := decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1")), http.StatusCreated)
		elsewhere := strings.Replace(document("a1"), "2526", "2527", 1)
		wantProblem(t, d.as(enrolToken).answerTo("POST", servicesPath, elsewhere), http.StatusConflict, "name-in-use")
		second := decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1")), http.StatusCreated)
		if first.Epoch == second.Epoch {
			t.Error("both have the same epoch")
		}
		wantProblem(t, d.as(first.Token).answerTo("PUT", first.Heartbeat.URL, beatOf(first.Epoch, "")), http.StatusConflict, "stale-epoch")
		wantProblem(t, d.as(first.Token).answerTo("DELETE", "/v1/services/a1?epoch="+first.Epoch, ""), http.StatusConflict, "stale-epoch")
		if w := d.as(second.Token).answerTo("DELETE", "/v1/services/a1", ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestPutRegistersOrBeats(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		agent, body := d.as(enrolToken), document("a1")
		w := agent.answerTo("PUT", "/v1/services/a1", body)
		if r := decode[Registered](t, w, http.StatusCreated); w.Header().Get("Location") == "" || r.Token == "" {
			t.Errorf("%s %+v", w.Header(), r)
		}
		time.Sleep(time.Second)
		w = agent.answerTo("PUT", "/v1/services/a1", strings.Replace(body, "{", `{"beat":{"note":"again"},`, 1))
		if r := decode[Registered](t, w, http.StatusOK); w.Header().Get("Location") != "" || r.Token != "" || r.State != "up" {
			t.Errorf("%s %+v", w.Header(), r)
		}
		if s := decode[Service](t, d.answerTo("GET", "/v1/services/a1", ""), http.StatusOK); s.Note != "again" {
			t.Errorf("%+v", s)
		}
		wantProblem(t, agent.answerTo("PUT", "/v1/services/a2", body), http.StatusUnprocessableEntity, "invalid-service")
	})
}

func TestWhatMayNotRegisterIsToldWhy(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		agent := d.as(enrolToken)
		wantProblem(t, d.as("made up").answerTo("POST", servicesPath, document("a1")), http.StatusUnauthorized, "token-required")
		wantProblem(t, agent.answerTo("POST", servicesPath, document("b1")), http.StatusForbidden, "not-in-scope")
		wantProblem(t, agent.answerTo("POST", servicesPath, document("a 1")), http.StatusUnprocessableEntity, "invalid-service")
		wantProblem(t, agent.answerTo("POST", servicesPath, `{"name":"a1"}`), http.StatusUnprocessableEntity, "")
		wantProblem(t, agent.answerTo("POST", servicesPath, `{`), http.StatusBadRequest, "")
		for _, host := range []string{"192.0.2.1", "agent.example"} {
			body := strings.Replace(document("a1"), "127.0.0.1", host, 1)
			w := agent.answerTo("POST", servicesPath, body)
			wantProblem(t, w, http.StatusForbidden, "endpoint-forbidden")
			if strings.Contains(w.Body.String(), "resolver") {
				t.Errorf("the client reads %s", w.Body)
			}
		}
		wantProblem(t, d.answerTo("POST", servicesPath, document("fixed")), http.StatusConflict, "name-in-use")
		decode[Registered](t, d.answerTo("POST", servicesPath, document("b1")), http.StatusCreated) // the operator may
		wantProblem(t, d.answerTo("POST", servicesPath, document("b2")), http.StatusInsufficientStorage, "pool-full")
	}, func(o *pool.Options) { o.MaxServices = 2 })
}

func TestAgentsMayNothingElse(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		r := decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1")), http.StatusCreated)
		for _, token := range []string{enrolToken, r.Token} {
			for _, request := range []string{
				"GET /v1/services", "GET /v1/services/a1", "PATCH /v1/services/a1", "GET /v1/services/events", "POST /v1/services/a1/drain",
				"GET /v1/enrolments", "POST /v1/enrolments", "DELETE /v1/enrolments/x", "GET /v1/queue", "GET /v1/queue/stats",
				"POST /v1/queue/x/0/retry", "POST /v1/adoptions", "GET /accounts", "GET /metrics", "PUT /v1/services/", "POST //v1/services", "PUT /v1/services/a1/heartbeat/",
			} {
				method, path, _ := strings.Cut(request, " ")
				wantProblem(t, d.as(token).answerTo(method, path, ""), http.StatusUnauthorized, "token-required")
			}
		}
		wantProblem(t, d.answerTo("POST", servicesPath, document("a1"), anonymous), http.StatusUnauthorized, "token-required")
	})
}

func TestTooManyWrongTokensFromANetworkAreNotLookedAt(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		guess := func(addr string) *httptest.ResponseRecorder {
			return d.as("a guess").answerTo("POST", servicesPath, document("a1"), from(addr))
		}
		for range wrongTokens {
			wantProblem(t, guess("192.0.2.1:1"), http.StatusUnauthorized, "token-required")
		}
		w := guess("192.0.2.1:2")
		wantProblem(t, w, http.StatusTooManyRequests, "too-many-tokens")
		if w.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
		}
		wantProblem(t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1"), from("192.0.2.1:3")), http.StatusTooManyRequests, "too-many-tokens")
		decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1"), from("192.0.2.2:1")), http.StatusCreated)
		wantProblem(t, d.as("a guess").answerTo("GET", servicesPath, "", from("192.0.2.1:3")), http.StatusTooManyRequests, "too-many-tokens")
		for range wrongTokens {
			wantProblem(t, d.as("a guess").answerTo("GET", servicesPath, "", from("192.0.2.3:1")), http.StatusUnauthorized, "token-required")
		}
		wantProblem(t, d.as("a guess").answerTo("GET", servicesPath, "", from("192.0.2.3:2")), http.StatusTooManyRequests, "too-many-tokens")
		if w := d.answerTo("GET", servicesPath, "", from("192.0.2.1:4")); w.Code != http.StatusOK {
			t.Errorf("the operator: %d", w.Code)
		}
		time.Sleep(time.Second)
		decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1"), from("192.0.2.1:5")), http.StatusCreated)
	})
}

func TestAnOperatorChangesAServiceThatNobodyElseChanged(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		w := d.answerTo("GET", "/v1/services/fixed", "")
		tag := w.Header().Get("ETag")
		patch := func(body, match string) *httptest.ResponseRecorder {
			return d.answerTo("PATCH", "/v1/services/fixed", body, field("If-Match", match))
		}
		w = patch(`{"weight":7,"senders":["EXAMPLE.org"]}`, tag)
		s := decode[Service](t, w, http.StatusOK)
		if s.Document.Weight != 7 || len(s.Document.Senders) != 1 || s.Document.Senders[0] != "example.org" || w.Header().Get("ETag") == tag {
			t.Errorf("%+v %s", s, w.Header())
		}
		wantProblem(t, patch(`{"weight":8}`, tag), http.StatusPreconditionFailed, "changed-meanwhile")
		wantProblem(t, patch(`{"weight":8}`, "x"), http.StatusPreconditionFailed, "changed-meanwhile")
		wantProblem(t, patch(`{"weight":-8}`, "*"), http.StatusUnprocessableEntity, "invalid-service")
		wantProblem(t, patch(`{"wait":8}`, "*"), http.StatusUnprocessableEntity, "")
		wantProblem(t, d.answerTo("PATCH", "/v1/services/fixed", `{}`), http.StatusUnprocessableEntity, "")
		if s := decode[Service](t, patch(`{"maintenance":true}`, "*"), http.StatusOK); s.State != "maintenance" || s.Document.Weight != 7 {
			t.Errorf("%+v", s)
		}
		wantProblem(t, d.answerTo("PATCH", "/v1/services/none", `{}`, field("If-Match", "*")), http.StatusNotFound, "service-not-found")
	})
}

func TestAnOperatorSteersAService(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		for _, step := range []struct{ verb, state string }{
			{"drain", "draining"}, {"resume", "up"}, {"trip", "down"}, {"reset", "up"}, {"probe", "up"},
		} {
			s := decode[Service](t, d.answerTo("POST", "/v1/services/fixed/"+step.verb, ""), http.StatusAccepted)
			if s.State != step.state {
				t.Errorf("after %s: %s, %s", step.verb, s.State, s.Reason)
			}
			wantProblem(t, d.answerTo("POST", "/v1/services/none/"+step.verb, ""), http.StatusNotFound, "service-not-found")
		}
		if !strings.Contains(d.log.String(), "what=drain") {
			t.Errorf("the log does not know: %s", d.log)
		}
		wantProblem(t, d.answerTo("DELETE", "/v1/services/fixed", ""), http.StatusConflict, "configured")
		decode[Registered](t, d.answerTo("POST", servicesPath, document("b1")), http.StatusCreated)
		if w := d.answerTo("DELETE", "/v1/services/b1", ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestAServiceThatIsDrainedIsTold(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		r := decode[Registered](t, d.as(enrolToken).answerTo("POST", servicesPath, document("a1")), http.StatusCreated)
		d.answerTo("POST", "/v1/services/a1/drain", "")
		b := decode[Beaten](t, d.as(r.Token).answerTo("PUT", r.Heartbeat.URL, beatOf(r.Epoch, "")), http.StatusOK)
		if !b.Drain || b.State != "draining" {
			t.Errorf("%+v", b)
		}
	})
}

func TestServicesAreListedWithTheirShares(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		list := func() []Service {
			services, err := d.Services(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return services
		}
		if all := list(); len(all) != 1 || all[0].Document.Name != "fixed" || !all[0].Static || all[0].State != "up" || all[0].Share != 0 || all[0].LastBeat != nil {
			t.Errorf("%+v", all)
		}
		d.submit("ann", "bob")
		all := list()
		if s := all[0]; s.Share != 1 || s.Minute != 2 || s.Day != 2 || s.Results["success"] != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestEnrolmentsAreMadeListedAndWithdrawn(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		expires := time.Now().Add(time.Hour)
		w := d.answerTo("POST", "/v1/enrolments", `{"note":"rack","names":"c*","expires":"`+expires.Format(time.RFC3339Nano)+`"}`)
		e := decode[Enrolment](t, w, http.StatusCreated)
		if e.Token == "" || e.Digest != pool.Digest(e.Token) || w.Header().Get("Location") != "/v1/enrolments/"+e.Digest || !e.Expires.Equal(expires) {
			t.Errorf("%+v %s", e, w.Header())
		}
		if strings.Contains(d.log.String(), e.Token) {
			t.Error("the token stands in the log")
		}
		decode[Registered](t, d.as(e.Token).answerTo("POST", servicesPath, document("c1")), http.StatusCreated)
		w = d.answerTo("GET", "/v1/enrolments", "")
		if w.Code != http.StatusOK || strings.Count(w.Body.String(), `"digest"`) != 3 || strings.Contains(w.Body.String(), `"token"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := d.answerTo("DELETE", "/v1/enrolments/"+e.Digest, ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		wantProblem(t, d.answerTo("DELETE", "/v1/enrolments/"+e.Digest, ""), http.StatusNotFound, "enrolment-not-found")
		wantProblem(t, d.answerTo("DELETE", "/v1/enrolments/"+pool.Digest(enrolToken), ""), http.StatusConflict, "configured")
		wantProblem(t, d.as(e.Token).answerTo("POST", servicesPath, document("c2")), http.StatusUnauthorized, "token-required")
		wantProblem(t, d.answerTo("POST", "/v1/enrolments", `{"names":"["}`), http.StatusUnprocessableEntity, "invalid-service")
		wantProblem(t, d.answerTo("POST", "/v1/enrolments", `{"expires":"1999-01-01T00:00:00Z"}`), http.StatusUnprocessableEntity, "invalid-service")
	})
}

// watchServices begins to watch over a connection without a network.
func (d *depot) watchServices(t *testing.T, lastID string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/services/events", nil)
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Last-Event-ID", lastID)
	from, to := io.Pipe()
	w := &streamed{header: http.Header{}, to: to}
	var serving sync.WaitGroup
	serving.Go(func() {
		d.handler.ServeHTTP(w, r)
		to.Close()
	})
	return &watching{t, bufio.NewScanner(from), func() { cancel(); from.Close(); serving.Wait() }}
}

// A streamed is an answer that is read while it is written.
type streamed struct {
	header http.Header
	to     io.Writer
}

func (s *streamed) Header() http.Header         { return s.header }
func (s *streamed) WriteHeader(int)             {}
func (s *streamed) Write(p []byte) (int, error) { return s.to.Write(p) }
func (s *streamed) Flush()                      {}

func TestTransitionsAreToldAsTheyHappen(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		s := d.watchServices(t, "")
		defer s.close()
		var last, data string
		for range 2 { // what is kept: the service and the pool went up
			name, id, text := s.event()
			if name != "transition" {
				t.Errorf("%s %s", name, text)
			}
			last, data = id, text
		}
		d.answerTo("POST", "/v1/services/fixed/drain", "")
		_, id, text := s.event()
		var to struct{ Service, From, To string }
		if err := json.Unmarshal([]byte(text), &to); err != nil || to.Service != "fixed" || to.From != "up" || to.To != "draining" || text == data {
			t.Errorf("%v %s", err, text)
		}

		again := d.watchServices(t, last)
		defer again.close()
		if _, first, _ := again.event(); first != id {
			t.Errorf("goes on with %s after %s, want %s", first, last, id)
		}
		restarted := d.watchServices(t, "999999")
		defer restarted.close()
		if _, first, _ := restarted.event(); first != "1" {
			t.Errorf("begins with %s after a number of another process", first)
		}
		close(d.stop)
		if line := s.next(); line != "event: transition" { // that of the pool
			t.Errorf("%q", line)
		}
		for s.next() != "" { // ends, or the test hangs
		}
	})
}

func TestNoMoreWatchThanThePoolAllows(t *testing.T) {
	inDepot(t, func(t *testing.T, d *depot) {
		wantProblem(t, d.answerTo("GET", "/v1/services/events", "", field("Last-Event-ID", "x")), http.StatusBadRequest, "invalid-cursor")
		if w := d.answerTo("HEAD", "/v1/services/events", ""); w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("HEAD: %d %s", w.Code, w.Body)
		}
		var stops []func()
		for {
			_, _, stop, err := d.pool.Subscribe()
			if errors.Is(err, pool.ErrRate) {
				break
			}
			stops = append(stops, stop)
		}
		wantProblem(t, d.answerTo("GET", "/v1/services/events", ""), http.StatusTooManyRequests, "too-many-at-once")
		stops[0]()
		close(d.stop)
		if w := d.answerTo("GET", "/v1/services/events", ""); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if _, _, _, err := d.pool.Subscribe(); err != nil {
			t.Error("a stream that ended keeps its place")
		}
	})
}

func TestWithoutARelayThereIsNothingToSteer(t *testing.T) {
	s := newHandler()
	for _, request := range []string{"GET /v1/services", "POST /v1/services", "GET /v1/queue", "POST /v1/adoptions", "GET /v1/enrolments"} {
		method, path, _ := strings.Cut(request, " ")
		wantProblem(t, s.answerTo(method, path, ""), http.StatusNotFound, "no-such-resource")
	}
	w := s.answerTo("POST", "/v1/services", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") })
	wantProblem(t, w, http.StatusUnauthorized, "token-required")
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
)

// A stub is a provider that says what it is told to.
type stub struct {
	mu      sync.Mutex
	outcome relay.Outcome
	probe   relay.Outcome

	reassembles bool          // as its limits say
	hold        chan struct{} // closed: mails are answered; nil: at once
	content     string        // of the last mail
	mail        relay.Mail
	under       int
}

func (s *stub) set(change func(s *stub)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *stub) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	r, err := m.Open(ctx)
	if err != nil {
		return []relay.Outcome{{Result: relay.Transport, Text: err.Error()}}
	}
	text, err := io.ReadAll(r)
	if err != nil || int64(len(text)) != m.Submission.Octets {
		return []relay.Outcome{{Result: relay.Transport, Text: "content"}}
	}
	if err := m.Commit(); err != nil {
		return []relay.Outcome{{Result: relay.Transport, Text: err.Error()}}
	}
	s.mu.Lock()
	hold := s.hold
	s.content, s.mail = string(text), m
	s.under++
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under--
	return []relay.Outcome{s.outcome}
}

func (s *stub) Probe(context.Context) relay.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probe
}

func (s *stub) Limits() relay.Limits {
	return relay.Limits{Octets: 1 << 20, PerSecond: 14, Reassembles: s.reassembles}
}

func (s *stub) Close() error { return nil }

// A node is a server that agents register with: a pool behind the calls of its admin
// interface.
type node struct {
	*httptest.Server
	pool *pool.Pool

	mu    sync.Mutex
	calls []string
	seqs  []uint64                  // of beats
	fail  func(r *http.Request) int // a status to fail with; nil or 0: none
}

const enrolment = "the token of the enrolment"

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{}
	n.forget(t)
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

// forget makes the pool of a server that was started again without its store.
func (n *node) forget(t *testing.T) {
	t.Helper()
	p, err := pool.New(pool.Options{
		Enrolments: []pool.Enrolment{{Digest: pool.Digest(enrolment), Names: "agent-*"}},
		Open:       func(pool.Document) (relay.Provider, error) { return &stub{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pool = p
}

func (n *node) current() *pool.Pool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pool
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.calls = append(n.calls, r.Method+" "+r.URL.Path)
	p, status := n.pool, 0
	if n.fail != nil {
		status = n.fail(r)
	}
	n.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/services/"), "/heartbeat")
	var out any
	var err error
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/services":
		var d pool.Document
		if err = json.NewDecoder(r.Body).Decode(&d); err == nil {
			var told pool.Registered
			told, err = p.Register(r.Context(), d, token)
			out = map[string]any{"token": told.Token, "epoch": told.Epoch, "state": told.State}
		}
	case r.Method == http.MethodPut:
		var b pool.Beat
		if err = json.NewDecoder(r.Body).Decode(&b); err == nil {
			n.mu.Lock()
			n.seqs = append(n.seqs, b.Seq)
			n.mu.Unlock()
			var a pool.Answer
			a, err = p.Beat(r.Context(), name, token, b)
			out = map[string]any{"state": a.State, "next_ms": 20, "drain": a.Drain}
		}
	case r.Method == http.MethodDelete:
		var epoch pool.Epoch
		if err = epoch.UnmarshalText([]byte(r.URL.Query().Get("epoch"))); err == nil {
			err = p.Leave(r.Context(), name, token, epoch)
		}
	default:
		err = fmt.Errorf("no such call: %w", mailbox.ErrNotFound)
	}
	if err == nil {
		_ = json.NewEncoder(w).Encode(out)
		return
	}
	for _, c := range []struct {
		is     error
		status int
		kind   string
	}{
		{pool.ErrStale, 409, "stale-epoch"}, {pool.ErrConflict, 409, "name-in-use"}, {pool.ErrUnregistered, 404, "unregistered"},
		{pool.ErrToken, 401, "token-required"}, {pool.ErrScope, 403, "not-in-scope"}, {pool.ErrInvalid, 422, "invalid-service"},
	} {
		if errors.Is(err, c.is) {
			w.WriteHeader(c.status)
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:problem:" + c.kind, "detail": c.is.Error()})
			return
		}
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// status is how the node sees the agent, or the zero one.
func (n *node) status() pool.Status {
	s, _ := n.current().Service("agent-1")
	return s
}

func (n *node) is(state pool.State) bool {
	s := n.status()
	return s.Document.Name != "" && s.State == state
}

func (n *node) count(call string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.calls {
		if c == call {
			count++
		}
	}
	return count
}

// A running agent.
type running struct {
	provider *stub
	addr     string
	stop     func()
	ended    chan error // gets what Run returned
}

func start(t *testing.T, provider *stub, change func(*Options), nodes ...*node) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Document: pool.Document{Name: "agent-1", Kind: "smtp", Endpoint: "smtp://" + l.Addr().String()},
		Token:    enrolment, Provider: provider, Grace: 5 * time.Second, Spool: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	}
	for _, n := range nodes {
		o.Servers = append(o.Servers, n.URL)
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{provider: provider, addr: l.Addr().String(), stop: cancel, ended: make(chan error, 1)}
	var all sync.WaitGroup
	all.Go(func() { r.ended <- a.Run(ctx, l) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return r
}

// result is what Run returns.
func (r *running) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the agent does not end")
		return nil
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if true() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

const (
	registerTimeout = 5 * time.Second
	beatTimeout     = 2 * time.Second
	// beatEvery is the pause where the server has named none, and retryEvery the one
	// after it did not answer.
	beatEvery, retryEvery = time.Second, time.Second
	longestPause          = 10 * time.Second
	soon                  = 50 * time.Millisecond
	// conflictPatience is how long a name may be in use: what used it may have died a
	// moment ago.
	conflictPatience = 15 * time.Second
	answerMost       = 64 << 10 // octets
)

// A credential is a registration.
type credential struct {
	token string
	epoch pool.Epoch
}

func (c credential) before(other credential) bool {
	return mailbox.MessageID(c.epoch).Compare(mailbox.MessageID(other.epoch)) < 0
}

// credentials are the latest registration of an agent. Servers on one store share
// registrations, so one that does not know a link tries it before it registers anew,
// which would be a newer instance. The lock is held while a link registers.
type credentials struct {
	mu     sync.Mutex
	latest credential
}

// A link keeps one server informed.
type link struct {
	base   string
	agent  *Agent
	client *http.Client
	log    *slog.Logger
	shared *credentials

	mu       sync.Mutex
	mine     credential // that the server knows; zero: none
	rejected credential // that it did not know

	// Of the goroutine of run.
	trouble  string // what is wrong, as it was logged
	state    string // as the server sees the agent
	conflict time.Time
}

func newLink(base string, a *Agent, shared *credentials) (*link, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("agent: a server is the URL of its admin listener, such as http://127.0.0.1:8081")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &link{
		base: u.String(), agent: a, client: &http.Client{Transport: transport},
		log: a.log.With("server", u.Host), shared: shared,
	}, nil
}

// run registers and beats until the context ends, or there is no use in going on.
func (l *link) run(ctx context.Context) error {
	defer l.client.CloseIdleConnections()
	for {
		pause, err := l.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrReplaced) || errors.Is(err, ErrRefused):
			return fmt.Errorf("agent: server %s: %w", l.base, err)
		}
		l.tell(err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// tell logs what is wrong once.
func (l *link) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == l.trouble:
		return
	case text == "":
		l.log.Info("server answers again")
	case l.trouble == "":
		l.log.Warn("server does not hear the agent", "err", err)
	}
	l.trouble = text
}

// step registers if that is due, and beats once. It returns when to go on.
func (l *link) step(ctx context.Context) (time.Duration, error) {
	mine, err := l.join(ctx)
	if err != nil {
		return retryEvery, err
	}
	heard, err := l.beat(ctx, mine)
	var p *problem
	switch {
	case err == nil:
		if heard.State != l.state {
			l.log.Info("server sees the agent", "state", heard.State, "drain", heard.Drain)
			l.state = heard.State
		}
		return pauseOf(heard.Next), nil
	case !errors.As(err, &p):
		return retryEvery, err
	case p.is("stale-epoch"):
		return soon, l.superseded(mine)
	case p.Status == http.StatusNotFound || p.Status == http.StatusUnauthorized:
		l.mu.Lock()
		l.mine, l.rejected = credential{}, mine
		l.mu.Unlock()
		return soon, nil // to register
	}
	return retryEvery, err
}

func pauseOf(ms int64) time.Duration {
	pause := time.Duration(ms) * time.Millisecond
	if pause <= 0 {
		return beatEvery
	}
	return min(pause, longestPause)
}

// superseded is what to do when there is a later registration: to go on with it, where it
// is ours.
func (l *link) superseded(mine credential) error {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if !mine.before(l.shared.latest) {
		return ErrReplaced
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine = l.shared.latest
	return nil
}

// join returns the registration that the server knows, or may know from the store, or
// that it has made now.
func (l *link) join(ctx context.Context) (credential, error) {
	if mine := l.known(); mine.token != "" {
		return mine, nil
	}
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	c := l.shared.latest
	if c.token == "" || c == l.rejected {
		var err error
		if c, err = l.register(ctx); err != nil {
			return credential{}, err
		}
		if l.shared.latest.token == "" || l.shared.latest.before(c) {
			l.shared.latest = c
		}
		l.conflict = time.Time{}
		l.log.Info("registered", "epoch", c.epoch)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine = c
	return c, nil
}

func (l *link) known() credential {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine
}

func (l *link) register(ctx context.Context) (credential, error) {
	var told struct {
		Token string     `json:"token"`
		Epoch pool.Epoch `json:"epoch"`
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	d := l.agent.options.Document
	err := l.call(ctx, http.MethodPost, "/v1/services", l.agent.options.Token, d, &told)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusUnprocessableEntity && d.Reassembles {
		d.Reassembles = false // a server that is older does not know it; see the courier
		err = l.call(ctx, http.MethodPost, "/v1/services", l.agent.options.Token, d, &told)
	}
	if !errors.As(err, &p) {
		if err == nil && (told.Token == "" || told.Epoch.IsZero()) {
			err = errors.New("an answer without token or epoch")
		}
		return credential{told.Token, told.Epoch}, err
	}
	switch p.Status {
	case http.StatusConflict:
		if l.conflict.IsZero() {
			l.conflict = time.Now()
		}
		if time.Since(l.conflict) < conflictPatience {
			return credential{}, err
		}
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
	default:
		return credential{}, err
	}
	return credential{}, fmt.Errorf("%w: %w", ErrRefused, err)
}

// A heard is the answer to a beat.
type heard struct {
	State string `json:"state"`
	Next  int64  `json:"next_ms"`
	Drain bool   `json:"drain"`
}

// beat may be called at any time, by anybody.
func (l *link) beat(ctx context.Context, mine credential) (h heard, err error) {
	b := l.agent.beat()
	b.Epoch, b.Seq = mine.epoch, l.agent.beats.Add(1)
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	err = l.call(ctx, http.MethodPut, l.path()+"/heartbeat", mine.token, b, &h)
	return h, err
}

// urge beats once more now.
func (l *link) urge() {
	if mine := l.known(); mine.token != "" {
		if _, err := l.beat(context.Background(), mine); err != nil {
			l.log.Debug("server not told that the agent leaves", "err", err)
		}
	}
}

// deregister takes leave. Where nobody hears it the beats that do not come say the same.
func (l *link) deregister() {
	mine := l.known()
	if mine.token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), beatTimeout)
	defer cancel()
	if err := l.call(ctx, http.MethodDelete, l.path()+"?epoch="+mine.epoch.String(), mine.token, nil, nil); err != nil {
		l.log.Debug("not deregistered", "err", err)
	}
	l.client.CloseIdleConnections()
}

func (l *link) path() string { return "/v1/services/" + url.PathEscape(l.agent.options.Document.Name) }

// A problem is a refusal (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return p.Detail
}

func (p *problem) is(kind string) bool { return strings.HasSuffix(p.Type, ":"+kind) }

// call sends JSON and reads the answer. Its error is a problem where the server answered.
func (l *link) call(ctx context.Context, method, path, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, l.base+path, body)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := l.client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("no answer: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerMost))
	if err != nil {
		return fmt.Errorf("half an answer: %w", err)
	}
	if answer.StatusCode >= 300 {
		p := &problem{Title: http.StatusText(answer.StatusCode)}
		_ = json.Unmarshal(text, p) // what is no problem document has its status
		p.Status = answer.StatusCode
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("not an answer of Restante: %w", err)
	}
	return nil
}

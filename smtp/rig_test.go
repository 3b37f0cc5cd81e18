package smtp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/auth"
	"restante/mailbox"
	"restante/smtp"
)

// A rig is a server on a listener of pipes, with a router and a deliverer in
// memory.
type rig struct {
	*smtp.Server
	post     *post
	listener *pipeListener
	metrics  *prometheus.Registry
	log      *logBuffer
	served   chan error
	stopped  bool
}

// bubble runs a test in virtual time, with a server that is shut down at the
// end. A goroutine that the server leaves behind fails the test.
func bubble(t *testing.T, change func(*smtp.Options), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change)
		r.listener = newPipeListener()
		r.serve(r.listener, false)
		defer r.stop(t)
		test(t, r)
	})
}

func newRig(t testing.TB, change func(*smtp.Options)) *rig {
	t.Helper()
	r := &rig{post: newPost(), metrics: prometheus.NewRegistry(), log: &logBuffer{}, served: make(chan error, 4)}
	o := smtp.Options{
		Hostname:   "mx.example.org",
		Router:     r.post,
		Deliverer:  r.post,
		Verifier:   r.post,
		TLS:        serverTLS(t),
		Log:        slog.New(slog.NewTextHandler(r.log, nil)),
		Registerer: r.metrics,
	}
	if change != nil {
		change(&o)
	}
	r.Server = smtp.New(o)
	return r
}

func (r *rig) serve(l net.Listener, secure bool) {
	go func() {
		if secure {
			r.served <- r.ServeTLS(l)
		} else {
			r.served <- r.Serve(l)
		}
	}()
}

// stop shuts the server down, once.
func (r *rig) stop(t testing.TB) {
	t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// dial opens a connection and reads the greeting.
func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	c := newClient(t, r.listener.dial())
	c.want("220 mx.example.org")
	return c
}

// hello opens a connection that has said EHLO.
func (r *rig) hello(t testing.TB) *client {
	t.Helper()
	c := r.dial(t)
	c.do("EHLO client.example.net", "250")
	return c
}

// counter is the value of a metric with labels "name=value".
func (r *rig) counter(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetName()+"="+l.GetValue())
			}
			if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// A client speaks SMTP by hand. Every wait has a deadline.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

const patience = 20 * time.Minute // of virtual time

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// send writes while the server may be writing too.
func (c *client) send(s string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send %.40q: %v", s, err)
	}
}

// trySend writes to a server that may have hung up.
func (c *client) trySend(s string) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c.conn, s)
}

// reply reads one reply, all its lines, without the last line end.
func (c *client) reply() string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading a reply after %q: %v", lines, err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) < 4 {
			c.t.Fatalf("reply line %q", line)
		}
		lines = append(lines, line)
		if line[3] == ' ' {
			return strings.Join(lines, "\n")
		}
	}
}

// want reads a reply that begins as given.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
	return got
}

// do sends a command and reads a reply that begins as given.
func (c *client) do(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("%s: got %q, want %q", command, got, prefix)
	}
	return got
}

// envelope brings a message to DATA's 354.
func (c *client) envelope(to ...string) {
	c.t.Helper()
	c.do("MAIL FROM:<sender@example.net>", "250")
	for _, a := range to {
		c.do("RCPT TO:<"+a+">", "250")
	}
	c.do("DATA", "354")
}

// closed checks that the server ends the connection without another word.
func (c *client) closed() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !errors.Is(err, io.ErrClosedPipe) {
		c.t.Fatalf("got %q, %v; want the end of the connection", rest, err)
	}
}

// startTLS upgrades the client's side after a 220.
func (c *client) startTLS() {
	c.t.Helper()
	tc := tls.Client(c.conn, clientTLS())
	if err := tc.Handshake(); err != nil {
		c.t.Fatalf("TLS: %v", err)
	}
	c.conn, c.r = tc, bufio.NewReader(tc)
}

// A delivery is what a deliverer was given.
type delivery struct {
	env     mailbox.Envelope
	content []byte
}

// body is the content behind the trace fields.
func (d delivery) body() string {
	rest := string(d.content)
	for range 2 {
		for first := true; ; first = false {
			line, after, _ := strings.Cut(rest, "\r\n")
			if !first && !strings.HasPrefix(line, "\t") {
				break
			}
			rest = after
		}
	}
	return rest
}

// field is a header field of the content, unfolded.
func (d delivery) field(name string) string {
	lines := strings.Split(string(d.content), "\r\n")
	for i, line := range lines {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			for _, more := range lines[i+1:] {
				if !strings.HasPrefix(more, "\t") {
					break
				}
				value += " " + more[1:]
			}
			return value
		}
	}
	return ""
}

// A submission is what a submitter was given.
type submission struct {
	letter  smtp.Letter
	content []byte
}

// A post is a router, a deliverer, a submitter and a verifier in memory.
type post struct {
	ids mailbox.MessageIDs

	mu          sync.Mutex
	routes      map[string][]mailbox.Recipient
	deliveries  []delivery
	submissions []submission
	resolveErr  error
	deliverErr  error
	verifyErr   error
	during      func(ctx context.Context, content io.Reader) error // replaces the reading of content
	logins      []auth.Attempt
}

func newPost() *post {
	p := &post{routes: make(map[string][]mailbox.Recipient)}
	for _, name := range []string{"fred", "wilma", "postmaster"} {
		p.routes[name+"@example.org"] = []mailbox.Recipient{account(name)}
	}
	p.routes["both@example.org"] = []mailbox.Recipient{account("fred"), account("wilma")}
	p.routes["a b@example.org"] = []mailbox.Recipient{account("fred")}
	p.routes["fred@[192.0.2.1]"] = []mailbox.Recipient{account("fred")}
	p.routes["jürgen@example.org"] = []mailbox.Recipient{account("fred")}
	return p
}

func account(name string) mailbox.Recipient {
	a := mailbox.Address{Local: name, Domain: "example.org"}
	return mailbox.Recipient{Address: a, Maildrop: mailbox.MaildropOf(a, 1)}
}

func (p *post) Resolve(_ context.Context, a mailbox.Address) ([]mailbox.Recipient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resolveErr != nil {
		return nil, p.resolveErr
	}
	if !p.IsLocal(a.Domain) {
		return nil, fmt.Errorf("%s: %w", a, mailbox.ErrNotLocal)
	}
	a = a.Canonical()
	for _, candidate := range []string{a.Local, func() string { b, _ := a.Base(); return b.Local }()} {
		if r := p.routes[candidate+"@"+a.Domain]; r != nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", a, mailbox.ErrNotFound)
}

func (p *post) IsLocal(domain string) bool {
	return domain == "example.org" || domain == "[192.0.2.1]"
}

func (p *post) Postmaster() mailbox.Address {
	return mailbox.Address{Local: "postmaster", Domain: "example.org"}
}

func (p *post) Deliver(ctx context.Context, env mailbox.Envelope, content io.Reader) (mailbox.Message, error) {
	p.mu.Lock()
	during, fail := p.during, p.deliverErr
	p.mu.Unlock()
	if during != nil {
		if err := during(ctx, content); err != nil {
			return mailbox.Message{}, err
		}
	}
	octets, err := io.ReadAll(content)
	if err != nil {
		return mailbox.Message{}, fmt.Errorf("read content: %w", err)
	}
	if fail != nil {
		return mailbox.Message{}, fail
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deliveries = append(p.deliveries, delivery{env, octets})
	return mailbox.Message{ID: p.ids.Next(), Octets: int64(len(octets))}, nil
}

func (p *post) Submit(ctx context.Context, l smtp.Letter, content io.Reader) (mailbox.MessageID, error) {
	octets, err := io.ReadAll(content)
	if err != nil {
		return mailbox.MessageID{}, fmt.Errorf("read content: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deliverErr != nil {
		return mailbox.MessageID{}, p.deliverErr
	}
	p.submissions = append(p.submissions, submission{l, octets})
	return p.ids.Next(), nil
}

// parcel is a temporary address.
var parcel = mailbox.Address{Local: "parcel", Domain: "temp.example.org"}

func (p *post) Verify(_ context.Context, a auth.Attempt) (auth.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins = append(p.logins, a)
	if p.verifyErr != nil {
		return auth.Identity{}, p.verifyErr
	}
	if a.Password == "secret" && a.User == parcel.String() {
		return auth.Identity{Address: parcel, Maildrop: mailbox.TemporaryMaildropOf(parcel, 1)}, nil
	}
	if a.User != "fred@example.org" || a.Password != "secret" {
		return auth.Identity{}, fmt.Errorf("%s: %w", a.User, auth.ErrCredentials)
	}
	fred := account("fred")
	return auth.Identity{Address: fred.Address, Maildrop: fred.Maildrop}, nil
}

// set changes the post while a server uses it.
func (p *post) set(change func(p *post)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// only is the one message that was delivered.
func (p *post) only(t testing.TB) delivery {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.deliveries) != 1 {
		t.Fatalf("%d messages delivered, want 1", len(p.deliveries))
	}
	return p.deliveries[0]
}

// nothing checks that no message was delivered.
func (p *post) nothing(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.deliveries) > 0 {
		t.Fatalf("delivered %q", p.deliveries[0].content)
	}
}

// A pipeListener accepts the far ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	near, far := net.Pipe()
	l.conns <- far
	return near
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// A logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"mx.example.org"},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func clientTLS() *tls.Config {
	cert, _ := certificate() // serverTLS has checked
	leaf, _ := x509.ParseCertificate(cert.Certificate[0])
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{RootCAs: pool, ServerName: "mx.example.org"}
}

package pop3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"restante/auth"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// A house is the backend of the tests: the one of the package over stores in
// memory, and some tenants whose maildrops misbehave. Every password is
// "secret".
type house struct {
	Backend
	deliveries *mailbox.Deliveries

	mu      sync.Mutex
	drops   map[string]mailbox.MaildropID
	expires map[string]time.Time
	updates int // how often anything was removed
	open    int // maildrops that were not closed
}

// The messages of fred, 1 to 3.
var letters = []string{
	"From: ann@example.org\r\nSubject: one\r\n\r\nGood morning.\r\n",
	"Subject: dots\r\n\r\n.leading\r\n..two\r\n.\r\nend\r\n",
	"Subject: lines\r\n\r\n1\r\n2\r\n3\r\n",
}

func newHouse(t testing.TB) *house {
	stores := mailboxtest.Memory()
	h := &house{
		deliveries: stores.Deliveries(),
		drops:      map[string]mailbox.MaildropID{},
		expires:    map[string]time.Time{},
	}
	h.Backend = NewBackend(BackendOptions{Verifier: h, Maildrops: stores.Maildrops, Contents: stores.Contents, Deliveries: h})
	for _, name := range []string{"fred", "spaces", "stuck", "lost", "broken", "explosive", "ключ"} {
		for _, letter := range letters {
			h.deliver(t, name, letter, time.Time{})
		}
	}
	for _, life := range []time.Duration{72*time.Hour + time.Minute, 49 * time.Hour} {
		h.deliver(t, "brief", letters[0], time.Now().Add(life))
	}
	h.drops["empty"] = mailbox.MaildropOf(mailbox.Address{Local: "empty", Domain: "example.org"}, 1)
	h.drops["gone"] = h.drops["fred"]
	h.expires["gone"] = time.Now().Add(-time.Second)
	return h
}

func (h *house) deliver(t testing.TB, name, letter string, expires time.Time) {
	t.Helper()
	a := mailbox.Address{Local: name, Domain: "example.org"}
	drop := mailbox.MaildropOf(a, 1)
	h.drops[name] = drop
	env := mailbox.Envelope{Recipients: []mailbox.Recipient{{Address: a, Maildrop: drop, Expires: expires}}}
	if _, err := h.deliveries.Deliver(context.Background(), env, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
}

// Verify is what package auth does, without its cost.
func (h *house) Verify(ctx context.Context, a auth.Attempt) (auth.Identity, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	want := "secret"
	if a.User == "spaces" {
		want = " two  words "
	}
	drop, known := h.drops[a.User]
	expires, ends := h.expires[a.User]
	if !known || a.Password != want || ends && time.Now().After(expires) {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Maildrop: drop}, nil
}

func (h *house) Expunge(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	h.mu.Lock()
	h.updates++
	h.mu.Unlock()
	return h.deliveries.Expunge(ctx, drop, messages...)
}

// Login lets a few names fail. "postman" brings a letter to fred.
func (h *house) Login(ctx context.Context, a auth.Attempt) (Maildrop, error) {
	switch a.User {
	case "unavailable":
		return nil, mailbox.ErrUnavailable
	case "bug":
		return nil, errors.New("dial tcp 192.0.2.1:9042: driver text")
	case "panic":
		panic("a bug in Login")
	case "slow":
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case "postman":
		env := mailbox.Envelope{Recipients: []mailbox.Recipient{{Maildrop: h.drops["fred"]}}}
		_, err := h.deliveries.Deliver(ctx, env, strings.NewReader(letters[0]))
		return nil, errors.Join(auth.ErrCredentials, err)
	}
	drop, err := h.Backend.Login(ctx, a)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.open++
	h.mu.Unlock()
	return &tenant{Maildrop: drop, house: h, name: a.User}, nil
}

// A tenant is a maildrop, misbehaving or not.
type tenant struct {
	Maildrop
	house *house
	name  string
}

func (d *tenant) Close() error {
	d.house.mu.Lock()
	defer d.house.mu.Unlock()
	d.house.open--
	return d.Maildrop.Close()
}

func (d *tenant) Update(ctx context.Context, marked []mailbox.Message) error {
	if d.name == "stuck" {
		return mailbox.ErrUnavailable
	}
	return d.Maildrop.Update(ctx, marked)
}

func (d *tenant) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	r, err := d.Maildrop.Open(ctx, m)
	if err != nil {
		return nil, err
	}
	switch first := m.ID == d.List()[0].ID; {
	case d.name == "lost":
		return nil, errors.Join(mailbox.ErrNotFound, r.Close())
	case d.name == "broken" && first:
		broken := io.MultiReader(io.LimitReader(r, int64(len("From: ann@example.org\r\n"))), iotest.ErrReader(mailbox.ErrUnavailable))
		return readCloser{broken, r}, nil
	case d.name == "broken":
		return readCloser{stalled{ctx}, r}, nil
	case d.name == "explosive" && first:
		return readCloser{explosive{}, r}, nil
	case d.name == "explosive":
		panic("a bug in Open")
	}
	return r, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// stalled is a store that says nothing until the context ends.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

type explosive struct{}

func (explosive) Read([]byte) (int, error) { panic("a bug in Read") }

// certificate is good for any name and time, and trusted by who asks for it.
var certificate = sync.OnceValues(func() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"pop.example.org"},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2190, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "pop.example.org"}
})

// A pipe is a listener whose connections are net.Pipes, for bubbles.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe {
	return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipe) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{} }

// quiet drops the log of a test.
var quiet = slog.New(slog.DiscardHandler)

package provider

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/fake"
)

// A pipeNet is a network without sockets, so that time in a bubble can stand still. It
// counts what clients write.
type pipeNet struct {
	conns chan net.Conn
	done  chan struct{}

	mu      sync.Mutex
	servers []net.Conn
	writes  int
	octets  int
	deaf    bool // the next write fails, and nothing was written
}

func newPipeNet() *pipeNet { return &pipeNet{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipeNet) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }

func (p *pipeNet) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, net.ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = append(p.servers, theirs)
	return counted{ours, p}, nil
}

// written is how often, and how much, clients wrote.
func (p *pipeNet) written() (writes, octets int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes, p.octets
}

// hangUp closes all connections from the other side.
func (p *pipeNet) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.servers {
		_ = c.Close()
	}
	p.servers = nil
}

type counted struct {
	net.Conn
	net *pipeNet
}

func (c counted) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	deaf := c.net.deaf
	c.net.deaf = false
	c.net.mu.Unlock()
	if deaf {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(b)
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.net.writes++
	c.net.octets += n
	return n, err
}

// certificates are for 127.0.0.1, in the year 2000 too.
var certificates = sync.OnceValues(func() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots}
})

const letter = "From: Fred <fred@example.org>\r\n" +
	"To: Ann <ann@example.net>\r\n" +
	"Subject: caf=?utf-8?q?=C3=A9?=\r\n" +
	"Message-ID: <1@example.org>\r\n" +
	"Date: Sat, 1 Jan 2000 00:00:00 +0000\r\n" +
	"\r\n" +
	"Hello Ann,\r\n.\r\n..this line began with a dot.\r\n"

func address(t testing.TB, s string) mailbox.Address {
	t.Helper()
	a, err := mailbox.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newMail is the content for some recipients, who may have it.
func newMail(t testing.TB, content string, to ...string) relay.Mail {
	t.Helper()
	s := &relay.Submission{From: address(t, "fred@example.org"), Octets: int64(len(content))}
	m := relay.Mail{
		Submission: s,
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		},
		Commit: func() error { return nil },
	}
	for i, a := range to {
		s.Recipients = append(s.Recipients, address(t, a))
		m.Recipients = append(m.Recipients, i)
	}
	return m
}

// A rig is a provider and the fake that it sends to.
type rig struct {
	relay.Provider
	fake *fake.Control
	net  *pipeNet
}

func (r *rig) set(t *testing.T, s fake.Setting) {
	t.Helper()
	if err := r.fake.Set(s); err != nil {
		t.Fatal(err)
	}
}

// send sends the letter to Ann and returns what came of it.
func (r *rig) send(t *testing.T) relay.Outcome {
	t.Helper()
	return r.sendMail(t, newMail(t, letter, "ann@example.net"))[0]
}

func (r *rig) sendMail(t *testing.T, m relay.Mail) []relay.Outcome {
	t.Helper()
	out := r.Send(t.Context(), m)
	if len(out) != len(m.Recipients) {
		t.Fatalf("%d outcomes for %d recipients", len(out), len(m.Recipients))
	}
	synctest.Wait() // for what the fake does with a connection that broke
	return out
}

// accepted are the mails at the fake.
func (r *rig) accepted(t *testing.T, want int) []fake.Mail {
	t.Helper()
	log := r.fake.Log()
	if len(log) != want {
		t.Fatalf("%d mails were taken, want %d", len(log), want)
	}
	return log
}

func want(t *testing.T, o relay.Outcome, result relay.Result) {
	t.Helper()
	if o.Result != result {
		t.Errorf("%v: %d %s %q, want %v", o.Result, o.Code, o.Enhanced, o.Text, result)
	}
	if len(o.Text) > textMost || strings.ContainsAny(o.Text, "\r\n") {
		t.Errorf("text %q", o.Text)
	}
}

// bubble runs a test of a rig in virtual time.
func bubble(t *testing.T, build func(t *testing.T, n *pipeNet) *rig, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := build(t, newPipeNet())
		test(t, r)
	})
}

// serveHTTP runs an HTTP fake.
func serveHTTP(t *testing.T, l net.Listener, h http.Handler, c *fake.Control) {
	t.Helper()
	server := &http.Server{Handler: h}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = c.Close()
		_ = server.Close()
		served.Wait()
	})
}

// serveSMTP runs an SMTP fake.
func serveSMTP(t *testing.T, l net.Listener, o fake.SMTPOptions) *fake.SMTP {
	t.Helper()
	f, err := fake.NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.Serve(l) }()
	t.Cleanup(func() {
		_ = f.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

func closing[P relay.Provider](t *testing.T, p P, err error) P {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

const (
	testURL  = "http://127.0.0.1:80"
	testAddr = "127.0.0.1:25"
)

func mailgunRig(t *testing.T, l net.Listener, h HTTPOptions) *rig {
	f := fake.NewMailgun(fake.MailgunOptions{Domain: "example.org", Key: "key"})
	serveHTTP(t, l, f, f.Control)
	p, err := NewMailgun(MailgunOptions{HTTPOptions: h, Domain: "example.org", Key: "key"})
	return &rig{Provider: closing(t, p, err), fake: f.Control}
}

func sesRig(t *testing.T, l net.Listener, h HTTPOptions) *rig {
	f := fake.NewSES(fake.SESOptions{Region: "eu-west-1", KeyID: "id", Secret: "secret"})
	serveHTTP(t, l, f, f.Control)
	p, err := NewSES(SESOptions{HTTPOptions: h, Region: "eu-west-1", KeyID: "id", Secret: "secret", Feedback: true})
	return &rig{Provider: closing(t, p, err), fake: f.Control}
}

func sendGridRig(t *testing.T, l net.Listener, h HTTPOptions) *rig {
	f := fake.NewSendGrid(fake.SendGridOptions{Key: "key"})
	serveHTTP(t, l, f, f.Control)
	p, err := NewSendGrid(SendGridOptions{HTTPOptions: h, Key: "key"})
	return &rig{Provider: closing(t, p, err), fake: f.Control}
}

// presetRig is a preset with the fake of its maker.
func presetRig(t *testing.T, l net.Listener, name, addr string, dial Dial) *rig {
	server, client := certificates()
	like := strings.TrimSuffix(name, "-smtp")
	o := PresetOptions{Addr: addr, Hello: "relay.example.org", Username: "user", Password: "password", Dial: dial}
	if like == "ses" {
		o.Region = "eu-west-1"
	}
	s, err := Preset(name, o)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = client
	f := serveSMTP(t, l, fake.SMTPOptions{Like: like, TLS: server, Username: s.Username, Password: s.Password})
	p, err := NewSMTP(s)
	return &rig{Provider: closing(t, p, err), fake: f.Control}
}

// smtpRig is a smarthost in the clear; the options may change both sides.
func smtpRig(change func(o *SMTPOptions, f *fake.SMTPOptions)) func(t *testing.T, n *pipeNet) *rig {
	return func(t *testing.T, n *pipeNet) *rig {
		o := SMTPOptions{Addr: testAddr, Hello: "relay.example.org", Security: NoTLS, Dial: n.Dial}
		var f fake.SMTPOptions
		if change != nil {
			change(&o, &f)
		}
		served := serveSMTP(t, n, f)
		p, err := NewSMTP(o)
		return &rig{Provider: closing(t, p, err), fake: served.Control, net: n}
	}
}

// everyRig are all providers with their fakes.
func everyRig() map[string]func(t *testing.T, n *pipeNet) *rig {
	rigs := map[string]func(t *testing.T, n *pipeNet) *rig{}
	for name, build := range map[string]func(*testing.T, net.Listener, HTTPOptions) *rig{
		"mailgun": mailgunRig, "ses": sesRig, "sendgrid": sendGridRig,
	} {
		rigs[name] = func(t *testing.T, n *pipeNet) *rig {
			r := build(t, n, HTTPOptions{URL: testURL, Dial: n.Dial})
			r.net = n
			return r
		}
	}
	for _, name := range Presets() {
		rigs[name] = func(t *testing.T, n *pipeNet) *rig {
			r := presetRig(t, n, name, testAddr, n.Dial)
			r.net = n
			return r
		}
	}
	rigs["smtp"] = smtpRig(nil)
	return rigs
}

func sha(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A recorder keeps what is written to it.
type recorder struct {
	mu sync.Mutex
	bytes.Buffer
}

func (r *recorder) line(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.WriteString(s + "\n")
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Buffer.String()
}

// openBroken fails in the middle, with words that nobody outside may read.
func openBroken(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader(letter[:100]), iotest.ErrReader(errors.New("secret of the store")))), nil
}

func openNothing(context.Context) (io.ReadCloser, error) {
	return nil, errors.New("secret of the store")
}

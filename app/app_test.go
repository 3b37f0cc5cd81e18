package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/auth"
	"restante/internal/script"
	"restante/mailbox"
)

// A house is a whole server on free ports, in a directory of its own.
type house struct {
	*App
	t       *testing.T
	out     *bytes.Buffer
	log     *lockedBuffer
	stop    context.CancelFunc
	stopped chan error
}

// testConfig is the configuration that the command line starts from, with free
// ports and little grace.
func testConfig(t *testing.T) Config {
	return Config{
		Store: "embedded", Data: filepath.Join(t.TempDir(), "data"), Domains: []string{"example.org", "example.net"},
		SMTP: "127.0.0.1:0", Submission: "127.0.0.1:0", Submissions: "127.0.0.1:0", LMTP: "127.0.0.1:0",
		POP3: "127.0.0.1:0", POP3S: "127.0.0.1:0", HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Admin: "127.0.0.1:0", InsecureAuth: true,
		TempDomains: []string{"temp.example.org"}, TextDomain: "text.example.org",
		TempLife: 15 * time.Minute, TempMaxLife: 168 * time.Hour, TempMaxMessages: 200, TempRate: 60, HTTPMaxMessage: 1 << 20,
		MaxMessageSize: 1 << 20, MaxRecipients: 100, MaxConnections: 600, MaxPerNetwork: 100,
		SMTPIdle: 5 * time.Minute, POP3Idle: 10 * time.Minute, MinFree: 1 << 20, Grace: 10 * time.Second,
	}
}

// start runs a server until the test ends. Fred's password is "secret".
func start(t *testing.T, c Config) *house {
	t.Helper()
	return run(t, c, func(h *house) { h.account("fred@example.org", "secret") })
}

// run runs a server until the test ends. What prepare does comes before the start.
func run(t *testing.T, c Config, prepare func(*house)) *house {
	t.Helper()
	h := &house{t: t, out: &bytes.Buffer{}, log: &lockedBuffer{}, stopped: make(chan error, 1)}
	a, err := New(Options{Config: c, Version: "test", Log: slog.New(slog.NewTextHandler(h.log, nil)), Out: h.out})
	if err != nil {
		t.Fatal(err)
	}
	h.App = a
	prepare(h)
	ctx, stop := context.WithCancel(t.Context())
	h.stop = stop
	go func() { h.stopped <- a.Run(ctx) }()
	t.Cleanup(func() { h.end() })
	return h
}

// end stops the server and returns what Run said; a second call does nothing.
func (h *house) end() error {
	h.stop()
	err, running := <-h.stopped
	if running {
		close(h.stopped)
	}
	if err != nil {
		h.t.Errorf("Run: %v\n%s", err, h.log)
	}
	return err
}

func (h *house) account(address, password string) {
	h.t.Helper()
	a, err := mailbox.ParseAddress(address)
	if err != nil {
		h.t.Fatal(err)
	}
	secret, err := auth.Hash(password)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.directory.Create(h.t.Context(), a, mailbox.Route{Kind: mailbox.Account, Secret: secret})
	if err != nil && !strings.Contains(err.Error(), mailbox.ErrExists.Error()) {
		h.t.Fatal(err)
	}
}

// dial connects to a listener by the name of its flag; a suffix after a dash
// tells several connections apart.
func (h *house) dial(name string) (net.Conn, error) {
	flag, _, _ := strings.Cut(name, "-")
	for _, p := range h.ports {
		if p.flag != flag {
			continue
		}
		conn, err := net.Dial("tcp", p.net.Addr().String())
		if err == nil && p.tls {
			return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), nil
		}
		return conn, err
	}
	return nil, fmt.Errorf("no listener %q", flag)
}

func (h *house) play(text string) {
	h.t.Helper()
	s, err := script.Parse("test", strings.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	h.playScript(s)
}

func (h *house) playScript(s *script.Script) {
	h.t.Helper()
	player := script.Player{Dial: h.dial, TLS: &tls.Config{InsecureSkipVerify: true}}
	if err := player.Play(s); err != nil {
		h.t.Errorf("%v\n%s", err, h.log)
	}
}

// A lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestDialogues(t *testing.T) {
	scripts, err := script.Load("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(s.Name), ".txt"), func(t *testing.T) {
			t.Parallel()
			start(t, testConfig(t)).playScript(s)
		})
	}
}

func TestTheFirstStartMakesAnAccountThatWorks(t *testing.T) {
	c := testConfig(t)
	var out bytes.Buffer
	a, err := New(Options{Config: c, Log: slog.New(slog.DiscardHandler), Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(out.String(), "user@example.org  password  ")
	password, _, _ := strings.Cut(rest, "\n")
	if !found || len(password) < 16 {
		t.Fatalf("no account in the first words:\n%s", &out)
	}

	h := start(t, c)
	h.play(deliver("250 {{.*}}", "user@example.org", "postmaster@example.net") + login("user@example.org", password, 1))
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(h.out.String(), "password") {
		t.Errorf("a later start says again:\n%s", h.out)
	}
}

func TestMailIsThereAfterARestart(t *testing.T) {
	c := testConfig(t)
	h := start(t, c)
	h.play(deliver("250 {{.*}}", "fred@example.org"))
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	start(t, c).play(login("fred", "secret", 1))
}

func TestASecondServerOnADirectoryIsRefused(t *testing.T) {
	c := testConfig(t)
	start(t, c)
	_, err := New(Options{Config: c, Log: slog.New(slog.DiscardHandler), Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), c.Data) {
		t.Errorf("New: %v, want an error that names %s", err, c.Data)
	}
}

func TestAPortInUseIsNamedAndNothingIsLeftOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t)
	c.POP3S = taken.Addr().String()
	_, err = New(Options{Config: c, Log: slog.New(slog.DiscardHandler), Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "--pop3s "+c.POP3S) {
		t.Fatalf("New: %v, want an error that names the flag and the port", err)
	}
	c.POP3S = "127.0.0.1:0"
	start(t, c) // fails if the directory were still locked
}

func TestTheAdminTokenIsForItsOwnerOnly(t *testing.T) {
	c := testConfig(t)
	start(t, c)
	info, err := os.Stat(filepath.Join(c.Data, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, dir := range []string{c.Data, filepath.Join(c.Data, "tls")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

func TestAFullDiskRefusesMailAndStillHandsItOut(t *testing.T) {
	c := testConfig(t)
	h := start(t, c)
	h.play(deliver("250 {{.*}}", "fred@example.org"))
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	c.MinFree = 1 << 60
	h = start(t, c)
	h.play(deliver("452 4.3.1 {{.*}}", "fred@example.org"))
	h.play(login("fred", "secret", 1) + `
C: RETR 1
S* .
C: DELE 1
S: +OK {{.*}}
C: QUIT
S: +OK {{.*}}
`)
}

// deliver is a dialogue that sends a small mail.
func deliver(answer string, recipients ...string) string {
	var b strings.Builder
	b.WriteString("on smtp\nS: 220 {{.*}}\nC: EHLO client.example\nS* 250 {{.*}}\nC: MAIL FROM:<alice@elsewhere.example>\nS: 250 {{.*}}\n")
	for _, r := range recipients {
		fmt.Fprintf(&b, "C: RCPT TO:<%s>\nS: 250 {{.*}}\n", r)
	}
	fmt.Fprintf(&b, "C: DATA\nS: 354 {{.*}}\nC: Subject: one\nC:\nC: one\nC: .\nS: %s\n", answer)
	return b.String()
}

// login is a dialogue that begins a session and finds so many messages.
func login(user, password string, messages int) string {
	return fmt.Sprintf("on pop3\nS: +OK {{.*}}\nC: USER %s\nS: +OK {{.*}}\nC: PASS %s\nS: +OK %d messages {{.*}}\n", user, password, messages)
}

func TestShutdownWakesIdleClientsAndFinishesRunningData(t *testing.T) {
	h := start(t, testConfig(t))
	idle, err := h.dial("pop3")
	if err != nil {
		t.Fatal(err)
	}
	running, err := h.dial("smtp")
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	defer running.Close()
	say(t, idle, "", "+OK")
	say(t, running, "", "220")
	say(t, running, "HELO client.example\r\n", "250")
	say(t, running, "MAIL FROM:<a@elsewhere.example>\r\n", "250")
	say(t, running, "RCPT TO:<fred@example.org>\r\n", "250")
	say(t, running, "DATA\r\n", "354")

	h.stop()
	say(t, idle, "", "-ERR")
	say(t, running, "Subject: last\r\n\r\nlast\r\n.\r\n", "250")
	say(t, running, "", "421")
	if err := h.end(); err != nil {
		t.Error(err)
	}
}

// say sends text and expects one reply that begins with want.
func say(t *testing.T, conn net.Conn, text, want string) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	var line []byte
	for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); {
		if _, err := conn.Read(one); err != nil {
			t.Fatalf("after %q: got %q, %v; want %s", text, line, err, want)
		}
		line = append(line, one...)
	}
	if !strings.HasPrefix(string(line), want) {
		t.Fatalf("after %q: got %q, want %s", text, line, want)
	}
}

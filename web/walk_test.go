package web_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/app"
	"restante/web/internal/browser"
)

// chromium is one browser for all tests; each has windows of its own.
var chromium = sync.OnceValues(func() (b *browser.Browser, err error) {
	running, err = browser.Start(context.Background())
	return running, err
})

var running *browser.Browser // nil: no test has needed it

func TestMain(m *testing.M) {
	code := m.Run()
	if running != nil {
		running.Close()
	}
	os.Exit(code)
}

// A house is a whole server on free ports.
type house struct {
	t      *testing.T
	config app.Config
	ports  map[string]string // by the names of the flags
	end    func()
}

// start runs a server until the test ends.
func start(t *testing.T) *house {
	t.Helper()
	any := "127.0.0.1:0"
	h := &house{t: t, config: app.Config{
		Store: "embedded", Data: filepath.Join(t.TempDir(), "data"), Domains: []string{"example.org"},
		SMTP: any, Submission: app.Off, Submissions: app.Off, LMTP: app.Off, POP3: any, POP3S: any, HTTP: any, HTTPS: app.Off, Admin: any,
		TempDomains: []string{"temp.example.org"}, TextDomain: "text.example.org", InsecureAuth: true, AdminToken: "open sesame, please",
		TempLife: 15 * time.Minute, TempMaxLife: 168 * time.Hour, TempMaxMessages: 200, TempRate: 60, HTTPMaxMessage: 1 << 20,
		MaxMessageSize: 1 << 20, MaxRecipients: 100, MaxConnections: 600, MaxPerNetwork: 100,
		SMTPIdle: 5 * time.Minute, POP3Idle: 10 * time.Minute, MinFree: 1 << 20, Grace: 10 * time.Second,
	}}
	h.begin()
	t.Cleanup(func() { h.end() })
	return h
}

// begin runs the server until end is called.
func (h *house) begin() {
	h.t.Helper()
	said := &listing{done: make(chan struct{})}
	a, err := app.New(app.Options{Config: h.config, Version: "test", Log: slog.New(slog.DiscardHandler), Out: said})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	h.end = sync.OnceFunc(func() {
		stop()
		if err := <-stopped; err != nil {
			h.t.Errorf("Run: %v", err)
		}
	})
	<-said.done
	h.ports = said.ports
}

// A listing takes down the ports that a server says it listens on.
type listing struct {
	ports map[string]string
	done  chan struct{}
}

func (l *listing) Write(p []byte) (int, error) {
	if l.ports == nil {
		l.ports = make(map[string]string)
		for line := range strings.Lines(string(p)) {
			if words := strings.Fields(line); len(words) == 2 {
				l.ports[words[0]] = words[1]
			}
		}
		close(l.done)
	}
	return len(p), nil
}

// send sends a mail by SMTP. In it, {to} is the recipient.
func (h *house) send(to, letter string) {
	h.t.Helper()
	c, err := smtp.Dial(h.ports["smtp"])
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Mail("robot@sender.example"), c.Rcpt(to)); err != nil {
		h.t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = strings.NewReplacer("{to}", to, "\n", "\r\n").WriteString(w, letter)
	if err := errors.Join(err, w.Close(), c.Quit()); err != nil {
		h.t.Fatal(err)
	}
}

// A walk is somebody at a window.
type walk struct {
	*browser.Window
	t       *testing.T
	house   *house
	refused bool // that policies refuse something is expected
}

// open opens a window on the page of a server that has nothing yet.
func open(t *testing.T) *walk {
	t.Helper()
	t.Parallel()
	w := look(t, start(t))
	w.visit("/")
	return w
}

// look opens an empty window. Whatever is done in it, nothing may go wrong in the
// scripts and nothing may be refused by a policy.
func look(t *testing.T, h *house) *walk {
	t.Helper()
	b, err := chromium()
	if errors.Is(err, browser.ErrMissing) && os.Getenv("RESTANTE_REQUIRE_CHROMIUM") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	window, stop, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w := &walk{Window: window, t: t, house: h}
	t.Cleanup(func() {
		for _, said := range window.Said() {
			// An info is that the focus was not moved from where somebody put it.
			if !w.refused && !strings.HasPrefix(said, "info: ") && !strings.Contains(said, "Failed to load resource") {
				t.Errorf("the browser says: %s", said)
			}
		}
	})
	return w
}

// must does one thing after the other.
func (w *walk) must(errs ...error) {
	w.t.Helper()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *walk) visit(path string) {
	w.t.Helper()
	w.must(w.Go("http://" + w.house.ports["http"] + path))
}

func (w *walk) click(selector string) { w.t.Helper(); w.must(w.Click(selector)) }

func (w *walk) until(format string, args ...any) {
	w.t.Helper()
	w.must(w.Until(fmt.Sprintf(format, args...)))
}

// shows waits until an element can be seen.
func (w *walk) shows(selector string) {
	w.t.Helper()
	w.until(`document.querySelector(%q)?.checkVisibility()`, selector)
}

// text is what an element says.
func (w *walk) text(selector string) string {
	return ask[string](w, `document.querySelector(%q).textContent`, selector)
}

// focused is the id of what has the focus.
func (w *walk) focused() string { return ask[string](w, `document.activeElement.id`) }

func ask[T any](w *walk, format string, args ...any) T {
	w.t.Helper()
	v, err := browser.Ask[T](w.Window, fmt.Sprintf(format, args...))
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// make makes an address.
func (w *walk) make() (email string) {
	w.t.Helper()
	w.click("#make-button")
	w.live()
	return w.text("#address")
}

// live waits until the page is told of new mail at once.
func (w *walk) live() {
	w.t.Helper()
	w.until(`document.querySelector("#watching").dataset.how === "live"`)
}

// listed waits until so many messages are in the list.
func (w *walk) listed(n int) {
	w.t.Helper()
	w.until(`document.querySelectorAll("#messages li").length === %d`, n)
}

// read opens a message by its place in the list.
func (w *walk) read(place int) {
	w.t.Helper()
	w.click(fmt.Sprintf("#messages li:nth-child(%d)", place))
	w.shows("#letter")
}

// plain is a mail of one part.
func plain(subject, body string) string {
	return "From: Alice <alice@sender.example>\nTo: <{to}>\nSubject: " + subject +
		"\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + body + "\n"
}

// formatted is a mail of HTML.
func formatted(subject, html string) string {
	return strings.Replace(plain(subject, html), "text/plain", "text/html", 1)
}

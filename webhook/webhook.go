// Package webhook tells a server of somebody else about each new message, by a POST
// signed as Standard Webhooks has it (https://www.standardwebhooks.com).
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// Options configures [New]. What is not said to be optional must be there.
type Options struct {
	URL       string            // http or https
	Secret    string            // the key of the signatures: see [ParseSecret]
	Except    []string          // domains of which nothing is told
	Transport http.RoundTripper // nil: one of its own
	Log       *slog.Logger

	Registerer prometheus.Registerer // nil means no metrics
}

// A Notice is the body of a POST.
type Notice struct {
	Type      string    `json:"type"` // always [Received]
	Timestamp time.Time `json:"timestamp"`
	Data      Message   `json:"data"`
}

// Received is the type of a notice of a new message.
const Received = "message.received"

// A Message is a message in one maildrop.
type Message struct {
	ID       string    `json:"id"`      // the same for all recipients of a message
	Address  string    `json:"address"` // of the account or temporary mailbox, aliases followed
	Octets   int64     `json:"octets"`
	Received time.Time `json:"received"`
}

const (
	queueLength = 4096             // notices that wait for their first or next try
	senders     = 4                // tries at once
	tryTimeout  = 10 * time.Second // of one try
	tries       = 6
	firstPause  = time.Second // doubled after each try, up to a half more or less; see docs/http.md
	maxAnswer   = 64 << 10    // octets of an answer that are read, so that the connection can be used again
	minSecret   = 24          // octets of a key, as the standard asks
	maxSecret   = 64
)

// secretPrefix marks a key in base64.
const secretPrefix = "whsec_"

// ParseSecret reads a key: 24 to 64 octets in base64, perhaps after "whsec_". The
// error does not repeat it.
func ParseSecret(s string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
	if err != nil {
		return nil, errors.New("webhook: the secret is not base64")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("webhook: the secret is %d octets, it has to be %d to %d", len(key), minSecret, maxSecret)
	}
	return key, nil
}

// ParseURL reads where to POST to. The error does not repeat it, since it may hold a
// password.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("webhook: not a URL such as https://example.org/hook")
	}
	u.Fragment = ""
	return u, nil
}

// A Hook sends notices. It is a listener for [mailbox.Announcements].
type Hook struct {
	Options
	url     string
	key     []byte
	client  *http.Client
	queue   chan *notice
	metrics metrics
}

// A notice is one that waits.
type notice struct {
	id   string
	body []byte
}

// New returns a hook that sends nothing before Run.
func New(o Options) (*Hook, error) {
	u, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	key, err := ParseSecret(o.Secret)
	if err != nil {
		return nil, err
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.MaxConnsPerHost = senders, senders
		t.MaxResponseHeaderBytes = maxAnswer
		o.Transport = t
	}
	return &Hook{
		Options: o, url: u.String(), key: key,
		client: &http.Client{
			Transport: o.Transport,
			// The signature is for this URL's server; where it leads is not ours to follow.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		queue:   make(chan *notice, queueLength),
		metrics: newMetrics(o.Registerer),
	}, nil
}

// Handle queues a notice for each recipient of a delivery. It never waits: what finds
// the queue full is dropped and counted.
func (h *Hook) Handle(_ context.Context, ev mailbox.Event) error {
	delivered, ok := ev.(mailbox.Delivered)
	if !ok {
		return nil
	}
	for i, r := range delivered.Recipients {
		if slices.Contains(h.Except, r.Address.Domain) {
			continue
		}
		n, err := newNotice(r, delivered.Entries[i].Message)
		if err != nil {
			return err
		}
		select {
		case h.queue <- n:
		default:
			h.metrics.dropped.Inc()
		}
	}
	return nil
}

// Dropped counts the notices of an event that never came here.
func (h *Hook) Dropped() { h.metrics.dropped.Inc() }

func newNotice(r mailbox.Recipient, m mailbox.Message) (*notice, error) {
	received := m.ID.Time()
	body, err := json.Marshal(Notice{Type: Received, Timestamp: received, Data: Message{
		ID: m.ID.String(), Address: r.Address.String(), Octets: m.Octets, Received: received,
	}})
	if err != nil {
		return nil, fmt.Errorf("webhook: marshal a notice: %w", err)
	}
	// The same for every try, and for an event that arrives twice, so that the receiver
	// can tell; a maildrop is in no id that leaves the server.
	sum := sha256.Sum256([]byte(m.ID.String() + " " + r.Address.String()))
	return &notice{id: "msg_" + base64.RawURLEncoding.EncodeToString(sum[:16]), body: body}, nil
}

// Run sends what is queued until the context ends, and returns soon after. What waits
// then is dropped and counted. It is called once.
func (h *Hook) Run(ctx context.Context) {
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case n := <-h.queue:
					h.send(ctx, n)
				}
			}
		})
	}
	running.Wait()
	for range len(h.queue) {
		<-h.queue
		h.metrics.dropped.Inc()
	}
	h.client.CloseIdleConnections()
}

// send tries until the receiver takes a notice, or for the last time. It holds up one
// sender: a receiver that is away gets few tries, and the queue drops the rest.
func (h *Hook) send(ctx context.Context, n *notice) {
	var err error
	pause := firstPause
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				h.metrics.dropped.Inc()
				return
			case <-time.After(pause/2 + rand.N(pause)):
			}
			pause *= 2
		}
		if err = h.try(ctx, n); err == nil {
			h.metrics.sent.Inc()
			return
		}
		if ctx.Err() != nil {
			h.metrics.dropped.Inc()
			return
		}
		h.metrics.failed.Inc()
		if errors.Is(err, errGone) {
			break
		}
	}
	h.metrics.dropped.Inc()
	h.Log.Warn("notice given up", "webhook", n.id, "err", err)
}

// errGone is the wish of a receiver to hear no more of it (410).
var errGone = errors.New("the receiver is gone")

// try sends a notice once.
func (h *Hook) try(ctx context.Context, n *notice) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(n.body))
	if err != nil {
		return fmt.Errorf("webhook: make a request: %w", err)
	}
	now := time.Now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Restante")
	r.Header.Set("Webhook-Id", n.id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", sign(h.key, n.id, now, n.body))
	answer, err := h.client.Do(r)
	if err != nil {
		return fmt.Errorf("webhook: send: %w", withoutURL(err))
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, maxAnswer) //nolint:errcheck // the status is the answer
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return nil
	case answer.StatusCode == http.StatusGone:
		return errGone
	}
	return fmt.Errorf("webhook: send: the answer is %d", answer.StatusCode)
}

// withoutURL keeps the URL out of the log: it may hold a password.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// sign is the signature of Standard Webhooks, version 1: HMAC-SHA256 of id, time and
// body.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

type metrics struct{ sent, failed, dropped prometheus.Counter }

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "restante_webhook_" + name, Help: help})
	}
	m := metrics{
		sent:    counter("sent_total", "Notices that the receiver took."),
		failed:  counter("failed_total", "Tries that failed."),
		dropped: counter("dropped_total", "Notices that the receiver never took."),
	}
	if r != nil {
		r.MustRegister(m.sent, m.failed, m.dropped)
	}
	return m
}

package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

var (
	key    = bytes.Repeat([]byte("k"), 32)
	secret = "whsec_" + base64.StdEncoding.EncodeToString(key)
)

// A receiver is the other end of a hook, without a network.
type receiver struct {
	answer func(*http.Request) (int, error) // for each try; nil: 200

	mu    sync.Mutex
	tries []try
}

type try struct {
	at     time.Time
	header http.Header
	body   []byte
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.tries = append(r.tries, try{time.Now(), q.Header, body})
	r.mu.Unlock()
	status := http.StatusOK
	if r.answer != nil {
		if status, err = r.answer(q); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"http://inside.example/"}}, Body: http.NoBody, Request: q}, nil
}

func (r *receiver) got() []try {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]try(nil), r.tries...)
}

// A running hook, its log, and how to end it.
type running struct {
	*Hook
	log *bytes.Buffer
	end func()
}

// run starts a hook in a bubble.
func run(t *testing.T, to http.RoundTripper) *running {
	t.Helper()
	log := &bytes.Buffer{}
	h, err := New(Options{
		URL: "https://user:pass@example.org/hook", Secret: secret, Transport: to, Except: []string{"text.example.org"},
		Log: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { h.Run(ctx) })
	return &running{h, log, func() { cancel(); done.Wait() }}
}

func (r *running) deliver(t *testing.T, to ...string) mailbox.MessageID {
	t.Helper()
	ev := mailbox.Delivered{}
	id := new(mailbox.MessageIDs).Next()
	for _, local := range to {
		ev.Recipients = append(ev.Recipients, mailbox.Recipient{Address: mailbox.Address{Local: local, Domain: "temp.example.org"}})
		ev.Entries = append(ev.Entries, mailbox.Entry{Message: mailbox.Message{ID: id, Octets: 42}})
	}
	if err := r.Handle(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	return id
}

// count is the value of a metric.
func (r *running) count(t *testing.T, name string) float64 {
	t.Helper()
	families, err := r.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "restante_webhook_"+name+"_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func (r *running) wantCounts(t *testing.T, sent, failed, dropped float64) {
	t.Helper()
	for name, want := range map[string]float64{"sent": sent, "failed": failed, "dropped": dropped} {
		if got := r.count(t, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestEachRecipientIsANoticeThatIsSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &receiver{}
		h := run(t, to)
		id := h.deliver(t, "ann", "bob")
		if err := h.Handle(t.Context(), mailbox.Expunged{}); err != nil {
			t.Fatal(err)
		}
		text := mailbox.Delivered{Recipients: []mailbox.Recipient{{Address: mailbox.Address{Local: "ann", Domain: "text.example.org"}}}, Entries: make([]mailbox.Entry, 1)}
		if err := h.Handle(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.end()
		seen := map[string]bool{}
		for _, got := range to.got() {
			var n Notice
			if err := json.Unmarshal(got.body, &n); err != nil {
				t.Fatal(err)
			}
			seen[n.Data.Address] = true
			n.Data.Address = ""
			if want := (Notice{Received, id.Time(), Message{ID: id.String(), Octets: 42, Received: id.Time()}}); n != want {
				t.Errorf("%+v, want %+v", n, want)
			}
			// As the standard says it, apart from how the hook does it.
			mac := hmac.New(sha256.New, key)
			io.WriteString(mac, got.header.Get("webhook-id")+"."+strconv.FormatInt(got.at.Unix(), 10)+"."+string(got.body))
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.header.Get("webhook-signature") != want {
				t.Errorf("the signature is %s, want %s", got.header.Get("webhook-signature"), want)
			}
			if got.header.Get("webhook-timestamp") != strconv.FormatInt(got.at.Unix(), 10) || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s", got.header)
			}
			seen[got.header.Get("webhook-id")] = true
		}
		if len(to.got()) != 2 || len(seen) != 4 || !seen["ann@temp.example.org"] || !seen["bob@temp.example.org"] {
			t.Errorf("%d notices: %v", len(to.got()), seen)
		}
		h.wantCounts(t, 2, 0, 0)
	})
}

// The example of the standard's own libraries.
func TestTheSignatureIsThatOfTheStandard(t *testing.T) {
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestANoticeIsTriedAgainWithTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		to := &receiver{answer: func(*http.Request) (int, error) {
			n++
			switch n {
			case 1:
				return 0, errors.New("refused")
			case 2:
				return http.StatusInternalServerError, nil
			case 3:
				return http.StatusFound, nil // which is not followed
			}
			return http.StatusNoContent, nil
		}}
		h := run(t, to)
		h.deliver(t, "ann")
		time.Sleep(time.Minute)
		h.end()
		got := to.got()
		if len(got) != 4 {
			t.Fatalf("%d tries", len(got))
		}
		for i, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if waited := got[i+1].at.Sub(got[i].at); waited < pause/2 || waited > pause*3/2 {
				t.Errorf("try %d came after %s", i+2, waited)
			}
			if got[i+1].header.Get("webhook-id") != got[i].header.Get("webhook-id") || !bytes.Equal(got[i+1].body, got[i].body) {
				t.Errorf("try %d is another notice", i+2)
			}
		}
		if first, last := got[0].header, got[3].header; first.Get("webhook-timestamp") == last.Get("webhook-timestamp") || first.Get("webhook-signature") == last.Get("webhook-signature") {
			t.Errorf("the last try, %s after the first, has its signature", got[3].at.Sub(got[0].at))
		}
		h.wantCounts(t, 1, 3, 0)
	})
}

func TestANoticeIsGivenUpAndTheLogDoesNotSayWhere(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*http.Request) (int, error)
		tries  int
	}{
		"refused": {func(*http.Request) (int, error) { return 0, errors.New("refused") }, tries},
		"gone":    {func(*http.Request) (int, error) { return http.StatusGone, nil }, 1},
		"silent":  {func(q *http.Request) (int, error) { <-q.Context().Done(); return 0, q.Context().Err() }, tries},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := &receiver{answer: c.answer}
				h := run(t, to)
				h.deliver(t, "ann")
				time.Sleep(10 * time.Minute)
				h.end()
				if got := len(to.got()); got != c.tries {
					t.Errorf("%d tries, want %d", got, c.tries)
				}
				h.wantCounts(t, 0, float64(c.tries), 1)
				if log := h.log.String(); strings.Count(log, "notice given up") != 1 || strings.Contains(log, "pass") || strings.Contains(log, "example.org") {
					t.Errorf("the log says %s", log)
				}
			})
		})
	}
}

func TestAReceiverThatIsSilentHoldsUpNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &receiver{answer: func(q *http.Request) (int, error) { <-q.Context().Done(); return 0, q.Context().Err() }}
		h := run(t, to)
		began := time.Now()
		const more = 10
		for range senders {
			h.deliver(t, "ann")
		}
		synctest.Wait() // each sender has one
		for range queueLength + more {
			h.deliver(t, "ann")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("deliveries waited for %s", took)
		}
		h.wantCounts(t, 0, 0, more)
		h.end()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end waited for %s", took)
		}
		h.wantCounts(t, 0, 0, queueLength+more+senders)
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := make(chan struct{}, tries)
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed <- struct{}{} }))
	defer target.Close()
	asked := make(chan struct{}, tries)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		asked <- struct{}{}
	}))
	defer first.Close()
	h, err := New(Options{URL: first.URL, Secret: secret, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = h.try(t.Context(), &notice{id: "msg_x", body: []byte("{}")})
	if err == nil || !strings.Contains(err.Error(), "307") || len(asked) != 1 || len(followed) != 0 {
		t.Errorf("%v, asked %d times, followed %d times", err, len(asked), len(followed))
	}
}

func TestWhatIsNoURLOrSecretIsRefusedAndNotRepeated(t *testing.T) {
	for _, c := range []struct{ url, secret string }{
		{"", secret},
		{"hunter2", secret},
		{"ftp://hunter2@example.org/", secret},
		{"https:///hunter2", secret},
		{"https://hunter2:%zz@example.org/", secret},
		{"https://example.org/", ""},
		{"https://example.org/", "hunter2!"},
		{"https://example.org/", "whsec_hunter2="},
		{"https://example.org/", base64.StdEncoding.EncodeToString(key[:minSecret-1])},
		{"https://example.org/", base64.StdEncoding.EncodeToString(bytes.Repeat(key, 3))},
	} {
		if _, err := New(Options{URL: c.url, Secret: c.secret}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q %q: %v", c.url, c.secret, err)
		}
	}
}

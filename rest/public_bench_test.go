package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"restante/embedded"
	"restante/mailbox"
	"restante/temporary"
)

// newEmbeddedLodge is a public interface over the embedded store.
func newEmbeddedLodge(b *testing.B) (*temporary.Mailboxes, func() http.Handler) {
	b.Helper()
	store, err := embedded.Open(embedded.Options{Dir: b.TempDir(), Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	m, err := temporary.New(temporary.Options{
		Directory: &mailbox.Directory{Addresses: store.Addresses(), Domains: []string{"example.org"}, TempDomains: []string{"temp.example.org"}},
		Maildrops: store.Maildrops(), Contents: store.Contents(), MaxMessages: 20_000,
		Deliveries: &mailbox.Deliveries{
			Contents: store.Contents(), Project: mailbox.Projector{Maildrops: store.Maildrops()}, IDs: &mailbox.MessageIDs{}, Log: quiet(),
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return m, func() http.Handler {
		return Public(PublicOptions{Mailboxes: m, MaxShown: 20_000, CreateRate: 1 << 30, Log: quiet(), Version: "test"})
	}
}

// BenchmarkListing lists the newest 20 messages, and tells the median.
func BenchmarkListing(b *testing.B) {
	for _, size := range []int{20, 10_000} {
		mailboxes, handler := newEmbeddedLodge(b)
		made, err := mailboxes.Create(b.Context(), temporary.Request{})
		if err != nil {
			b.Fatal(err)
		}
		text := "From: Alice <alice@example.com>\r\nSubject: A message\r\nDate: Sat, 31 Jan 2026 13:00:00 +0100\r\nMessage-ID: <x@example.com>\r\n\r\n" + strings.Repeat("Some words of text.\r\n", 50)
		for range size {
			deliverTo(b, mailboxes, made, text)
		}
		for _, fields := range []string{"full", "summary"} {
			for _, memory := range []string{"remembered", "read"} {
				b.Run(fmt.Sprintf("%d/%s/%s", size, fields, memory), func(b *testing.B) {
					h := handler()
					r := httptest.NewRequest("GET", "/mailboxes/"+made.Address.String()+"/messages?limit=20&fields="+fields, nil)
					r.RemoteAddr = "127.0.0.1:1"
					var took []time.Duration
					for b.Loop() {
						if memory == "read" {
							b.StopTimer()
							h = handler()
							b.StartTimer()
						}
						w := httptest.NewRecorder()
						began := time.Now()
						h.ServeHTTP(w, r)
						took = append(took, time.Since(began))
						if w.Code != http.StatusOK {
							b.Fatal(w.Code, w.Body)
						}
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				})
			}
		}
	}
}

// BenchmarkPost posts small messages from many clients at once.
func BenchmarkPost(b *testing.B) {
	mailboxes, handler := newEmbeddedLodge(b)
	h := handler()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		made, err := mailboxes.Create(b.Context(), temporary.Request{Local: fmt.Sprintf("user%d", n.Add(1))})
		if err != nil {
			b.Error(err)
			return
		}
		for pb.Next() {
			r := httptest.NewRequest("POST", "/mailboxes/"+made.Address.String()+"/messages",
				strings.NewReader(`{"sender":"alice@example.com","subject":"A message","body":"Some words of text, as the load has them."}`))
			r.Header.Set("Content-Type", "application/json")
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				b.Error(w.Code, w.Body)
				return
			}
		}
	})
}

package mission

import (
	"slices"
	"sync"
	"time"

	"restante/perf/latency"
)

// A Latency is what the times of one command came to, in ms.
type Latency struct {
	Name  string  `json:"name"`
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

// What is timed, in the order of the table. Times of what failed do not count.
const (
	fromDue      = "mail, from when it was due"
	fromMail     = "mail, from MAIL"
	envelope     = "MAIL and RCPT"
	data         = "DATA"
	content      = "end of DATA"
	firstLogin   = "first login"
	connect      = "connect"
	login        = "login"
	stat         = "STAT"
	retr         = "RETR"
	dele         = "DELE"
	quit         = "QUIT"
	quitRemoving = "QUIT that removes"
)

var timed = []string{fromDue, fromMail, envelope, data, content, firstLogin, connect, login, stat, retr, dele, quit, quitRemoving}

// times has those of all connections.
type times struct {
	mu sync.Mutex
	of map[string]*latency.Histogram
}

func newTimes() *times { return &times{of: map[string]*latency.Histogram{}} }

func (t *times) record(name string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.histogram(name).Record(d)
}

func (t *times) merge(name string, h *latency.Histogram) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.histogram(name).Merge(h)
}

func (t *times) histogram(name string) *latency.Histogram {
	h := t.of[name]
	if h == nil {
		h = new(latency.Histogram)
		t.of[name] = h
	}
	return h
}

// take times what succeeds.
func (t *times) take(name string, do func() error) error {
	began := time.Now()
	err := do()
	if err == nil {
		t.record(name, time.Since(began))
	}
	return err
}

func (t *times) latencies() []Latency {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Latency
	for name, h := range t.of {
		all = append(all, summary(name, h))
	}
	slices.SortFunc(all, func(a, b Latency) int { return slices.Index(timed, a.Name) - slices.Index(timed, b.Name) })
	return all
}

func summary(name string, h *latency.Histogram) Latency {
	return Latency{
		Name: name, Count: h.Count(),
		P50: ms(h.Quantile(0.50)), P95: ms(h.Quantile(0.95)), P99: ms(h.Quantile(0.99)), P999: ms(h.Quantile(0.999)), Max: ms(h.Max()),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

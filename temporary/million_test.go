package temporary

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/embedded"
	"restante/mailbox"
)

// BenchmarkExpiryOfMany makes many mailboxes on the embedded store, with a message in
// every tenth, lets all of them end at the same moment, and reports the longest pause
// that somebody saw who delivers, reads and makes others meanwhile, before and during
// the removal. Memory is that of the whole process. For the promise, with -benchtime 1x:
//
//	go test ./temporary -run - -bench 'ExpiryOfMany/mailboxes=1000000$/limited=false' -benchtime 1x -timeout 1h
func BenchmarkExpiryOfMany(b *testing.B) {
	for _, mailboxes := range []int{10_000, 100_000, 1_000_000} {
		for _, limited := range []bool{false, true} {
			b.Run(fmt.Sprintf("mailboxes=%d/limited=%t", mailboxes, limited), func(b *testing.B) {
				for b.Loop() {
					benchmarkExpiry(b, mailboxes, limited)
				}
			})
		}
	}
}

// A shifted clock runs as the system's, and can be set forward.
type shifted struct{ by atomic.Int64 }

func (s *shifted) now() time.Time { return time.Now().Add(time.Duration(s.by.Load())) }

func benchmarkExpiry(b *testing.B, mailboxes int, limited bool) {
	clock := new(shifted)
	store, err := embedded.Open(embedded.Options{Dir: b.TempDir(), Now: clock.now})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	log := slog.New(slog.DiscardHandler)
	announcements := mailbox.NewAnnouncements(log)
	o := Options{
		Directory: &mailbox.Directory{Addresses: store.Addresses(), TempDomains: []string{domain}, Now: clock.now},
		Maildrops: store.Maildrops(),
		Contents:  store.Contents(),
		Deliveries: &mailbox.Deliveries{
			Contents: store.Contents(), Project: mailbox.Projector{Maildrops: store.Maildrops()},
			IDs: &mailbox.MessageIDs{Now: clock.now}, Announce: announcements, Log: log,
		},
		Now: clock.now,
	}
	if limited {
		o.MaxLive = mailboxes + 100_000
	}
	m, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	announcements.Listen("temporary", m, nil)
	announcements.Start()
	defer announcements.Stop()
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	defer running.Wait()
	defer cancel()

	began := time.Now()
	makeMany(b, m, mailboxes)
	b.ReportMetric(float64(mailboxes)/time.Since(began).Seconds(), "made/s")
	b.ReportMetric(residentMiB(b), "RSS-MiB")
	if n := m.living.len(); n != mailboxes {
		b.Fatalf("%d are live; want %d", n, mailboxes)
	}

	before := new(pauses)
	before.watch(b, m, func() { time.Sleep(20 * time.Second) })
	before.report(b, "before")
	clock.by.Add(int64(24 * time.Hour))
	during, began := new(pauses), time.Now()
	during.watch(b, m, func() {
		for again := true; again && err == nil; { // the store does so itself at the same time
			var stats embedded.SweepStats
			stats, err = store.Sweep(b.Context())
			again = stats.Expired > 0
		}
	})
	during.report(b, "during")
	b.ReportMetric(time.Since(began).Seconds(), "removal-s")
	b.ReportMetric(residentMiB(b), "RSS-after-MiB")
	if err != nil {
		b.Fatal(err)
	}
	for live, deadline := m.living.len(), time.Now().Add(10*time.Second); live > 100_000; live = m.living.len() {
		if time.Now().After(deadline) {
			b.Fatalf("%d are live", live)
		}
		time.Sleep(time.Second)
	}
}

// makeMany makes mailboxes that live for a day.
func makeMany(b *testing.B, m *Mailboxes, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for {
				i := left.Add(-1)
				if i < 0 {
					return
				}
				mb, err := m.Create(b.Context(), Request{Life: 24 * time.Hour})
				if err == nil && i%10 == 0 {
					_, err = m.Deliver(b.Context(), mb, bytes.NewReader(letter))
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

var letter = bytes.Repeat([]byte("From: wilma@example.org\r\nSubject: sample\r\n\r\ntext\r\n"), 20)

// pauses are how long calls took while something went on.
type pauses struct {
	mu    sync.Mutex
	calls map[string][]time.Duration
}

func (p *pauses) took(call string, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[call] = append(p.calls[call], time.Since(began))
}

// watch calls while something goes on, every few milliseconds.
func (p *pauses) watch(b *testing.B, m *Mailboxes, something func()) {
	p.calls = make(map[string][]time.Duration)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		full, err := m.Create(b.Context(), Request{Life: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		mb, err := m.Create(b.Context(), Request{Life: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		message, err := m.Deliver(b.Context(), mb, bytes.NewReader(letter))
		if err != nil {
			b.Fatal(err)
		}
		file, err := os.CreateTemp(b.TempDir(), "sync")
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		calls := map[string]func() error{
			"create":  func() error { _, err := m.Create(b.Context(), Request{Life: time.Hour}); return err },
			"deliver": func() error { _, err := m.Deliver(b.Context(), full, bytes.NewReader(letter)); return err },
			"get":     func() error { _, err := m.Get(b.Context(), mb.Address); return err },
			// What the machine itself is good for meanwhile.
			"sleep of 1 ms": func() error { time.Sleep(time.Millisecond); return nil },
			"sync of a file": func() error {
				if _, err := file.WriteAt(letter, 0); err != nil {
					return err
				}
				return file.Sync()
			},
			"newest": func() error { _, err := m.Newest(b.Context(), mb, mailbox.MessageID{}, 20); return err },
			"read": func() error {
				r, err := m.Open(b.Context(), message)
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
				return err
			},
		}
		for name, call := range calls {
			all.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
					}
					began := time.Now()
					if err := call(); err != nil {
						b.Errorf("%s: %v", name, err)
						return
					}
					p.took(name, began)
				}
			})
		}
	}
	something()
	close(done)
	all.Wait()
}

func (p *pauses) report(b *testing.B, when string) {
	for call, took := range p.calls {
		slices.Sort(took)
		at := func(q float64) float64 {
			return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
		}
		b.Logf("%s: %-14s %6d calls, p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.2f ms", when, call, len(took), at(0.5), at(0.99), at(0.999), at(1))
		b.ReportMetric(at(1), strings.ReplaceAll(call, " ", "-")+"-longest-"+when+"-ms")
	}
}

// residentMiB is the memory that the process has, in MiB.
func residentMiB(b *testing.B) float64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

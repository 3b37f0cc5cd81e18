package textman

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"restante/embedded"
	"restante/mailbox"
)

// onDisk is a service on the embedded store.
func onDisk(b *testing.B) *Service {
	b.Helper()
	dir := b.TempDir()
	store, err := embedded.Open(embedded.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	s, err := New(Options{
		Domain:    "text.example",
		Maildrops: store.Maildrops(),
		Contents:  store.Contents(),
		Deliveries: &mailbox.Deliveries{
			Contents: store.Contents(), Project: mailbox.Projector{Maildrops: store.Maildrops()},
			IDs: new(mailbox.MessageIDs), Log: slog.New(slog.DiscardHandler),
		},
		Log:    slog.New(slog.DiscardHandler),
		IDFile: filepath.Join(dir, "ids"),
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

const sentence = "Meet me at the post office, the one with the yellow door." // 57 octets

// parallel runs b.N calls in so many goroutines and tells how many a second, and the
// processor time of each.
func parallel(b *testing.B, n int, what string, call func(worker, i int) error) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	failed := make(chan error, n)
	b.ReportAllocs()
	b.ResetTimer()
	began := used()
	for worker := range n {
		go func() {
			var err error
			for i := left.Add(-1); err == nil && i >= 0; i = left.Add(-1) {
				err = call(worker, int(i))
			}
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64((used()-began).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), what+"/s")
}

// BenchmarkText is one text posted and one user asked, as by so many clients that do
// both in turn.
func BenchmarkText(b *testing.B) {
	for _, workers := range []int{1, 4, 64} {
		for _, users := range []int{1, 2000} {
			b.Run(fmt.Sprintf("workers=%d/users=%d", workers, users), func(b *testing.B) {
				s := onDisk(b)
				name := func() string { return fmt.Sprintf("user-%d", rand.IntN(users)) }
				parallel(b, workers, "texts", func(int, int) error {
					if _, err := s.Post(b.Context(), name(), sentence, time.Minute); err != nil {
						return err
					}
					_, err := s.Take(b.Context(), name())
					return err
				})
			})
		}
	}
}

// BenchmarkPost is half of it.
func BenchmarkPost(b *testing.B) {
	for _, workers := range []int{1, 4, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := onDisk(b)
			parallel(b, workers, "texts", func(_, i int) error {
				_, err := s.Post(b.Context(), fmt.Sprintf("user-%d", i%2000), sentence, time.Minute)
				return err
			})
		})
	}
}

// BenchmarkTake is what a Take costs that finds so many.
func BenchmarkTake(b *testing.B) {
	for _, texts := range []int{0, 1, 100, 1000} {
		b.Run(fmt.Sprintf("texts=%d", texts), func(b *testing.B) {
			s := onDisk(b)
			for b.Loop() {
				b.StopTimer()
				for range texts {
					if _, err := s.Post(b.Context(), "fred", sentence, time.Hour); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if got, err := s.Take(b.Context(), "fred"); err != nil || len(got) != texts {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}

// BenchmarkMessage is what the form of a text costs.
func BenchmarkMessage(b *testing.B) {
	for _, octets := range []int{57, MaxText} {
		text := strings.Repeat(sentence, octets/len(sentence)+1)[:octets]
		content := compose(fred, Text{1, text}, someTime, someTime)
		b.Run(fmt.Sprintf("compose/octets=%d", octets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compose(fred, Text{1, text}, someTime, someTime)
			}
		})
		b.Run(fmt.Sprintf("read/octets=%d", octets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(strings.NewReader(string(content))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package embedded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// writers are how many deliver at once.
var writers = []int{1, 8, 32}

const smallMail = 4 << 10

// BenchmarkDelivery is a delivery of 4 KiB, durable when it returns, and beside
// it the least that Pebble has to do for one: the same octets in one batch.
func BenchmarkDelivery(b *testing.B) {
	content := mailboxtest.Message(smallMail)
	for _, n := range writers {
		b.Run(fmt.Sprintf("store/writers=%d", n), func(b *testing.B) {
			s := onDisk(b, 0)
			ids := new(mailbox.MessageIDs)
			parallel(b, n, func(writer int) error {
				return put(b.Context(), s, ids.Next(), content, benchDrop(writer))
			})
		})
		b.Run(fmt.Sprintf("bare/writers=%d", n), func(b *testing.B) {
			s := onDisk(b, 0)
			ids := new(mailbox.MessageIDs)
			parallel(b, n, func(writer int) error {
				id := ids.Next()
				batch := s.db.NewBatch()
				batch.Set(partKey(id, 0), content, nil)
				batch.Set(rowKey(benchDrop(writer), 0, id), nil, nil)
				return s.db.Apply(batch, pebble.Sync)
			})
		})
	}
}

// reportCPU adds the processor time of the whole process for each operation,
// which is steadier than time where others use the machine. Call what it returns
// at the end.
func reportCPU(b *testing.B) (end func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric(float64((used()-start).Microseconds())/float64(b.N), "cpu-µs/op") }
}

// put delivers a message.
func put(ctx context.Context, s *Store, id mailbox.MessageID, content []byte, drop mailbox.MaildropID) error {
	c := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{drop}}
	octets, err := s.Contents().Put(ctx, c, bytes.NewReader(content))
	if err != nil {
		return err
	}
	return s.Maildrops().Add(ctx, []mailbox.Entry{{Maildrop: drop, Message: mailbox.Message{ID: id, Octets: octets}}})
}

// parallel runs b.N calls in so many goroutines and reports calls per second.
func parallel(b *testing.B, n int, call func(writer int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	failed := make(chan error, n)
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b)()
	for writer := range n {
		go func() {
			var err error
			for err == nil && left.Add(-1) >= 0 {
				err = call(writer)
			}
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

func benchDrop(n int) mailbox.MaildropID { return mailbox.MaildropID{1, byte(n), byte(n >> 8)} }

// onDisk is a store on the disk, with so many lines of listings in memory.
func onDisk(b *testing.B, cached int) *Store {
	return openStore(b, Options{Dir: b.TempDir(), FS: vfs.Default, CachedMessages: cached})
}

// BenchmarkList is what a login costs.
func BenchmarkList(b *testing.B) {
	for _, messages := range []int{0, 20, 10_000} {
		s := onDisk(b, 0)
		fill(b, s, messages)
		b.Run(fmt.Sprintf("warm/messages=%d", messages), func(b *testing.B) { listAgain(b, s, benchDrop(0), messages, false) })
		b.Run(fmt.Sprintf("cold/messages=%d", messages), func(b *testing.B) { listAgain(b, s, benchDrop(0), messages, true) })
	}
}

// BenchmarkListAfterDeletions is what a login costs where much has been: in
// turn delivered and deleted, 100 at a time, but for the oldest that were kept.
func BenchmarkListAfterDeletions(b *testing.B) {
	for _, deleted := range []int{0, 100_000, 1_000_000} {
		for _, kept := range []int{0, 1} {
			s := onDisk(b, 0)
			fill(b, s, kept)
			ids := new(mailbox.MessageIDs)
			for range deleted / 100 {
				messages, entries := someMessages(ids, 100)
				if err := s.Maildrops().Add(b.Context(), entries); err != nil {
					b.Fatal(err)
				}
				if err := s.Maildrops().Remove(b.Context(), benchDrop(0), messages...); err != nil {
					b.Fatal(err)
				}
			}
			for _, cold := range []bool{false, true} {
				name := fmt.Sprintf("deleted=%d/kept=%d/cold=%t", deleted, kept, cold)
				b.Run(name, func(b *testing.B) { listAgain(b, s, benchDrop(0), kept, cold) })
				b.Run(name+"/beside", func(b *testing.B) { listAgain(b, s, benchDrop(1), 0, cold) })
			}
		}
	}
}

func someMessages(ids *mailbox.MessageIDs, n int) ([]mailbox.Message, []mailbox.Entry) {
	messages, entries := make([]mailbox.Message, n), make([]mailbox.Entry, n)
	for i := range n {
		messages[i] = mailbox.Message{ID: ids.Next(), Octets: smallMail}
		entries[i] = mailbox.Entry{Maildrop: benchDrop(0), Message: messages[i]}
	}
	return messages, entries
}

// fill lists messages in a maildrop.
func fill(b *testing.B, s *Store, n int) []mailbox.Message {
	messages, entries := someMessages(new(mailbox.MessageIDs), n)
	if err := s.Maildrops().Add(b.Context(), entries); err != nil {
		b.Fatal(err)
	}
	return messages
}

func listAgain(b *testing.B, s *Store, drop mailbox.MaildropID, want int, cold bool) {
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if cold {
			s.maildrops.cache = newListingCache(defaultCachedMessages)
		}
		got, err := s.Maildrops().List(b.Context(), drop)
		if err != nil || len(got) != want {
			b.Fatalf("%d messages, %v; want %d", len(got), err, want)
		}
	}
}

// BenchmarkExpunge10000 deletes 10,000 messages in one QUIT.
func BenchmarkExpunge10000(b *testing.B) {
	content := mailboxtest.Message(smallMail)
	for b.Loop() {
		b.StopTimer()
		s := onDisk(b, 0)
		ids := new(mailbox.MessageIDs)
		var entries []mailbox.Entry
		for range 10_000 {
			id := ids.Next()
			if _, err := s.Contents().Put(b.Context(), mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{benchDrop(0)}}, bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
			entries = append(entries, mailbox.Entry{Maildrop: benchDrop(0), Message: mailbox.Message{ID: id, Octets: smallMail}})
		}
		if err := s.Maildrops().Add(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
		messages, err := s.Maildrops().List(b.Context(), benchDrop(0))
		if err != nil || len(messages) != 10_000 {
			b.Fatal(len(messages), err)
		}
		d := &mailbox.Deliveries{Contents: s.Contents(), Project: mailbox.Projector{Maildrops: s.Maildrops()}}
		b.StartTimer()
		if err := d.Expunge(b.Context(), benchDrop(0), messages...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads a content of 25 MiB.
func BenchmarkRead(b *testing.B) {
	content := mailboxtest.Message(25 << 20)
	s := onDisk(b, 0)
	id := new(mailbox.MessageIDs).Next()
	if err := put(b.Context(), s, id, content, benchDrop(0)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		r, err := s.Contents().Open(b.Context(), mailbox.Message{ID: id})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(content)) {
			b.Fatal(n, err)
		}
		r.Close()
	}
}

// BenchmarkReadSmall opens and reads a content of 4 KiB.
func BenchmarkReadSmall(b *testing.B) {
	s := onDisk(b, 0)
	ids := new(mailbox.MessageIDs)
	all := make([]mailbox.MessageID, 10_000)
	for i := range all {
		all[i] = ids.Next()
		c := mailbox.Content{ID: all[i], Maildrops: []mailbox.MaildropID{benchDrop(0)}}
		if _, err := s.Contents().Put(b.Context(), c, bytes.NewReader(mailboxtest.Message(smallMail))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	i := 0
	for b.Loop() {
		i++
		r, err := s.Contents().Open(b.Context(), mailbox.Message{ID: all[i*7919%len(all)]})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != smallMail {
			b.Fatal(n, err)
		}
		r.Close()
	}
}

// BenchmarkPut25MiB delivers 25 MiB.
func BenchmarkPut25MiB(b *testing.B) {
	content := mailboxtest.Message(25 << 20)
	s := onDisk(b, 0)
	ids := new(mailbox.MessageIDs)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if err := put(b.Context(), s, ids.Next(), content, benchDrop(0)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookup finds an address among 10,000.
func BenchmarkLookup(b *testing.B) {
	s := onDisk(b, 0)
	address := func(n int) mailbox.Address {
		return mailbox.Address{Local: fmt.Sprintf("user%d", n), Domain: "example.org"}
	}
	batch := s.batch(0)
	for n := range 10_000 {
		batch.set(addressKey(address(n)), appendRoute(nil, mailbox.Route{Kind: mailbox.Account, Life: 1, Secret: "$argon2id$", Created: time.Unix(0, 0)}))
	}
	if err := s.commit(batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Addresses().Lookup(b.Context(), address(n*7919%10_000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewest is what a page of the newest 20 costs, of a maildrop that is in
// memory and of one that is not.
func BenchmarkNewest(b *testing.B) {
	for _, messages := range []int{20, 10_000} {
		s := onDisk(b, 0)
		all := fill(b, s, messages)
		for _, where := range []string{"memory", "disk"} {
			for _, from := range []struct {
				name   string
				before mailbox.MessageID
				want   int
			}{{"top", mailbox.MessageID{}, 20}, {"middle", all[messages/2].ID, min(20, messages/2)}} {
				b.Run(fmt.Sprintf("%s/%s/messages=%d", where, from.name, messages), func(b *testing.B) {
					s.maildrops.cache = newListingCache(defaultCachedMessages)
					if where == "memory" {
						if _, err := s.Maildrops().List(b.Context(), benchDrop(0)); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportAllocs()
					for b.Loop() {
						got, err := s.Maildrops().Newest(b.Context(), benchDrop(0), from.before, 20)
						if err != nil || len(got) != from.want {
							b.Fatalf("%d messages, %v; want %d", len(got), err, from.want)
						}
					}
				})
			}
		}
	}
}

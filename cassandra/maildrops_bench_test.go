package cassandra

import (
	"fmt"
	"testing"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

// manyAtOnce is how many messages the benchmarks add in one call.
const manyAtOnce = 1000

// filled is a maildrop with so many messages, which four processes delivered.
func filled(b *testing.B, s *Store, messages int) mailbox.MaildropID {
	b.Helper()
	drop := someDrop()
	processes := []*maildrops{newMaildrops(s.session), newMaildrops(s.session), newMaildrops(s.session), newMaildrops(s.session)}
	for n := 0; messages > 0; n++ {
		some := min(messages, manyAtOnce/len(processes))
		add(b, processes[n%len(processes)], newEntries(drop, some))
		messages -= some
	}
	return drop
}

// BenchmarkList is what a login waits for, and beside it the same rows as a bare
// program reads them with the driver.
func BenchmarkList(b *testing.B) {
	s := newStore(b)
	for _, messages := range []int{0, 100, 10_000} {
		drop := filled(b, s, messages)
		b.Run(fmt.Sprintf("store/messages=%d", messages), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if list := listOf(b, s.Maildrops(), drop); len(list) != messages {
					b.Fatalf("%d are listed", len(list))
				}
			}
		})
		b.Run(fmt.Sprintf("bare/messages=%d", messages), func(b *testing.B) {
			db, err := s.session.connection()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				rows := db.Query("SELECT lane, ord, id, octets, recipients, expires FROM maildrop WHERE maildrop = ?", gocql.UUID(drop)).
					PageSize(5000).Consistency(gocql.LocalQuorum).Iter()
				var list []bareLine
				for l := (bareLine{}); rows.Scan(&l.lane, &l.ord, &l.id, &l.octets, &l.recipients, &l.expires); {
					list = append(list, l)
				}
				if err := rows.Close(); err != nil || len(list) != messages {
					b.Fatalf("%d are listed, %v", len(list), err)
				}
			}
		})
	}
}

type bareLine struct {
	lane, id        gocql.UUID
	ord, recipients int
	octets, expires int64
}

// BenchmarkRemove is what QUIT waits for.
func BenchmarkRemove(b *testing.B) {
	s := newStore(b)
	for _, messages := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("all/messages=%d", messages), func(b *testing.B) { benchmarkRemove(b, s, messages, 1) })
		b.Run(fmt.Sprintf("every other/messages=%d", messages), func(b *testing.B) { benchmarkRemove(b, s, messages, 2) })
	}
}

func benchmarkRemove(b *testing.B, s *Store, messages, step int) {
	for range b.N {
		b.StopTimer()
		drop := filled(b, s, messages)
		var gone []mailbox.Message
		for i, m := range listOf(b, s.Maildrops(), drop) {
			if i%step == 0 {
				gone = append(gone, m)
			}
		}
		b.StartTimer()
		remove(b, s.Maildrops(), drop, gone...)
	}
}

// BenchmarkListAfterRemovals is what a login waits for where much has been: it was
// delivered and removed, 125 messages at a time, by four processes in turn.
func BenchmarkListAfterRemovals(b *testing.B) {
	s := newStore(b)
	for _, removed := range []int{0, 10_000, 100_000} {
		drop := someDrop()
		processes := []*maildrops{newMaildrops(s.session), newMaildrops(s.session), newMaildrops(s.session), newMaildrops(s.session)}
		for n := range removed / 125 {
			add(b, processes[n%4], newEntries(drop, 125))
			remove(b, processes[n%4], drop, listOf(b, s.Maildrops(), drop)...)
		}
		b.Run(fmt.Sprintf("removed=%d", removed), func(b *testing.B) {
			for b.Loop() {
				if list := listOf(b, s.Maildrops(), drop); len(list) != 0 {
					b.Fatalf("%d are listed", len(list))
				}
			}
		})
	}
}

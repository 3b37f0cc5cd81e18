package cassandra

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

const (
	smallMail = 4 << 10
	largeMail = 25 << 20
)

// benchSizes are what the benchmarks put and read.
var benchSizes = []struct {
	name   string
	octets int
}{{"4KiB", smallMail}, {"25MiB", largeMail}}

// bareSession is the driver and nothing else, on the tables of newStore.
func bareSession(b *testing.B) *gocql.Session {
	o := tableOptions(b)
	return cassandratest.Start(b).Session(b, o.Datacenter, o.Keyspace)
}

// BenchmarkPut is a content that is put, and beside it the same rows written by the
// driver, as many at once.
func BenchmarkPut(b *testing.B) {
	for _, size := range benchSizes {
		content := mailboxtest.Message(size.octets)
		b.Run(size.name+"/store", func(b *testing.B) {
			s := newStore(b)
			drops := someDrops(1)
			b.SetBytes(int64(size.octets))
			b.ReportAllocs()
			for b.Loop() {
				c := mailbox.Content{ID: ids.Next(), Maildrops: drops}
				if _, err := s.Contents().Put(b.Context(), c, bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/bare", func(b *testing.B) {
			db := bareSession(b)
			b.SetBytes(int64(size.octets))
			b.ReportAllocs()
			for b.Loop() {
				if err := putBare(db, ids.Next(), content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// putBare writes the rows of a content.
func putBare(db *gocql.Session, id mailbox.MessageID, content []byte) error {
	parts := (len(content) + partSize - 1) / partSize
	insert := func(n int) error {
		return db.Query("INSERT INTO message (id, part, data, octets, parts) VALUES (?, ?, ?, ?, ?)",
			gocql.UUID(id), n, content[n*partSize:min((n+1)*partSize, len(content))], len(content), parts).Exec()
	}
	if parts == 1 {
		return insert(0)
	}
	var all errgroup.Group
	all.SetLimit(maxWriting)
	for n := range parts {
		all.Go(func() error { return insert(n) })
	}
	return all.Wait()
}

// BenchmarkOpen is a content that is read to its end, and beside it its rows read by
// the driver, as many at once.
func BenchmarkOpen(b *testing.B) {
	for _, size := range benchSizes {
		s := newStore(b)
		id := ids.Next()
		keep(b, s, mailbox.Content{ID: id, Maildrops: someDrops(1)}, mailboxtest.Message(size.octets))
		b.Run(size.name+"/store", func(b *testing.B) {
			b.SetBytes(int64(size.octets))
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Contents().Open(b.Context(), mailbox.Message{ID: id})
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != int64(size.octets) {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
		b.Run(size.name+"/bare", func(b *testing.B) {
			db := bareSession(b)
			b.SetBytes(int64(size.octets))
			b.ReportAllocs()
			for b.Loop() {
				if err := openBare(db, id, size.octets); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// openBare reads the rows of a content.
func openBare(db *gocql.Session, id mailbox.MessageID, octets int) error {
	parts := (octets + partSize - 1) / partSize
	read := func(n int) error {
		var data []byte
		err := db.Query("SELECT data FROM message WHERE id = ? AND part = ?", gocql.UUID(id), n).Consistency(gocql.LocalOne).Scan(&data)
		if err == nil && len(data) != min(partSize, octets-n*partSize) {
			err = fmt.Errorf("part %d has %d octets", n, len(data))
		}
		return err
	}
	if parts == 1 {
		return read(0)
	}
	var all errgroup.Group
	all.SetLimit(maxAhead)
	for n := range parts {
		all.Go(func() error { return read(n) })
	}
	return all.Wait()
}

// BenchmarkAddresses is what an address takes: one that is there, one that is not,
// one that is written, and a domain of three.
func BenchmarkAddresses(b *testing.B) {
	s := newStore(b)
	a, unknown := anAddress(), anAddress()
	account := mailbox.Route{Kind: mailbox.Account, Life: 1, Secret: "$argon2id$"}
	for _, local := range []string{"fred", "wilma", "barney"} {
		if err := s.Addresses().Put(b.Context(), mailbox.Address{Local: local, Domain: a.Domain}, account); err != nil {
			b.Fatal(err)
		}
	}
	for name, call := range map[string]func() error{
		"look up": func() error { _, err := s.Addresses().Lookup(b.Context(), a); return err },
		"look up unknown": func() error {
			if _, err := s.Addresses().Lookup(b.Context(), unknown); !errors.Is(err, mailbox.ErrNotFound) {
				return fmt.Errorf("found an unknown address: %w", err)
			}
			return nil
		},
		"put": func() error { return s.Addresses().Put(b.Context(), a, account) },
		"list three": func() error {
			rows := 0
			for _, err := range s.Addresses().List(b.Context(), a.Domain) {
				if err != nil {
					return err
				}
				rows++
			}
			if rows != 3 {
				return fmt.Errorf("%d rows", rows)
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

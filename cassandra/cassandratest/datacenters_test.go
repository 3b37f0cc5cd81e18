package cassandratest_test

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest"
)

func TestTwoDatacenters(t *testing.T) {
	c := cassandratest.StartDatacenters(t, 2, 1)
	keyspace := c.Keyspace(t)
	one := c.Session(t, "dc1", keyspace)
	createLetters(t, one)
	away := c.Node(2, 1)

	t.Run("both have what was written at EACH_QUORUM", func(t *testing.T) {
		write := one.Query("INSERT INTO letters (id, content) VALUES (1, 'to both')").Consistency(gocql.EachQuorum)
		if err := write.Exec(); err != nil {
			t.Fatal(err)
		}
		two := c.Session(t, "dc2", keyspace)
		if got := content(t, two, 1, gocql.LocalQuorum); got != "to both" {
			t.Errorf("dc2 reads %q", got)
		}
	})

	t.Run("a killed node is noticed and the other data centre goes on", func(t *testing.T) {
		away.Kill(t)
		if away.Running(t) {
			t.Error("the killed node counts as running")
		}
		if !c.Node(1, 1).Running(t) {
			t.Error("the other node does not count as running")
		}
		if s, err := c.Config("dc2", keyspace).CreateSession(); err == nil {
			s.Close()
			t.Error("a session opens in a data centre without a node")
		}
		if err := insert(one, 2, "while dc2 was away", time.Now()); err != nil {
			t.Errorf("write in dc1: %v", err)
		}
	})

	t.Run("a port that somebody took is named", func(t *testing.T) {
		l, err := net.Listen("tcp", away.Address)
		if err != nil {
			t.Fatal(err)
		}
		fake := &recorder{TB: t}
		fake.run(func() { away.Start(fake) })
		if want := away.Address + ": port taken by another process"; !strings.Contains(fake.fatal, want) {
			t.Errorf("start failed with %q, want it to hold %q", fake.fatal, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a node comes back with its data and takes part", func(t *testing.T) {
		away.Start(t)
		two := c.Session(t, "dc2", keyspace)
		if got := content(t, two, 1, gocql.LocalQuorum); got != "to both" {
			t.Errorf("dc2 reads %q of what it had", got)
		}
		if got := content(t, two, 2, gocql.All); got != "while dc2 was away" {
			t.Errorf("dc2 reads %q of what it missed", got)
		}
	})

	t.Run("a frozen node answers nobody until it is thawed", func(t *testing.T) {
		cfg := c.Config("dc2", keyspace)
		cfg.Timeout, cfg.ConnectTimeout = 500*time.Millisecond, 500*time.Millisecond
		away.Freeze(t)
		if s, err := cfg.CreateSession(); err == nil {
			s.Close()
			t.Error("a session opens at a frozen node")
		}
		away.Thaw(t)
		if got := content(t, c.Session(t, "dc2", keyspace), 1, gocql.LocalQuorum); got != "to both" {
			t.Errorf("dc2 reads %q after the thaw", got)
		}
	})
}

// A recorder is a test that may fail without failing the one it belongs to.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Fatal(args ...any) {
	r.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

// run calls f and returns when f does, or when it fails.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

package cassandra

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
)

// TestAClusterThatMisbehaves is one store on two nodes that each have everything:
// it is opened while none of them answers, and never opened again.
func TestAClusterThatMisbehaves(t *testing.T) {
	c := cassandratest.StartDatacenters(t, 1, 2)
	one, two := c.Node(1, 1), c.Node(1, 2)
	keyspace := c.Keyspace(t)
	one.Freeze(t)
	two.Freeze(t)

	logs := &logBuffer{}
	o := optionsFor(c, "dc1", keyspace)
	o.Log = slog.New(slog.NewTextHandler(logs, nil))
	s := openStore(t, o)
	l := &letters{session: s.session}
	// both is a write that both nodes take part in, either a read that one is enough for.
	both := func() error { _, err := l.send(t.Context(), LocalQuorum, "dear Fred"); return err }
	either := func() error { _, _, err := l.text(t.Context(), localOne, l.ids.Next()); return err }

	t.Run("no node at the start", func(t *testing.T) {
		err := s.Ping(t.Context())
		wantUnavailable(t, err, one.Address+": ")
		wantUnavailable(t, err, two.Address+": ")
		if !strings.Contains(logs.String(), "no response") {
			t.Errorf("the log says %s", logs)
		}
		wantUnavailable(t, both(), "letter insert: ")
	})

	t.Run("no tables", func(t *testing.T) {
		one.Thaw(t)
		two.Thaw(t)
		eventually(t, func() error {
			if err := s.Ping(t.Context()); !strings.Contains(err.Error(), "lacks 0001-") {
				return err
			}
			return nil
		})
		wantUnavailable(t, both(), "letter insert at 127.0.1.")
	})

	t.Run("all there", func(t *testing.T) {
		if err := createTables(c, keyspace); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { return s.Ping(t.Context()) })
		eventually(t, both)
		eventually(t, either)
	})

	t.Run("a frozen node", func(t *testing.T) {
		two.Freeze(t)
		for range 50 {
			began := time.Now()
			if err := either(); err != nil {
				t.Fatal(err)
			}
			// The other node is asked as well, long before this one is given up.
			if took := time.Since(began); took > tryTimeout {
				t.Errorf("a read took %s", took)
			}
		}
		if nodes := s.session.db.Load().policy.all(); !slices.ContainsFunc(nodes, func(n *node) bool { return n.silent.Load() != 0 }) {
			t.Error("after 50 reads the frozen node does not count as silent")
		}
		// Of a statement that is new the driver has to find out by asking any node.
		began := time.Now()
		if _, err := s.session.read(t.Context(), &statement{name: "letter select new", cql: "SELECT data FROM message WHERE id = ? AND part = 0"}, localOne, l.ids.Next()).one(nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > statementTimeout {
			t.Errorf("a new statement took %s", took)
		}
		began = time.Now()
		wantUnavailable(t, both(), "letter insert at 127.0.1.")
		if took := time.Since(began); took > statementTimeout+time.Second {
			t.Errorf("failed after %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began = time.Now()
		_, err := l.send(ctx, LocalQuorum, "dear Fred")
		wantUnavailable(t, err, "") // its time was over, or the other node says by now that this one is down
		if took := time.Since(began); took > time.Second {
			t.Errorf("a caller of little time waited for %s", took)
		}
		two.Thaw(t)
		eventually(t, both)
		eventually(t, func() error { return s.Ping(t.Context()) })
	})

	t.Run("a dead node", func(t *testing.T) {
		two.Kill(t)
		for range 50 {
			if err := either(); err != nil {
				t.Fatal(err)
			}
		}
		// At first nobody knows, and the write times out.
		eventually(t, func() error {
			err := both()
			if !errors.Is(err, mailbox.ErrUnavailable) {
				t.Fatalf("written to a dead node: %v", err)
			}
			if outcomeOf(err) == unavailable {
				return nil
			}
			return err
		})
		wantUnavailable(t, s.Ping(t.Context()), "schema_change select at 127.0.1.1")
		two.Start(t)
		eventually(t, both)
		eventually(t, func() error { return s.Ping(t.Context()) })
	})

	t.Run("all dead", func(t *testing.T) {
		one.Kill(t)
		two.Kill(t)
		began := time.Now()
		wantUnavailable(t, both(), "letter insert")
		eventually(t, func() error { // at last there is no connection that one could have
			if err := s.Ping(t.Context()); !strings.Contains(err.Error(), "no hosts available") {
				return err
			}
			return nil
		})
		if took := time.Since(began); took > 2*statementTimeout {
			t.Errorf("two failures took %s", took)
		}
		first := &statement{name: "letter select first", cql: "SELECT id, part, data FROM message WHERE id = ? AND part = 0"}
		read := func() error {
			_, err := s.session.read(t.Context(), first, localOne, l.ids.Next()).one(nil, nil, nil)
			return err
		}
		wantUnavailable(t, read(), "letter select first")

		one.Start(t)
		two.Start(t)
		began = time.Now()
		eventually(t, both)
		eventually(t, func() error { return s.Ping(t.Context()) })
		eventually(t, func() error {
			err := read()
			if k, _ := s.session.db.Load().known.Load(first); err == nil && !k.(*knowledge).sure.Load() {
				err = errors.New("a statement that was new while all were dead goes to any node")
			}
			return err
		})
		t.Logf("usable again %s after the nodes were", time.Since(began).Round(time.Millisecond))
	})
}

func wantUnavailable(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want it unavailable with %q", err, text)
	}
}

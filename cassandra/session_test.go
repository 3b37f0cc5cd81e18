package cassandra

import (
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
)

// optionsFor are the options of a store in a data centre of a cluster.
func optionsFor(c *cassandratest.Cluster, datacenter, keyspace string) Options {
	return Options{Hosts: c.Hosts(), Keyspace: keyspace, Datacenter: datacenter}
}

// openStore opens a store that is closed with the test.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// eventually waits until what depends on other processes is so.
func eventually(t testing.TB, is func() error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %v", err)
		}
	}
}

func TestAStatementReadsWhatAnotherWrote(t *testing.T) {
	c := cassandratest.Start(t)
	keyspace := c.Keyspace(t)
	dc := c.Datacenters()[0]
	if err := c.Session(t, dc, keyspace).Query("CREATE TABLE letters (id timeuuid PRIMARY KEY, content blob)").Exec(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, optionsFor(c, dc, keyspace)).session

	insert := &statement{name: "letter insert", cql: "INSERT INTO letters (id, content) VALUES (?, ?)"}
	remove := &statement{name: "letter delete", cql: "DELETE FROM letters WHERE id = ?"}
	read := &statement{name: "letter read", cql: "SELECT id, content FROM letters WHERE id = ?"}
	id := (&mailbox.MessageIDs{}).Next()
	find := func() (content []byte, found bool) {
		t.Helper()
		var got mailbox.MessageID
		found, err := s.read(t.Context(), read, LocalQuorum, id).one(&got, &content)
		if err != nil || found && got != id {
			t.Fatalf("read %s: %v", got, err)
		}
		return content, found
	}

	if err := s.write(t.Context(), insert, LocalQuorum, insertedAt(id), id, []byte("dear Fred")); err != nil {
		t.Fatal(err)
	}
	if content, found := find(); !found || string(content) != "dear Fred" {
		t.Errorf("read %q, %t after the insert", content, found)
	}
	if err := s.write(t.Context(), remove, LocalQuorum, deletedAt(time.Now().Add(-time.Hour), id), id); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), insert, LocalQuorum, insertedAt(id), id, []byte("dear Fred")); err != nil {
		t.Fatal(err)
	}
	if _, found := find(); found {
		t.Error("a late insert brought back what a clock that is behind had deleted")
	}
	if err := s.write(t.Context(), insert, LocalQuorum, 0, id, []byte("dear Fred")); err == nil {
		t.Error("written without a timestamp")
	}
}

func TestMain(m *testing.M) { cassandratest.Main(m) }

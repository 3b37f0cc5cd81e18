package cassandratest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest"
)

func TestMain(m *testing.M) { cassandratest.Main(m) }

// createLetters makes the one table of these tests.
func createLetters(t *testing.T, s *gocql.Session) {
	t.Helper()
	if err := s.Query("CREATE TABLE letters (id int PRIMARY KEY, content text)").Exec(); err != nil {
		t.Fatal(err)
	}
}

// insert writes a letter with a write timestamp of our own.
func insert(s *gocql.Session, id int, content string, at time.Time) error {
	return s.Query("INSERT INTO letters (id, content) VALUES (?, ?)", id, content).WithTimestamp(at.UnixMicro()).Exec()
}

// content reads a letter; it is empty when there is none.
func content(t *testing.T, s *gocql.Session, id int, level gocql.Consistency) string {
	t.Helper()
	var got string
	err := s.Query("SELECT content FROM letters WHERE id = ?", id).Consistency(level).Scan(&got)
	if err != nil && !errors.Is(err, gocql.ErrNotFound) {
		t.Fatal(err)
	}
	return got
}

func TestAnInsertOlderThanADeleteStaysDeleted(t *testing.T) {
	c := cassandratest.Start(t)
	t.Logf("hosts %v", c.Hosts())
	s := c.Session(t, c.Datacenters()[0], c.Keyspace(t))
	createLetters(t, s)
	minted := time.Now()

	if err := insert(s, 1, "dear Fred", minted); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, 1, gocql.LocalQuorum); got != "dear Fred" {
		t.Fatalf("read %q after the insert", got)
	}
	remove := s.Query("DELETE FROM letters WHERE id = 1").WithTimestamp(minted.Add(time.Microsecond).UnixMicro())
	if err := remove.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := insert(s, 1, "dear Fred, again", minted); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, 1, gocql.LocalQuorum); got != "" {
		t.Errorf("the late insert brought back %q", got)
	}
	if err := insert(s, 1, "a newer letter", minted.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, 1, gocql.LocalQuorum); got != "a newer letter" {
		t.Errorf("read %q after an insert newer than the delete", got)
	}
}

func TestAKeyspaceGoesWithItsTest(t *testing.T) {
	c := cassandratest.Start(t)
	s := c.Session(t, c.Datacenters()[0], "")
	exists := func(keyspace string) bool {
		err := s.Query("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", keyspace).Scan(&keyspace)
		if err != nil && !errors.Is(err, gocql.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	var first, second string
	t.Run("two keyspaces of one test are different", func(t *testing.T) {
		first, second = c.Keyspace(t), c.Keyspace(t)
		if first == second || !exists(first) || !exists(second) {
			t.Errorf("keyspaces %s and %s, want two that exist", first, second)
		}
	})
	if exists(first) || exists(second) {
		t.Errorf("%s or %s is still there", first, second)
	}
}

func TestTestsOfAPackageHaveAKeyspaceInCommon(t *testing.T) {
	c := cassandratest.Start(t)
	prepared := 0
	prepare := func(keyspace string) error {
		prepared++
		createLetters(t, c.Session(t, c.Datacenters()[0], keyspace))
		return nil
	}
	first, second := c.PackageKeyspace(t, prepare), c.PackageKeyspace(t, prepare)
	if first != second || prepared != 1 {
		t.Errorf("keyspaces %s and %s, prepared %d times", first, second, prepared)
	}
	s := c.Session(t, c.Datacenters()[0], first)
	if err := insert(s, 1, "dear all", time.Now()); err != nil {
		t.Error(err)
	}
}

package cassandratest_test

import (
	"testing"

	"restante/cassandra/cassandratest"
)

func TestX(t *testing.T) {
	c := cassandratest.Start(t)
	ks := c.Keyspace(t)
	s := c.Session(t, "dc1", ks)
	if err := s.Query("CREATE TABLE t (id int PRIMARY KEY)").Exec(); err != nil {
		t.Fatal(err)
	}
	t.Log(c.Hosts())
}

package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"restante/cassandra"
	"restante/cassandra/cassandratest"
	"restante/perf/report"
	"restante/schema"
)

func TestMain(m *testing.M) { cassandratest.Main(m) }

// tables is a cluster with the tables of the store.
func tables(t *testing.T) *cluster {
	t.Helper()
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	keyspace := c.PackageKeyspace(t, func(keyspace string) error {
		o := cassandra.Options{Hosts: c.Hosts(), Keyspace: keyspace, Datacenter: dc}
		return cassandra.ApplySchema(t.Context(), o, nil, func(schema.Change, bool) {})
	})
	return &cluster{Hosts: c.Hosts(), Keyspace: keyspace, Datacenter: dc}
}

// some is a load of so many operations on the maildrops of this test.
func some(name string, operations, users int) measured {
	return measured{Connections: 4, Count: operations, Users: users, Pattern: name + "%d@example.test", JSON: true}
}

// run runs a command and returns its operations.
func run(t *testing.T, command func(w io.Writer) error) int64 {
	t.Helper()
	var out strings.Builder
	if err := command(&out); err != nil {
		t.Fatal(err)
	}
	results, err := report.ReadLines(strings.NewReader(out.String()))
	if err != nil || len(results) != 1 {
		t.Fatalf("results %v, %v", results, err)
	}
	return results[0].Operations
}

func TestWhatWasWrittenIsListedAndRead(t *testing.T) {
	if maxShort != cassandra.MaxInline {
		t.Errorf("a mail is short up to %d octets, for the store up to %d", maxShort, cassandra.MaxInline)
	}
	for name, size := range map[string]int{"short": 500, "long": cassandra.MaxInline} {
		t.Run(name, func(t *testing.T) { writtenIsListedAndRead(t, tables(t), name, size) })
	}
}

func writtenIsListedAndRead(t *testing.T, c *cluster, name string, size int) {
	n := run(t, func(w io.Writer) error {
		return (&write{measured: some(name, 40, 4), Size: size}).Run(t.Context(), c, w)
	})
	if n != 40 {
		t.Errorf("%d writes, want 40", n)
	}
	for _, page := range []int{0, 3} {
		run(t, func(w io.Writer) error {
			return (&list{measured: some(name, 4, 4), Expect: 10, Page: page}).Run(t.Context(), c, w)
		})
	}
	for _, shuffle := range []bool{false, true} {
		if n := run(t, func(w io.Writer) error {
			return (&read{measured: some(name, 60, 4), Shuffle: shuffle}).Run(t.Context(), c, w)
		}); n != 60 {
			t.Errorf("%d reads, want 60", n)
		}
	}
}

func TestAMaildropThatIsNotAsExpectedIsAnError(t *testing.T) {
	c := tables(t)
	err := (&list{measured: some("none", 1, 1), Expect: 1}).Run(t.Context(), c, io.Discard)
	if want := "0 lines of none0@example.test, not 1"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("list: %v, want %q", err, want)
	}
	if err := (&read{measured: some("none", 1, 1)}).Run(t.Context(), c, io.Discard); err == nil {
		t.Error("an empty maildrop is read")
	}
}

func TestAnyStatementPrintsItsFirstColumn(t *testing.T) {
	c := tables(t)
	for _, alone := range []bool{false, true} {
		var out strings.Builder
		q := cql{Statement: fmt.Sprintf("SELECT JSON keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '%s'", c.Keyspace), Alone: alone}
		if err := q.Run(t.Context(), c, &out); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("{\"keyspace_name\": \"%s\"}\n", c.Keyspace); out.String() != want {
			t.Errorf("printed %q, want %q", out.String(), want)
		}
	}
	everywhere := cql{Statement: fmt.Sprintf("SELECT local FROM %s.address LIMIT 1", c.Keyspace), Alone: true, All: true}
	if err := everywhere.Run(t.Context(), c, io.Discard); err != nil {
		t.Errorf("with all replicas there: %v", err)
	}
	if err := (&cql{Statement: "SELECT nothing"}).Run(t.Context(), c, io.Discard); err == nil {
		t.Error("a statement that is none is carried out")
	}
}

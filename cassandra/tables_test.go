package cassandra

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"restante/cassandra/cassandratest"
	"restante/internal/cql"
	"restante/schema"
)

// newStore opens a store on the tables that the tests of this package have in
// common, on a cluster that others use too.
func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, tableOptions(t))
}

// tableOptions are the options of newStore.
func tableOptions(t testing.TB) Options {
	t.Helper()
	c := cassandratest.Start(t)
	keyspace := c.PackageKeyspace(t, func(keyspace string) error { return createTables(c, keyspace) })
	return optionsFor(c, c.Datacenters()[0], keyspace)
}

// createTables carries out what the schema consists of, in a keyspace that exists.
func createTables(c *cassandratest.Cluster, keyspace string) error {
	dc := c.Datacenters()[0]
	db, err := c.Config(dc, keyspace).CreateSession()
	if err != nil {
		return err
	}
	defer db.Close()
	var text strings.Builder
	if err := schema.Print(&text, keyspace, schema.Replication{dc: 1}); err != nil {
		return err
	}
	statements, err := cql.Split(text.String())
	if err != nil {
		return err
	}
	for _, s := range statements[1:] { // the first makes the keyspace
		if err := db.Query(s.Text).Exec(); err != nil {
			return fmt.Errorf("%s: %w", s.Text, err)
		}
	}
	return nil
}

// metric is the sum of a metric of this name, by the first label, or "" where it
// has none.
func metric(t testing.TB, s *Store, name string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(s.session.metrics); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != "restante_cassandra_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if labels := m.GetLabel(); len(labels) > 0 {
				label = labels[len(labels)-1].GetValue()
			}
			sums[label] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums
}

// statements are how many statements of each name f takes.
func statements(t testing.TB, s *Store, f func()) map[string]int {
	t.Helper()
	before := metric(t, s, "statements_total")
	f()
	counts := make(map[string]int)
	for name, n := range metric(t, s, "statements_total") {
		if n -= before[name]; n > 0 {
			counts[name] = int(n)
		}
	}
	return counts
}

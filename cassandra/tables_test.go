package cassandra

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"restante/cassandra/cassandratest"
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

// createTables applies the schema to a keyspace that exists.
func createTables(c *cassandratest.Cluster, keyspace string) error {
	o := optionsFor(c, c.Datacenters()[0], keyspace)
	return ApplySchema(context.Background(), o, nil, func(schema.Change, bool) {})
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

package cassandra

import (
	"fmt"
	"strings"
	"testing"

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

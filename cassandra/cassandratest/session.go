package cassandratest

import (
	"context"
	"testing"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest/internal/driver"
)

// Config is what a driver needs to reach one data centre of the cluster:
// LOCAL_QUORUM, and no other data centre asked when the local one is away. An
// empty keyspace means none.
func (c *Cluster) Config(datacenter, keyspace string) *gocql.ClusterConfig {
	cfg := driver.Config(c.hosts, c.port)
	cfg.Keyspace = keyspace
	cfg.HostFilter = gocql.DataCentreHostFilter(datacenter)
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(datacenter))
	return cfg
}

// Session opens a session in one data centre; it is closed when t has ended.
func (c *Cluster) Session(t testing.TB, datacenter, keyspace string) *gocql.Session {
	t.Helper()
	s, err := c.Config(datacenter, keyspace).CreateSession()
	if err != nil {
		t.Fatalf("connect to %s: %v", datacenter, err)
	}
	t.Cleanup(s.Close)
	return s
}

// awaitWhole waits until every node, asked alone, reaches all the others.
func (c *Cluster) awaitWhole(t testing.TB) {
	t.Helper()
	// Kept with the logs, so that a slow start can be explained afterwards.
	note := func(try int, err error) { t.Logf("the nodes do not see each other yet, try %d: %v", try, err) }
	if err := driver.AwaitWhole(context.Background(), c.lease.Cluster.Nodes, note); err != nil {
		t.Fatal(err)
	}
}

package cassandratest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"restante/cassandra/cassandratest/internal/jvm"
	"restante/cassandra/cassandratest/internal/keeper"
)

// A Cluster is a running Cassandra.
type Cluster struct {
	hosts       []string
	port        int            // of every host
	datacenters map[string]int // name to number of nodes
	nodes       []*Node        // of StartDatacenters
	lease       *keeper.Lease  // nil when the cluster is somebody else's
	prepared    preparedKeyspace
}

// shared is the cluster this process has a lease of, or why it has none.
var shared struct {
	sync.Mutex
	cluster *Cluster
	absent  error
}

// Start returns the cluster that the tests of all packages share. It stays until
// the process ends, and t need not be the last test to use it.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := share()
	if err != nil {
		unavailable(t, err)
	}
	c.keepLogsOf(t)
	return c
}

// share finds the shared cluster, once in a process unless it died since.
func share() (*Cluster, error) {
	shared.Lock()
	defer shared.Unlock()
	if c := shared.cluster; c != nil {
		if c.lease == nil || c.lease.Alive() {
			return c, nil
		}
		_ = c.lease.Close() // it died; a new one follows
	}
	if shared.absent != nil {
		return nil, shared.absent
	}
	c, err := connect()
	if errors.Is(err, jvm.ErrAbsent) {
		shared.absent = err
	}
	shared.cluster = c
	return c, err
}

func connect() (*Cluster, error) {
	hosts, err := given()
	if err != nil {
		return nil, err
	}
	if hosts != nil {
		return discover(hosts)
	}
	l, err := keeper.Share()
	if err != nil {
		return nil, err
	}
	return leased(l)
}

// StartDatacenters makes a cluster for t alone, of data centres dc1, dc2, … with
// so many nodes each, and waits until all of them see each other. Two of three
// nodes take a minute and 5.3 GiB, so one test shares it among its subtests. All
// of it is gone when t has ended, which fails where there was a lightweight
// transaction. Settings are lines for the cassandra.yaml of every
// node, for a cluster that asks for passwords, say; what this package connects with
// knows none.
func StartDatacenters(t testing.TB, datacenters, nodes int, settings ...string) *Cluster {
	t.Helper()
	l, err := keeper.Start(t.Context(), keeper.Layout{Datacenters: datacenters, Nodes: nodes, Settings: settings})
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("end Cassandra: %v", err)
		}
	})
	c, err := leased(l)
	if err != nil {
		t.Fatal(err)
	}
	c.keepLogsOf(t)
	for _, n := range l.Cluster.Nodes {
		c.nodes = append(c.nodes, &Node{Name: n.Name, Datacenter: n.Datacenter, Address: n.Address, cluster: c})
	}
	c.awaitWhole(t)
	if len(settings) == 0 {
		t.Cleanup(func() {
			if err := c.checkTransactions(); err != nil {
				t.Error(err)
			}
		})
	}
	return c
}

// keepLogsOf makes the logs of the cluster outlive it when t fails.
func (c *Cluster) keepLogsOf(t testing.TB) {
	if c.lease == nil {
		return
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		dir, err := c.lease.KeepLogs()
		if err != nil {
			t.Logf("keep the logs of Cassandra: %v", err)
		}
		t.Logf("the logs of Cassandra are in %s", dir)
	})
}

// Hosts are addresses, host:port, at which the cluster serves CQL. The port is
// the same for all.
func (c *Cluster) Hosts() []string { return slices.Clone(c.hosts) }

// Datacenters are the names of the data centres, sorted.
func (c *Cluster) Datacenters() []string { return slices.Sorted(maps.Keys(c.datacenters)) }

// Node is node j of data centre i of StartDatacenters, both counted from 1.
func (c *Cluster) Node(i, j int) *Node {
	name := fmt.Sprintf("dc%d-%d", i, j)
	k := slices.IndexFunc(c.nodes, func(n *Node) bool { return n.Name == name })
	if k < 0 {
		panic("no node " + name + " that a test may touch")
	}
	return c.nodes[k]
}

// Nodes are all nodes of StartDatacenters, by data centre.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

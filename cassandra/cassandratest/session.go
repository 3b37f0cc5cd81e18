package cassandratest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gocql/gocql"
)

const (
	// How long a statement may take on a machine that is busy with tests.
	statementTimeout = 20 * time.Second
	// How long the nodes of a new cluster may take to see each other.
	wholeTimeout  = 2 * time.Minute
	wholeTry      = 15 * time.Second
	wholeInterval = 200 * time.Millisecond
)

// Config is what a driver needs to reach one data centre of the cluster:
// LOCAL_QUORUM, and no other data centre asked when the local one is away. An
// empty keyspace means none.
func (c *Cluster) Config(datacenter, keyspace string) *gocql.ClusterConfig {
	cfg := config(c.hosts, c.port)
	cfg.Keyspace = keyspace
	cfg.HostFilter = gocql.DataCentreHostFilter(datacenter)
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(datacenter))
	return cfg
}

func config(hosts []string, port int) *gocql.ClusterConfig {
	cfg := gocql.NewCluster(hosts...)
	cfg.Port = port // of the nodes the driver discovers
	cfg.ProtoVersion = 4
	cfg.Consistency = gocql.LocalQuorum
	cfg.Timeout = statementTimeout
	cfg.ConnectTimeout = statementTimeout
	cfg.Logger = silent{} // nodes go away in tests on purpose; errors are returned
	return cfg
}

type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

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

// alone opens a session that knows one node and no other.
func alone(host string, port int) (*gocql.Session, error) {
	cfg := config([]string{host}, port)
	cfg.DisableInitialHostLookup = true
	cfg.NumConns = 1
	s, err := cfg.CreateSession()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", host, err)
	}
	return s, nil
}

// awaitWhole waits until every node, asked alone, reaches all the others.
func (c *Cluster) awaitWhole(t testing.TB) {
	t.Helper()
	if len(c.nodes) == 1 {
		return
	}
	deadline := time.Now().Add(wholeTimeout)
	for try := 1; ; try++ {
		err := c.whole()
		if err == nil {
			return
		}
		// Kept with the logs, so that a slow start can be explained afterwards.
		t.Logf("the nodes do not see each other yet, try %d: %v", try, err)
		if time.Now().After(deadline) {
			t.Fatalf("the nodes do not see each other after %s", wholeTimeout)
		}
		<-time.After(wholeInterval)
	}
}

// whole asks each node for a row that every node of the cluster has a copy of,
// and that all of them have to answer for. The time is bounded: a schema change has
// been seen to wait for a minute in the driver while the schema versions of the
// nodes agreed, for a reason not yet known. Asked again it changes nothing and
// returns at once, and the read decides.
func (c *Cluster) whole() error {
	ctx, cancel := context.WithTimeout(context.Background(), wholeTry)
	defer cancel()
	for i, n := range c.nodes {
		s, err := alone(n.Address, c.port)
		if err != nil {
			return err
		}
		defer s.Close()
		if i == 0 {
			keyspace := "CREATE KEYSPACE IF NOT EXISTS restante_whole WITH replication = " + c.replication(math.MaxInt)
			if err := s.Query(keyspace).WithContext(ctx).Exec(); err != nil {
				return fmt.Errorf("%s: create a keyspace: %w", n.Name, err)
			}
			if err := s.Query("CREATE TABLE IF NOT EXISTS restante_whole.row (id int PRIMARY KEY)").WithContext(ctx).Exec(); err != nil {
				return fmt.Errorf("%s: create a table: %w", n.Name, err)
			}
		}
		if err := s.Query("SELECT id FROM restante_whole.row WHERE id = 0").WithContext(ctx).Consistency(gocql.All).Exec(); err != nil {
			return fmt.Errorf("%s: read from all: %w", n.Name, err)
		}
	}
	return nil
}

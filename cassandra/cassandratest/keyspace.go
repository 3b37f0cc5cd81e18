package cassandratest

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"restante/cassandra/cassandratest/internal/driver"
)

// maxReplicas is the most copies of a row a keyspace has in one data centre, as
// in production.
const maxReplicas = 3

// Keyspace makes an empty keyspace for t, replicated to every data centre, on
// three nodes where there are as many. It is dropped when t has ended.
func (c *Cluster) Keyspace(t testing.TB) string {
	t.Helper()
	name, err := c.create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A cluster that belongs to a test ends with it, and perhaps has nodes down.
		if c.nodes != nil {
			return
		}
		if err := c.drop(name); err != nil {
			t.Error(err)
		}
	})
	return name
}

// preparedKeyspace is the keyspace that the tests of a package have in common.
type preparedKeyspace struct {
	once sync.Once
	name string
	err  error
}

// PackageKeyspace is a keyspace that the tests of a package have in common; the
// first of them makes it and calls prepare, to create tables. [Main] drops it.
func (c *Cluster) PackageKeyspace(t testing.TB, prepare func(keyspace string) error) string {
	t.Helper()
	if !mainRuns {
		t.Fatal("a package keyspace is dropped by cassandratest.Main: call it from TestMain")
	}
	c.prepared.once.Do(func() {
		if c.prepared.name, c.prepared.err = c.create(); c.prepared.err == nil {
			c.prepared.err = prepare(c.prepared.name)
		}
	})
	if c.prepared.err != nil {
		t.Fatalf("prepare the keyspace of the package: %v", c.prepared.err)
	}
	return c.prepared.name
}

var mainRuns bool

// Main is TestMain for packages that use a cluster:
//
//	func TestMain(m *testing.M) { cassandratest.Main(m) }
//
// It fails the tests where there was a lightweight transaction.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run does what [Main] does, for packages whose TestMain has more to do, and returns
// the code to exit with.
func Run(m interface{ Run() int }) int {
	mainRuns = true
	code := m.Run()
	c := shared.cluster
	if c == nil {
		return code
	}
	if err := c.checkTransactions(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: %v\n", err)
		code = max(code, 1)
	}
	if c.prepared.name == "" {
		return code
	}
	if err := c.drop(c.prepared.name); err != nil {
		slog.Error("keyspace of the package stays behind", "err", err)
	}
	return code
}

// keyspacePrefix begins the names of the keyspaces of tests.
const keyspacePrefix = "restante_test_"

// create makes an empty keyspace with a name of its own.
func (c *Cluster) create() (string, error) {
	name := keyspacePrefix + fmt.Sprintf("%016x", rand.Uint64())
	return name, c.define("CREATE KEYSPACE " + name + " WITH replication = " + c.replication(maxReplicas))
}

func (c *Cluster) drop(keyspace string) error { return c.define("DROP KEYSPACE " + keyspace) }

// define changes the schema, through the first host that can be reached.
func (c *Cluster) define(statement string) error {
	var errs []error
	for _, h := range c.hosts {
		s, err := driver.Alone(h)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer s.Close()
		if err := s.Query(statement).Exec(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		return nil
	}
	return errors.Join(errs...)
}

// replication copies a row to at most so many nodes of each data centre.
func (c *Cluster) replication(replicas int) string {
	counts := make(map[string]int, len(c.datacenters))
	for name, nodes := range c.datacenters {
		counts[name] = min(replicas, nodes)
	}
	return driver.Replication(counts)
}

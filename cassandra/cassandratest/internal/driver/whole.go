package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest/internal/keeper"
)

const (
	// How long the nodes of a new cluster may take to see each other.
	wholeTimeout  = 2 * time.Minute
	wholeTry      = 15 * time.Second
	wholeInterval = 200 * time.Millisecond
)

// AwaitWhole waits until every node, asked alone, reaches all the others. A node
// serves clients before that, and what it is told then some of the others never hear.
// note is called with the reason why a try has failed.
func AwaitWhole(ctx context.Context, nodes []keeper.Node, note func(try int, err error)) error {
	if len(nodes) == 1 {
		return nil
	}
	deadline := time.Now().Add(wholeTimeout)
	for try := 1; ; try++ {
		err := whole(ctx, nodes)
		if err == nil {
			return nil
		}
		note(try, err)
		if time.Now().After(deadline) {
			return fmt.Errorf("the nodes do not see each other after %s: %w", wholeTimeout, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wholeInterval):
		}
	}
}

// whole asks each node for a row that every node of the cluster has a copy of,
// and that all of them have to answer for. The time is bounded: a schema change has
// been seen to wait for a minute in the driver while the schema versions of the
// nodes agreed, for a reason not yet known. Asked again it changes nothing and
// returns at once, and the read decides.
func whole(ctx context.Context, nodes []keeper.Node) error {
	ctx, cancel := context.WithTimeout(ctx, wholeTry)
	defer cancel()
	for i, n := range nodes {
		s, err := Alone(n.Address)
		if err != nil {
			return err
		}
		defer s.Close()
		if i == 0 {
			keyspace := "CREATE KEYSPACE IF NOT EXISTS restante_whole WITH replication = " + everywhere(nodes)
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

// everywhere is the replication that copies a row to every node.
func everywhere(nodes []keeper.Node) string {
	counts := map[string]int{}
	for _, n := range nodes {
		counts[n.Datacenter]++
	}
	return Replication(counts)
}

// Replication copies a row to so many nodes of each data centre, in CQL.
func Replication(counts map[string]int) string {
	var b strings.Builder
	b.WriteString("{'class': 'NetworkTopologyStrategy'")
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, ", '%s': %d", name, counts[name])
	}
	b.WriteString("}")
	return b.String()
}

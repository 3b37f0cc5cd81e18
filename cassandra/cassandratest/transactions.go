package cassandratest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest/internal/driver"
)

// errTransactions is wrapped where a node has taken part in a lightweight transaction.
var errTransactions = errors.New("a lightweight transaction was made")

// checkTransactions looks into system.paxos of every node that can be reached, of
// which there must be one: each lightweight transaction leaves a row there, which
// outlives its table. On a cluster that is not ours only the tables of tests count.
func (c *Cluster) checkTransactions() error {
	var away []error
	for _, h := range c.hosts {
		s, err := driver.Alone(h)
		if err != nil {
			away = append(away, err)
			continue
		}
		err = checkPaxos(s, c.lease != nil)
		s.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", h, err)
		}
	}
	if len(away) == len(c.hosts) {
		return fmt.Errorf("look for lightweight transactions: %w", errors.Join(away...))
	}
	return nil
}

func checkPaxos(s *gocql.Session, ours bool) error {
	used := make(map[gocql.UUID]bool)
	var id gocql.UUID
	for rows := s.Query("SELECT cf_id FROM system.paxos").Iter(); ; {
		if !rows.Scan(&id) {
			if err := rows.Close(); err != nil {
				return fmt.Errorf("read system.paxos: %w", err)
			}
			break
		}
		used[id] = true
	}
	if len(used) == 0 {
		return nil
	}
	if ours {
		return fmt.Errorf("%w: on tables %v", errTransactions, used)
	}
	var keyspace, table string
	rows := s.Query("SELECT keyspace_name, table_name, id FROM system_schema.tables").Iter()
	var err error
	for rows.Scan(&keyspace, &table, &id) {
		if used[id] && strings.HasPrefix(keyspace, keyspacePrefix) {
			err = fmt.Errorf("%w: on %s.%s", errTransactions, keyspace, table)
		}
	}
	if e := rows.Close(); e != nil {
		return fmt.Errorf("read system_schema.tables: %w", e)
	}
	return err
}

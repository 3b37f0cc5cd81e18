package cassandra

import (
	"context"

	"github.com/gocql/gocql"
)

// A bound is a statement with its arguments.
type bound struct {
	statement *statement
	args      []any
}

// writeTogether carries out several writes to one partition as one: of two replicas
// that differ, each has all of them or none. Each says USING TIMESTAMP. Otherwise it
// is like write; logs and metrics know it by the name of st.
//
// To Cassandra a logged batch on one partition is an ordinary write. Were there ever
// two partitions in one, the log would still keep them together.
func (s *session) writeTogether(ctx context.Context, st *statement, level Consistency, writes []bound) error {
	var weight int64
	for _, w := range writes {
		weight += w.statement.weight(w.args)
	}
	return s.carryOut(ctx, st, level, weight, func(c *call, db *connected) error {
		b := db.NewBatch(gocql.LoggedBatch).WithContext(c)
		b.SetConsistency(level.code())
		for _, w := range writes {
			args := bind(w.args)
			text := w.statement.cql
			if len(b.Entries) == 0 { // the one by which the driver finds the partition
				text = db.learn(c, w.statement, args)
			}
			b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: text, Args: args, Idempotent: true})
		}
		return db.ExecuteBatch(b)
	})
}

package cassandra

import (
	"context"
	"time"

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
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	c := &call{Context: ctx}
	err := s.tryTogether(c, level, writes)
	s.metrics.retries.Add(float64(max(0, c.tries-1)))
	if err != nil {
		f := failureOf(st, err)
		f.host = c.host
		s.metrics.observe(st, f.outcome, time.Since(began))
		return f
	}
	s.metrics.observe(st, succeeded, time.Since(began))
	return nil
}

func (s *session) tryTogether(c *call, level Consistency, writes []bound) error {
	var weight int64
	for _, w := range writes {
		weight += w.statement.weight(w.args)
	}
	leave, err := s.enter(c, weight)
	if err != nil {
		return err
	}
	defer leave()
	db, err := s.connection()
	if err != nil {
		return err
	}
	b := db.NewBatch(gocql.LoggedBatch).WithContext(c)
	b.SetConsistency(level.code())
	for _, w := range writes {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: w.statement.cql, Args: bind(w.args), Idempotent: true})
	}
	return db.ExecuteBatch(b)
}

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/gocql/gocql"

	"restante/perf/scenario"
)

type list struct {
	measured `embed:""`

	Expect int `default:"-1" help:"Number of lines that each maildrop must have; -1 for any."`
	Page   int `help:"Rows of a page; 0 for all in one."`
}

func (l *list) Run(ctx context.Context, c *cluster, out io.Writer) error {
	db, err := c.open()
	if err != nil {
		return err
	}
	defer db.Close()
	load := l.load()
	return l.measure(ctx, out, "list", scenario.Repeat{Load: load, Do: func(ctx context.Context, _, i int) (int64, error) {
		found, err := linesOf(ctx, db, load.User(i), l.Page)
		if err == nil && l.Expect >= 0 && len(found) != l.Expect {
			err = fmt.Errorf("%d lines of %s, not %d", len(found), load.User(i), l.Expect)
		}
		return 0, err
	}})
}

// linesOf is the maildrop of an address.
func linesOf(ctx context.Context, db *gocql.Session, address string, page int) ([]line, error) {
	drop, err := maildropOf(address)
	if err != nil {
		return nil, err
	}
	found, err := lines(db.Query(selectLines, drop).WithContext(ctx), drop, page)
	if err != nil {
		return nil, fmt.Errorf("select lines: %w", err)
	}
	return found, nil
}

type read struct {
	measured `embed:""`

	Shuffle bool `help:"In any order, rather than that of the maildrop."`
}

// Run reads the contents of one maildrop on each connection, round and round.
func (r *read) Run(ctx context.Context, c *cluster, out io.Writer) error {
	db, err := c.open()
	if err != nil {
		return err
	}
	defer db.Close()
	load := r.load()
	drops := make([][]line, r.Connections)
	for i := range drops {
		if drops[i], err = linesOf(ctx, db, load.User(i), 0); err != nil {
			return err
		}
		if len(drops[i]) == 0 {
			return fmt.Errorf("nothing to read in the maildrop of %s", load.User(i))
		}
		if r.Shuffle {
			rand.Shuffle(len(drops[i]), func(a, b int) { drops[i][a], drops[i][b] = drops[i][b], drops[i][a] })
		}
	}
	turns := make([]int, r.Connections)
	return r.measure(ctx, out, "read", scenario.Repeat{Load: load, Do: func(ctx context.Context, connection, _ int) (int64, error) {
		drop := drops[connection]
		l := drop[turns[connection]%len(drop)]
		turns[connection]++
		return l.octets, fetch(ctx, db, l)
	}})
}

// fetch reads one content. Any replica will do, as it will to the store.
func fetch(ctx context.Context, db *gocql.Session, l line) error {
	var octets int64
	var parts int
	var data []byte
	if l.short {
		err := db.Query(selectShort, l.maildrop, l.lane, l.ord).WithContext(ctx).Consistency(gocql.LocalOne).Scan(&data)
		if err != nil {
			return fmt.Errorf("select short content: %w", err)
		}
		if int64(len(data)) != l.octets {
			return fmt.Errorf("content of %d octets, where %d are listed", len(data), l.octets)
		}
		return nil
	}
	err := db.Query(selectContent, l.id).WithContext(ctx).Consistency(gocql.LocalOne).Scan(&octets, &parts, &data)
	if err != nil {
		return fmt.Errorf("select content: %w", err)
	}
	if octets != l.octets || parts == 1 && int64(len(data)) != octets {
		return fmt.Errorf("content of %d octets, %d of them in the first of %d parts, where %d are listed", octets, len(data), parts, l.octets)
	}
	return nil
}

type cql struct {
	Statement string `arg:"" help:"Statement, such as SELECT JSON * FROM system.local."`
	Alone     bool   `help:"Ask the first host, and no other: for tables that each node has of its own."`
	All       bool   `help:"Have every replica answer: fails where one of them is not seen."`
}

func (q *cql) Run(ctx context.Context, c *cluster, out io.Writer) error {
	open := c.open
	if q.Alone {
		open = c.alone
	}
	db, err := open()
	if err != nil {
		return err
	}
	defer db.Close()
	query := db.Query(q.Statement).WithContext(ctx)
	switch {
	case q.All:
		query.Consistency(gocql.All)
	case q.Alone:
		query.Consistency(gocql.One)
	}
	rows := query.Iter()
	for {
		row := map[string]any{}
		if !rows.MapScan(row) {
			break
		}
		if _, err := fmt.Fprintln(out, row[rows.Columns()[0].Name]); err != nil {
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return fmt.Errorf("%s: %w", q.Statement, err)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/gocql/gocql"

	"restante/perf/letter"
	"restante/perf/scenario"
)

type write struct {
	measured `embed:""`

	Size int `default:"4096" help:"Octets of the body."`
}

// A lane numbers the lines that this run adds to one maildrop.
type lane struct {
	maildrop gocql.UUID
	id       gocql.UUID
	next     atomic.Int64
}

func (w *write) Run(ctx context.Context, c *cluster, out io.Writer) error {
	db, err := c.open()
	if err != nil {
		return err
	}
	defer db.Close()
	load := w.load()
	lanes := make([]lane, max(load.Users, 1))
	for i := range lanes {
		lanes[i].id = gocql.TimeUUID()
		if lanes[i].maildrop, err = maildropOf(load.User(i)); err != nil {
			return err
		}
	}
	letters := make([]letter.Writer, w.Connections)
	return w.measure(ctx, out, "write", scenario.Repeat{Load: load, Do: func(ctx context.Context, connection, i int) (int64, error) {
		m := letters[connection].Compose(letter.ID{Seq: uint64(i)}, "sender@sender.example", load.User(i), w.Size)
		return int64(len(m.Wire)), deliver(ctx, db, &lanes[i%len(lanes)], m.Wire)
	}})
}

// deliver writes one mail, as the store does for a mail of one part.
func deliver(ctx context.Context, db *gocql.Session, l *lane, data []byte) error {
	id := gocql.TimeUUID()
	at := id.Time().UnixMicro()
	octets := int64(len(data))
	ord := int(l.next.Add(1) - 1)
	if octets <= maxShort {
		b := db.NewBatch(gocql.LoggedBatch).WithContext(ctx).WithTimestamp(at)
		b.Query(insertShort, l.maildrop, l.id, ord, id, octets, data)
		b.Query(insertLine, l.maildrop, l.id, ord, id, octets, withContent)
		if err := db.ExecuteBatch(b); err != nil {
			return fmt.Errorf("insert line and content: %w", err)
		}
		return nil
	}
	err := db.Query(insertContent, id, 0, data, octets, 1, []gocql.UUID{l.maildrop}, 0).
		WithContext(ctx).WithTimestamp(at).Exec()
	if err != nil {
		return fmt.Errorf("insert content: %w", err)
	}
	err = db.Query(insertLine, l.maildrop, l.id, ord, id, octets, 1).
		WithContext(ctx).WithTimestamp(at).Exec()
	if err != nil {
		return fmt.Errorf("insert line: %w", err)
	}
	return nil
}

package cassandra

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gocql/gocql"

	"restante/mailbox"
	"restante/schema"
)

var (
	selectChanges = &statement{name: "schema_change select all", cql: "SELECT name, digest FROM schema_change"}
	selectChange  = &statement{name: "schema_change select", cql: "SELECT digest FROM schema_change WHERE name = ?"}
)

// A schemaCheck looks whether the tables are those of the program. To read all that was
// applied takes a majority for every part of the ring. So that is done until it was found
// to fit, and from then on one row is enough, whichever can be had.
type schemaCheck struct {
	*session
	fits atomic.Bool  // it was found to
	row  atomic.Int64 // that could be had the last time
}

func (c *schemaCheck) check(ctx context.Context) error {
	if c.fits.Load() {
		fits, err := c.glance(ctx)
		if fits || err != nil {
			return err
		}
	}
	err := c.all(ctx)
	c.fits.Store(err == nil)
	return err
}

// glance reads the rows about changes until it has one, and reports whether that is as it
// should be.
func (c *schemaCheck) glance(ctx context.Context) (fits bool, err error) {
	changes := schema.Changes()
	for range changes {
		n := int(c.row.Load()) % len(changes)
		var digest string
		_, err = c.read(ctx, selectChange, LocalQuorum, changes[n].Name).one(&digest)
		if err == nil || codeOf(err) == gocql.ErrCodeInvalid {
			return digest == changes[n].Digest, nil
		}
		if ctx.Err() != nil {
			break
		}
		c.row.Store(int64(n + 1))
	}
	return false, err
}

// all reads everything that was applied.
func (c *schemaCheck) all(ctx context.Context) error {
	applied := make(map[string]string)
	rows := c.read(ctx, selectChanges, LocalQuorum)
	for name, digest := "", ""; rows.scan(&name, &digest); {
		applied[name] = digest
	}
	// Where there is no table, no change was applied.
	if err := rows.err(); err != nil && codeOf(err) != gocql.ErrCodeInvalid {
		return err
	}
	if err := schema.Check(c.options.Keyspace, applied); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	return nil
}

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"restante/cassandra"
	"restante/schema"
)

// SchemaConfig is what the commands for the schema have to know.
type SchemaConfig struct {
	CassandraConfig `embed:"" prefix:"cassandra-"`

	Replication schema.Replication `name:"cassandra-replication" placeholder:"DC:N,..." help:"Replicas in each data centre, such as dc1:3,dc2:3. A keyspace that exists keeps its own; another one named here is an error."`
}

// Check reports the first setting that cannot work.
func (c *SchemaConfig) Check() error {
	// Any node can change the schema.
	c.Datacenter = cmp.Or(c.Datacenter, "any")
	if err := schema.CheckKeyspace(c.Keyspace); err != nil {
		return err
	}
	return c.CassandraConfig.Check()
}

// ApplySchema makes what is missing of the keyspace and its tables. done is called
// for each change, in order, with whether it was applied now.
func (c *SchemaConfig) ApplySchema(ctx context.Context, done func(change string, now bool)) error {
	o, err := c.Options()
	if err != nil {
		return err
	}
	return flagged(cassandra.ApplySchema(ctx, o, c.Replication, func(change schema.Change, now bool) { done(change.Name, now) }))
}

// PrintSchema writes what ApplySchema carries out where nothing is there, for cqlsh.
func (c *SchemaConfig) PrintSchema(w io.Writer) error {
	return flagged(schema.Print(w, c.Keyspace, c.Replication))
}

// flagged names the flag that is missing.
func flagged(err error) error {
	if errors.Is(err, schema.ErrNoReplication) {
		return fmt.Errorf("--cassandra-replication: %w", err)
	}
	return err
}

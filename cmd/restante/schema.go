package main

import (
	"context"
	"fmt"

	"restante/app"
)

type schemaCommand struct {
	app.SchemaConfig `embed:""`

	Apply applySchemaCommand `cmd:"" help:"Make what is missing of the keyspace and its tables. All nodes of the cluster have to be up."`
	Print printSchemaCommand `cmd:"" help:"Print the statements of apply, for cqlsh. No cluster is needed."`
}

type applySchemaCommand struct{}

// Run says for each change whether it was applied.
func (applySchemaCommand) Run(ctx context.Context, c *schemaCommand, std streams) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	return c.ApplySchema(ctx, func(change string, now bool) {
		if now {
			fmt.Fprintf(std.out, "%s applied\n", change)
		} else {
			fmt.Fprintf(std.out, "%s was applied before\n", change)
		}
	})
}

type printSchemaCommand struct{}

// Run prints the statements.
func (printSchemaCommand) Run(c *schemaCommand, std streams) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	if err := c.PrintSchema(std.out); err != nil {
		return usageError{err}
	}
	return nil
}

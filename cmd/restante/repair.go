package main

import (
	"context"
	"fmt"

	"restante/app"
)

type repairCommand struct {
	app.RepairConfig `embed:""`
}

// Run compares listings and contents, with a line for each message about which they
// do not agree.
func (c *repairCommand) Run(ctx context.Context, std streams) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	d := newDisplay(std.err)
	found, err := c.Repair(ctx, warnings(d), d.show, func(f app.Finding) {
		d.clear()
		fmt.Fprintf(std.out, "%s: message %s, maildrop %s\n", f.Kind, f.Message, f.Maildrop)
	})
	d.end()
	did := "mended"
	if !c.Apply {
		did = "found, and changed nothing"
	}
	return conclude(ctx, std, did, found, err)
}

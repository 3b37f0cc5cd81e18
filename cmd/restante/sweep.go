package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"restante/app"
)

type sweepCommand struct {
	app.SweepConfig `embed:""`
}

// Run deletes what nobody can reach.
func (c *sweepCommand) Run(ctx context.Context, std streams) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	d := newDisplay(std.err)
	found, err := c.Sweep(ctx, warnings(d), d.show)
	d.end()
	did := "deleted"
	if c.DryRun {
		did = "found, and deleted nothing"
	}
	return conclude(ctx, std, did, found, err)
}

// conclude says what was done, all of it or until an error.
func conclude(ctx context.Context, std streams, did string, found fmt.Stringer, err error) error {
	if err != nil && ctx.Err() != nil {
		err = errors.New("stopped half-way; the same command goes on where it was")
	}
	if err != nil {
		did += " until then"
	}
	if _, failed := fmt.Fprintf(std.out, "%s: %s\n", did, found); err == nil {
		err = failed
	}
	return err
}

// warnings is a log of what a person should know of.
func warnings(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

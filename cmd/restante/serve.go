package main

import (
	"context"
	"fmt"

	"restante/app"
)

type serveCommand struct {
	app.Config
	logFlags `embed:""`
}

// Run serves until a signal or a failure of the store.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	if err := c.Validate(); err != nil {
		return usageError{err}
	}
	a, err := app.New(app.Options{Config: c.Config, Version: version(), Log: c.logger(std.err), Out: std.out})
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	return nil
}

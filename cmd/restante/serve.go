package main

import (
	"context"
	"fmt"
	"log/slog"

	"restante/app"
)

type serveCommand struct {
	app.Config

	LogLevel  slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json."`
}

// Run serves until a signal or a failure of the store.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	if err := c.Validate(); err != nil {
		return usageError{err}
	}
	handlerOptions := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(std.err, handlerOptions)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(std.err, handlerOptions)
	}
	a, err := app.New(app.Options{Config: c.Config, Version: version(), Log: slog.New(handler), Out: std.out})
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	return nil
}

package main

import (
	"context"

	"restante/app"
)

type relayAgentCommand struct {
	app.AgentConfig `embed:""`
	logFlags        `embed:""`
}

// Run sends mail until a signal, or until another instance has the name.
func (c *relayAgentCommand) Run(ctx context.Context, std streams) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	return c.AgentConfig.Run(ctx, c.logger(std.err))
}

type relayFakeCommand struct {
	Kind           string `arg:"" enum:"smtp,mailgun,ses,sendgrid" help:"What it plays: smtp, mailgun, ses or sendgrid."`
	app.FakeConfig `embed:""`
	logFlags       `embed:""`
}

// Run plays a next hop until a signal.
func (c *relayFakeCommand) Run(ctx context.Context, std streams) error {
	if err := c.Check(c.Kind); err != nil {
		return usageError{err}
	}
	return c.FakeConfig.Run(ctx, c.Kind, c.logger(std.err))
}

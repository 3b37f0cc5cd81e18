package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

type suppressedCommand struct {
	Account string `arg:"" help:"Address of the account."`
	Limit   int    `now:"" default:"1000" placeholder:"N" help:"How many at most, up to 10000."`
	asJSON  `embed:""`
}

// Run prints a line for each address.
func (c *suppressedCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	found, err := client.Suppressed(ctx, c.Account, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, found.Data)
	}
	table := newTable(std.out, "ADDRESS", "SINCE", "FOR", "SAID")
	for _, s := range found.Data {
		code := ""
		if s.Code != 0 {
			code = strconv.Itoa(s.Code)
		}
		table.row(s.Address, ago(time.Since(s.Since)), ago(max(0, time.Until(s.Until))), strings.Join([]string{code, s.Enhanced, s.Text}, " "))
	}
	if err := table.end(); err != nil || !found.More {
		return err
	}
	_, err = fmt.Fprintln(std.err, "there are more")
	return err
}

type allowCommand struct {
	Account string   `arg:"" help:"Address of the account."`
	Address []string `arg:"" help:"Addresses that mail is to be tried for again."`
}

// Run takes addresses off the list.
func (c *allowCommand) Run(ctx context.Context, relay *relayCommand) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	return each(c.Address, func(address string) error { return client.Allow(ctx, c.Account, address) })
}

package main

import (
	"fmt"

	"restante/app"
)

type dkimCommand struct {
	RelayDKIM string `name:"relay-dkim" required:"" type:"path" placeholder:"DIR" help:"Directory of the keys, as serve has it."`
	Domain    string `arg:"" help:"Domain whose mail is signed."`
	Selector  string `arg:"" help:"Name of the key in the DNS, such as 2026a."`
	Ed25519   bool   `name:"ed25519" now:"" help:"Make a key of Ed25519, which some verifiers do not know, beside one of RSA."`
}

// Run prints what has to stand in the DNS.
func (c *dkimCommand) Run(std streams) error {
	line, err := app.DKIMRecord(c.RelayDKIM, c.Domain, c.Selector, c.Ed25519)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, line)
	return err
}

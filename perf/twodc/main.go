// Twodc measures and breaks Restante in two data centres: network namespaces of this
// machine with a link of chosen delay between them, with nodes of Cassandra and servers in
// both. It brings all of it up, and takes it down again however it ends. It needs root on
// Linux.
//
//	go run ./perf/twodc up
//	go run ./perf/twodc --layout 2x1 --servers 1 --delay 50ms up
//	go run ./perf/twodc --plan up
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	settings `embed:""`

	Up up `cmd:"" help:"Bring it up, tell where everything is, and wait for an interrupt."`

	Mission missionTest `cmd:"" help:"The performance test: mail at a rate, then every user counts, retrieves and removes it, and all is verified."`
	Rate    rate        `cmd:"" help:"The highest rate of mail that is sustained."`
	Lag     lag         `cmd:"" help:"How long mail takes until it is listed in the other data centre."`
	Sweep   sweepRun    `cmd:"" help:"Vary the delay of the link, the servers, the size of a mail, maildrops and users, one after the other."`

	Faults faultsRun `cmd:"" help:"Break everything, one thing after another, under traffic, and judge what clients saw."`
}

// served says which commands a flag of all serves, where it does not serve every one.
var served = map[string][]string{
	"warm": {"mission", "rate", "lag", "sweep"}, "profile": {"mission"}, "json": {"mission", "rate", "lag", "sweep", "faults"},
}

// staged are the flags of a stage, which containers have no use for.
var staged = []string{"delay", "jitter", "loss", "bandwidth", "layout", "java", "set", "servers", "profile", "binary", "keep"}

// AfterApply is called by kong. It refuses a flag that would do nothing.
func (c *cli) AfterApply(k *kong.Context) error {
	given := map[string]bool{}
	for _, p := range k.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	for flag, commands := range served {
		if given[flag] && !slices.Contains(commands, k.Selected().Name) {
			return fmt.Errorf("--%s does nothing with %s: it is for %s", flag, k.Selected().Name, strings.Join(commands, ", "))
		}
	}
	for _, flag := range staged {
		if given[flag] && given["compose"] {
			return fmt.Errorf("--%s does nothing with --compose", flag)
		}
	}
	return nil
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("twodc"), kong.Description("Measures and breaks Restante in two data centres on one machine."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	k.FatalIfErrorf(k.Run(&c.settings))
}

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
	"io"
	"os"
	"os/signal"
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

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("twodc"), kong.Description("Measures and breaks Restante in two data centres on one machine."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	k.FatalIfErrorf(k.Run(&c.settings))
}

// Relay tries how mail leaves through services that fail, and holds the servers to what
// they told: each mail that was answered with 250 arrives, and hardly any twice. Servers,
// sending services and what those hand mail to are processes of their own, which it
// starts, kills and freezes.
//
//	go run ./perf/relay headline
//	go run ./perf/relay headline --store cassandra --kills 5
//	go run ./perf/relay takeover
//	go run ./perf/relay adoption
//	go run ./perf/relay both-down
//	go run ./perf/relay outcomes --only account
//	go run ./perf/relay intake
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
	Headline headline `cmd:"" help:"Kill one of two services under load, and start it again."`
	Takeover takeover `cmd:"" help:"Kill one of two servers with a full queue, or freeze it for a while."`
	Adoption adoption `cmd:"" help:"Kill a data centre with a full queue, and have another one send it."`
	BothDown bothDown `cmd:"" help:"Kill both services under load, and start them again after a while."`
	Outcomes outcomes `cmd:"" help:"Have a service answer too late, refuse, throttle, and lose its account."`
	Intake   intake   `cmd:"" help:"Measure submission beside delivery."`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("relay"), kong.Description("Tries how mail leaves through services that fail."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	k.FatalIfErrorf(k.Run())
}

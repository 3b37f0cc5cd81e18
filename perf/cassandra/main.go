// Cassandra measures Restante on Cassandra, and shows what it promises there. It
// brings up clusters, the server and the bare program itself, on loopback, and takes
// them down again.
//
//	go run ./perf/cassandra measure --name mine
//	go run ./perf/cassandra measure --layouts 1x1 --only 'delivery|RETR' --seconds 10
//	go run ./perf/cassandra visible --count 10000
//	go run ./perf/cassandra across
//	go run ./perf/cassandra trace
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/rig"
)

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("cassandra"), kong.Description("Measures Restante on Cassandra."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.FatalIfErrorf(k.Run(&c.common))
}

type cli struct {
	common `embed:""`

	Measure measure `cmd:"" help:"Measure the server beside the bare program."`
	Visible visible `cmd:"" help:"Look for each message as soon as it is acknowledged."`
	Across  across  `cmd:"" help:"Mail in through one data centre, fetched in another, and back."`
	Trace   trace   `cmd:"" help:"Show every statement of a delivery, a login, a RETR and a QUIT."`
}

// common is what all commands have.
type common struct {
	Binary string `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string `help:"Directory for everything (default: the system's)." type:"path"`
	Keep   bool   `help:"Keep that directory, with the logs of the servers."`
}

// within builds the programs in a directory, which is gone when work returns.
func (c *common) within(ctx context.Context, work func(b rig.Binaries, dir string) error) (err error) {
	dir, err := peer.TempDir(c.Temp)
	if err != nil {
		return err
	}
	defer func() {
		if c.Keep {
			say(os.Stderr, "kept %s", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	say(os.Stderr, "building")
	b, err := rig.Build(ctx, dir, c.Binary)
	if err != nil {
		return err
	}
	return work(b, dir)
}

// on brings up a cluster for work.
func on(ctx context.Context, b rig.Binaries, dir string, l rig.Layout, work func(r *rig.Rig) error, flags ...string) (err error) {
	say(os.Stderr, "starting Cassandra, %s", name(l))
	r, err := rig.Start(ctx, b, filepath.Join(dir, l.String()), l, flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return work(r)
}

// name is how a layout is called in tables.
func name(l rig.Layout) string {
	nodes := fmt.Sprintf("%d nodes", l.Nodes)
	if l.Nodes == 1 {
		nodes = "one node"
	}
	if l.Datacenters == 1 {
		return nodes
	}
	return fmt.Sprintf("%d data centres of %s", l.Datacenters, nodes)
}

// say tells how far a run is; what cannot be written is not missed.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

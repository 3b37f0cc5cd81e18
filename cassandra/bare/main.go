// Bare asks of Cassandra what a mail server cannot help asking, and nothing else:
// for a short mail one batch of its content and of its line in the maildrop, which are
// one partition, and for a long one an INSERT of each; for a login the lines of a
// maildrop; for a RETR a content. What that takes is the
// limit of every server on the same cluster. The tables are those of the store, and
// it finds in them what a server has put there.
//
//	go run ./cassandra/bare write --hosts 127.0.0.1:9042 --datacenter dc1 -n 32 --duration 30s --pid 4711
//	go run ./cassandra/bare list --pattern big@example.test
//	go run ./cassandra/bare read -n 8 --users 8
//	go run ./cassandra/bare cql "SELECT JSON * FROM system.local"
//
// The keyspace and its tables have to be there: restante schema apply.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/report"
	"restante/perf/scenario"
)

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("bare"), kong.Description("Measures what Cassandra itself takes for mail."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	k.FatalIfErrorf(k.Run(&c.cluster))
}

type cli struct {
	cluster `embed:""`

	Write write `cmd:"" help:"Write mail: the content, then the line."`
	List  list  `cmd:"" help:"Read all lines of a maildrop."`
	Read  read  `cmd:"" help:"Read contents, one after the other on each connection."`
	CQL   cql   `cmd:"" name:"cql" help:"Carry out a statement and print the first column of the rows."`
}

// measured is what the commands that put a load on the cluster have in common.
type measured struct {
	Connections int           `short:"n" default:"1" help:"Operations at the same time."`
	Count       int           `help:"End after so many operations."`
	Duration    time.Duration `help:"End after so long (10s if there is no count)."`
	Rate        float64       `help:"Operations a second; latency then counts from the time an operation is due. 0: as fast as answers come."`
	First       int           `help:"Number of the first maildrop."`
	Users       int           `default:"1" help:"How many maildrops take turns."`
	Pattern     string        `default:"user%d@example.test" help:"Address of maildrop number %d, or one address."`

	PID  []int `name:"pid" help:"Measure these processes, Cassandra's, and their descendants." placeholder:"PID"`
	JSON bool  `name:"json" help:"Write the result as a line of JSON."`
}

func (m measured) load() scenario.Load {
	if m.Count == 0 && m.Duration == 0 {
		m.Duration = 10 * time.Second
	}
	return scenario.Load{
		Connections: m.Connections, Count: m.Count, Duration: m.Duration, Rate: m.Rate,
		First: m.First, Users: m.Users, Pattern: m.Pattern,
	}
}

// measure runs a load and writes its result; a load with errors has failed.
func (m measured) measure(ctx context.Context, w io.Writer, name string, r scenario.Runner) error {
	result, err := scenario.Measure(ctx, name, r, m.PID...)
	result.Server, result.Connections = "bare", m.Connections
	write := report.WriteTable
	if m.JSON {
		write = report.WriteLines
	}
	if e := write(w, result); err == nil {
		err = e
	}
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d operations failed: %q", result.Errors, result.Faults)
	}
	return err
}

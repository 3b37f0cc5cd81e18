// Mailboxes puts the load of the published test of a service of temporary mailboxes on
// Restante, and harder ones, and verifies every answer: addresses and ids are unique, a
// message is listed and read as it was posted until it is removed, in its mailbox and
// nowhere else. It starts the server itself.
//
//	go run ./perf/mailboxes
//	go run ./perf/mailboxes --users 300 --time 180s --rate 1000
//	go run ./perf/mailboxes --store cassandra --only users
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

type cli struct {
	settings `embed:""`

	Only   string     `help:"Only loads whose name this regular expression matches." placeholder:"REGEXP"`
	List   bool       `help:"List the names of the loads."`
	Store  string     `default:"embedded" enum:"embedded,cassandra" help:"Where the server keeps mail: embedded or cassandra."`
	Layout rig.Layout `default:"1x1" help:"Cassandra's cluster, data centres x nodes."`
	Binary string     `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string     `help:"Directory for the server's data (default: the system's)." type:"path"`
	Serve  []string   `help:"More flags of the server, such as --serve=--temp-max-mailboxes=5000." placeholder:"FLAG"`
	At     string     `help:"Use a server that runs, and leave it running." placeholder:"HOST:PORT"`
	JSON   string     `name:"json" help:"Append the results to FILE as lines of JSON." placeholder:"FILE"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("mailboxes"), kong.Description("Loads the service of temporary mailboxes and verifies every answer."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

func (c *cli) run(ctx context.Context, out io.Writer) error {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if c.Spawn <= 0 || c.Connections < 1 {
		return errors.New("--spawn and --connections: at least one is needed")
	}
	var loads []load
	for _, l := range c.loads() {
		if only.MatchString(l.name) {
			loads = append(loads, l)
		}
	}
	switch {
	case c.List:
		for _, l := range loads {
			if _, err := fmt.Fprintln(out, l.name); err != nil {
				return err
			}
		}
		return nil
	case len(loads) == 0:
		return fmt.Errorf("--only %s: there is no such load", c.Only)
	case c.At != "":
		return c.measure(ctx, out, loads, c.At, "a server that runs")
	}
	return c.serve(ctx, loads, func(addr string, s *peer.Server) error {
		return c.measure(ctx, out, loads, addr, s.Version+", "+c.Store+" store", s.PIDs()...)
	})
}

// The server's own bounds are out of reach, so that none is measured: it lets as many
// connect as there are users, and no mailbox is ever full or ends by itself.
const (
	most         = 10_000 // messages of a mailbox
	auditTime    = 30 * time.Minute
	spareClients = 100
)

func bounds(addr string, loads []load) []string {
	users, life := 0, auditTime
	for _, l := range loads {
		users, life = max(users, l.users), max(life, l.time+auditTime)
	}
	return []string{
		"--http", addr, "--temp-max-messages", fmt.Sprint(most), "--temp-life", life.String(), "--temp-max-life", max(life, 168*time.Hour).String(),
		"--max-connections", fmt.Sprint(users + auditors + spareClients),
	}
}

// serve starts a server for work, in a directory that is gone afterwards.
func (c *cli) serve(ctx context.Context, loads []load, work func(addr string, s *peer.Server) error) (err error) {
	dir, err := peer.TempDir(c.Temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	settings, stop, err := c.prepare(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	addr, err := freePort()
	if err != nil {
		return err
	}
	settings.Flags = append(settings.Flags, bounds(addr, loads)...)
	settings.Flags = append(settings.Flags, c.Serve...)
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return err
	}
	server, err := kind.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return work(addr, server)
}

// prepare builds what it takes, and the cluster where there is to be one.
func (c *cli) prepare(ctx context.Context, dir string) (peer.Settings, func() error, error) {
	nothing := func() error { return nil }
	if c.Store == "cassandra" {
		b, err := rig.Build(ctx, dir, c.Binary)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		r, err := rig.Start(ctx, b, dir, c.Layout)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		return r.Settings("server", r.Datacenters()[0], 0), r.Close, nil
	}
	s := peer.Settings{Dir: filepath.Join(dir, "server"), Binary: c.Binary}
	var err error
	if s.Binary == "" {
		s.Binary, err = peer.Build(ctx, dir)
	}
	return s, nothing, err
}

// measure puts the loads on, one after the other.
func (c *cli) measure(ctx context.Context, out io.Writer, loads []load, addr, server string, pids ...int) error {
	if _, err := fmt.Fprintf(out, "%s, on %s\n", server, report.Machine()); err != nil {
		return err
	}
	known := &names{taken: make(map[string]bool)}
	var failed []string
	for _, l := range loads {
		o, err := l.measure(ctx, addr, known, pids...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e := o.write(out); err == nil {
			err = e
		}
		if e := c.write(o.results()); err == nil {
			err = e
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", l.name, err))
		}
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "\n"))
	}
	return nil
}

// measure puts one load on and looks at everything when it is over. It fails where the
// server has not kept its word.
func (l load) measure(ctx context.Context, addr string, known *names, pids ...int) (outcome, error) {
	r := l.on(addr, known)
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return outcome{load: l, kinds: &r.kinds}, err
	}
	sum, err := scenario.Measure(ctx, l.name, r, pids...)
	sum.Connections = l.users
	return r.outcome(ctx, sum, err)
}

// outcome is what a load came to that is over.
func (r *run) outcome(ctx context.Context, sum scenario.Result, err error) (outcome, error) {
	if err == nil {
		err = r.audit(ctx)
	}
	o := outcome{load: r.load, sum: sum, kinds: &r.kinds, counts: r.ledger.settled()}
	o.sum.Faults = append(o.sum.Faults, r.ledger.faults...)
	if e := o.sum.Errors; e > 0 && err == nil {
		err = fmt.Errorf("%d requests failed: %q", e, o.sum.Faults)
	}
	if n := o.counts.bad(); n > 0 && err == nil {
		err = fmt.Errorf("%d answers are wrong: %q", n, r.ledger.faults)
	}
	return o, err
}

func (c *cli) write(results []scenario.Result) error {
	if c.JSON == "" {
		return nil
	}
	f, err := os.OpenFile(c.JSON, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(report.WriteLines(f, results...), f.Close())
}

// freePort is an address of loopback that nobody listens on just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

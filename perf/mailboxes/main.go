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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

type cli struct {
	settings    `embed:""`
	rig.Choice  `embed:""`
	rig.Service `embed:""`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("mailboxes"), kong.Description("Loads the service of temporary mailboxes and verifies every answer."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

func (c *cli) run(ctx context.Context, out io.Writer) error {
	if c.Spawn <= 0 || c.Connections < 1 {
		return errors.New("--spawn and --connections: at least one is needed")
	}
	loads, err := rig.Choose(c.Choice, out, c.loads())
	if err != nil || c.List {
		return err
	}
	if c.At != "" {
		return c.measure(ctx, out, loads, c.At, "a server that runs")
	}
	return c.Run(ctx, bounds(loads, c.WarmUp()), func(s *peer.Server) error {
		return c.measure(ctx, out, loads, s.HTTP, s.Version+", "+c.Store+" store", s.PIDs()...)
	})
}

// The server's own bounds are out of reach, so that none is measured: it lets as many
// connect as there are users, and no mailbox is ever full or ends by itself.
const (
	most         = 10_000 // messages of a mailbox
	auditTime    = 30 * time.Minute
	spareClients = 100
)

func bounds(loads []load, warm time.Duration) []string {
	users, life := 0, warm+auditTime
	for _, l := range loads {
		users, life = max(users, l.users), max(life, l.time+auditTime)
	}
	return []string{
		"--temp-max-messages", fmt.Sprint(most), "--temp-life", life.String(), "--temp-max-life", max(life, 168*time.Hour).String(),
		"--max-connections", fmt.Sprint(users + auditors + spareClients),
	}
}

// measure puts the loads on, one after the other.
func (c *cli) measure(ctx context.Context, out io.Writer, loads []load, addr, server string, pids ...int) error {
	warm := c.WarmUp()
	if _, err := fmt.Fprintf(out, "%s, on %s, warmed up for %v\n", server, report.Machine(), warm); err != nil {
		return err
	}
	known := &names{taken: make(map[string]bool)}
	warmUp := func(l load) (int, error) {
		o, err := l.lasting(warm).measure(ctx, addr, known)
		return o.counts.bad(), err
	}
	return rig.PutOn(ctx, out, loads, warm, warmUp, func(l load) error {
		o, err := l.measure(ctx, addr, known, pids...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e := o.write(out); err == nil {
			err = e
		}
		if e := report.Append(c.JSON, o.results()...); err == nil {
			err = e
		}
		return err
	})
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

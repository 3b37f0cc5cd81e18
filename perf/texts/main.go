// Texts puts the load of the published test of a text service on Restante, and some
// that tell more, and verifies every answer: no id comes twice, every text is returned
// to its user and none after its time. It starts the server itself.
//
//	go run ./perf/texts
//	go run ./perf/texts --only 'published|kept'
//	go run ./perf/texts --only texts/s --rate 180,1000,5000 --duration 1m
//	go run ./perf/texts --store cassandra --only published
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

type cli struct {
	settings    `embed:""`
	rig.Service `embed:""`

	Only string `help:"Only loads whose name this regular expression matches." placeholder:"REGEXP"`
	List bool   `help:"List the names of the loads."`
	At   string `help:"Use a server that runs, and leave it running." placeholder:"HOST:PORT"`
	JSON string `name:"json" help:"Append the results to FILE as lines of JSON." placeholder:"FILE"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("texts"), kong.Description("Loads the text service and verifies every answer."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

func (c *cli) run(ctx context.Context, out io.Writer) error {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
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
		return c.measure(ctx, out, loads, c.At, "")
	}
	return c.Run(ctx, []string{"--text-flush"}, func(s *peer.Server) error {
		return c.measure(ctx, out, loads, s.HTTP, s.Version, s.PIDs()...)
	})
}

// measure puts the loads on, one after the other.
func (c *cli) measure(ctx context.Context, out io.Writer, loads []load, addr, version string, pids ...int) error {
	warm := c.WarmUp()
	if _, err := fmt.Fprintf(out, "%s, %s store, on %s, warmed up for %v\n", version, c.Store, report.Machine(), warm); err != nil {
		return err
	}
	t := newTable(out)
	known := &ids{taken: make(map[int64]bool)}
	var failed []string
	if warm > 0 {
		_, n, err := c.one(ctx, loads[0].lasting(warm), addr, known)
		switch {
		case n.bad() > 0:
			failed = append(failed, fmt.Sprintf("warm-up: %v", err))
		case err != nil: // what is cold may be too slow to answer
			if _, err := fmt.Fprintf(out, "warm-up: %.200s\n", err.Error()); err != nil {
				return err
			}
		}
	}
	for _, l := range loads {
		results, counts, err := c.one(ctx, l, addr, known, pids...)
		if e := t.rows(l, results, counts); err == nil {
			err = e
		}
		if e := report.Append(c.JSON, results...); err == nil {
			err = e
		}
		if ctx.Err() != nil {
			return ctx.Err()
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

// one puts one load on, and the surge at its end. It fails where the server has not
// kept its word.
func (c *cli) one(ctx context.Context, l load, addr string, known *ids, pids ...int) (results []scenario.Result, n counts, err error) {
	first := newClient(addr, false)
	if err := first.flush(ctx); err != nil {
		return nil, n, err
	}
	r := l.on(addr, known)
	result, err := scenario.Measure(ctx, l.name, r, pids...)
	result.Connections = l.Connections
	results = append(results, result)
	if err == nil && l.silent > 0 {
		result, err = scenario.Measure(ctx, l.name+", then at once", r.surge(), pids...)
		result.Connections = l.silent
		results = append(results, result)
	}
	n = r.ledger.settle()
	for i := range results {
		results[i].Faults = append(results[i].Faults, r.ledger.faults...)
		if e := results[i].Errors; e > 0 && err == nil {
			err = fmt.Errorf("%d requests failed: %q", e, results[i].Faults)
		}
	}
	if n.bad() > 0 && err == nil {
		err = fmt.Errorf("%d answers are wrong: %q", n.bad(), r.ledger.faults)
	}
	return results, n, err
}

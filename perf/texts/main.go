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
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

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
	k := kong.Parse(&c, kong.Name("texts"), kong.Description("Loads the text service and verifies every answer."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

func (c *cli) run(ctx context.Context, out io.Writer) error {
	loads, err := rig.Choose(c.Choice, out, c.loads())
	if err != nil || c.List {
		return err
	}
	if c.At != "" {
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
	warmUp := func(l load) (int, error) {
		_, n, err := c.one(ctx, l.lasting(warm), addr, known)
		return n.bad(), err
	}
	return rig.PutOn(ctx, out, loads, warm, warmUp, func(l load) error {
		results, counts, err := c.one(ctx, l, addr, known, pids...)
		if e := t.rows(l, results, counts); err == nil {
			err = e
		}
		if e := report.Append(c.JSON, results...); err == nil {
			err = e
		}
		return err
	})
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

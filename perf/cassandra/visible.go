package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// looks is what the commands have in common that look for messages.
type looks struct {
	Count       int           `default:"10000" help:"Messages, each of which is looked for; so many in each direction."`
	Connections int           `short:"n" default:"8" help:"Maildrops that are used at the same time."`
	Keep        int           `name:"batch" default:"20" help:"Messages that are left in a maildrop before all are removed."`
	Patience    time.Duration `default:"30s" help:"How long a message may take to be listed, or a removal to be seen, before it is an error."`
	JSON        string        `help:"Append the result to FILE as a line of JSON." placeholder:"FILE" type:"path"`
}

// A foundRecord is what looks came to, as a line of the results.
type foundRecord struct {
	report.Run

	Result scenario.Result `json:"result"`
}

// between delivers through one server, and looks and removes through another.
func (o looks) between(ctx context.Context, r *rig.Rig, out io.Writer, name string, into, from *peer.Server, first int) (scenario.Result, error) {
	version, err := r.Version(ctx)
	if err != nil {
		return scenario.Result{}, err
	}
	l := scenario.Load{
		Address: into.SMTP, Connections: o.Connections, Count: o.Count,
		Pattern: peer.Pattern, First: first, Users: o.Connections, Password: peer.Password,
	}
	say(os.Stderr, "%s: %d messages", name, o.Count)
	result, err := scenario.Measure(ctx, name, scenario.Visible{
		Load: l, POP3: from.POP3, Back: into.POP3, Patience: o.Patience, Keep: o.Keep, Size: small, From: peer.Sender,
	}, append(into.PIDs(), from.PIDs()...)...)
	result.Connections = o.Connections
	err = errors.Join(err, report.WriteTable(out, result), report.Append(o.JSON, foundRecord{
		Run: report.NewRun("looks", into.Version+", "+version), Result: result,
	}))
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%s: %d of %d messages: %q", name, result.Errors, o.Count, result.Faults)
	}
	return result, err
}

type visible struct {
	looks `embed:""`

	Layout rig.Layout `default:"1x3" help:"Cluster, data centres x nodes."`
}

// Run delivers through one server and looks through another, which knows nothing of
// what the first one does but from the cluster. A single look that misses is an error.
func (v *visible) Run(ctx context.Context, c *common) error {
	return c.within(ctx, func(b rig.Binaries, dir string) error {
		return on(ctx, b, dir, v.Layout, func(r *rig.Rig) error { return v.on(ctx, r, os.Stdout) })
	})
}

func (v *visible) on(ctx context.Context, r *rig.Rig, out io.Writer) error {
	dc := r.Datacenters()[0]
	into, err := r.Serve(ctx, "into", dc, v.Connections)
	if err != nil {
		return err
	}
	from, err := r.Serve(ctx, "from", dc, 0)
	if err != nil {
		return err
	}
	result, err := v.between(ctx, r, out, "250, then STAT in "+dc, into, from, 0)
	if err != nil {
		return err
	}
	if n := result.Figures["misses"] + result.Figures["back"]; n > 0 {
		return fmt.Errorf("%v looks missed what was acknowledged", n)
	}
	return checkPaxos(ctx, r, out)
}

type across struct {
	looks `embed:""`

	Layout rig.Layout `default:"2x3" help:"Cluster, data centres x nodes."`
}

// Run delivers in the first data centre and fetches in the second, and then the other
// way round. That a message takes its time to be listed on the other side is no error.
func (a *across) Run(ctx context.Context, c *common) error {
	if a.Layout.Datacenters < 2 {
		return fmt.Errorf("a layout of two data centres is needed, not %s", a.Layout)
	}
	return c.within(ctx, func(b rig.Binaries, dir string) error {
		return on(ctx, b, dir, a.Layout, func(r *rig.Rig) error { return a.on(ctx, r, os.Stdout) })
	})
}

func (a *across) on(ctx context.Context, r *rig.Rig, out io.Writer) error {
	names := r.Datacenters()
	var servers []*peer.Server
	for i, dc := range names[:2] {
		accounts := 0
		if i == 0 {
			accounts = 2 * a.Connections
		}
		s, err := r.Serve(ctx, "server-"+dc, dc, accounts)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	for i := range servers {
		name := fmt.Sprintf("in through %s, fetched in %s", names[i], names[1-i])
		if _, err := a.between(ctx, r, out, name, servers[i], servers[1-i], i*a.Connections); err != nil {
			return err
		}
	}
	return checkPaxos(ctx, r, out)
}

// checkPaxos shows that no node has ever taken part in a lightweight transaction.
func checkPaxos(ctx context.Context, r *rig.Rig, out io.Writer) error {
	for _, n := range r.Nodes {
		rows, err := r.Query(ctx, n, "SELECT JSON * FROM system.paxos")
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("system.paxos of %s has %d rows, such as %s", n.Name, len(rows), rows[0])
		}
	}
	_, err := fmt.Fprintf(out, "system.paxos is empty on %s\n", name(r.Layout))
	return err
}

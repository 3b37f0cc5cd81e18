// Kill9 kills a mail server under load, again and again on the same data, and
// holds it to what it told its clients: a message that was acknowledged is there
// byte for byte until its removal is, a message whose removal was acknowledged
// never comes back, and unique-ids stay what they were.
//
//	go run ./perf/kill9
//	go run ./perf/kill9 --rounds 10 --server dovecot-sdbox
//	go run ./perf/kill9 --store cassandra --layout 1x3 --kill server,node,both --rounds 20
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
)

type cli struct {
	settings `embed:""`

	Server string     `default:"restante" help:"Server to kill: restante, dovecot-maildir or dovecot-sdbox."`
	Store  string     `default:"embedded" enum:"embedded,cassandra" help:"Where Restante keeps its mail: embedded or cassandra."`
	Layout rig.Layout `default:"1x1" help:"Cassandra's cluster, data centres x nodes. A node can be killed where there are three."`
	Binary string     `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string     `help:"Directory for the server's data (default: the system's)." type:"path"`
	JSON   string     `help:"Append the verdict to FILE as a line of JSON." placeholder:"FILE" type:"path"`
}

// A record is the verdict on a trial, as a line of the results.
type record struct {
	report.Run

	Server  string  `json:"server"`
	Seed    uint64  `json:"seed"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`
	stats
	Faults []string `json:"faults"` // which, not how many: the ledger remembers a hundred
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("kill9"), kong.Description("Kills a mail server under load and looks for what it lost."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

// run leaves the server's directory only if the trial has failed.
func (c *cli) run(ctx context.Context, out io.Writer) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	kind, err := peer.Find(c.Server)
	if err != nil {
		return err
	}
	dir, err := peer.TempDir(c.Temp)
	if err != nil {
		return err
	}
	at, cluster, err := c.prepare(ctx, dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	t := newTrial(c.settings, kind, at, out)
	var on string
	if cluster != nil {
		t.cluster = cluster.Cluster
		defer func() { err = errors.Join(err, cluster.Close()) }()
		if on, err = cluster.Version(ctx); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
		on = ", " + on
	}
	began := time.Now()
	err = t.run(ctx)
	s := t.ledger.stats
	took := time.Since(began)
	t.say("%s, %v: %d deliveries acknowledged, %d unanswered, %d refused; %d removals acknowledged; %d messages verified; %d copies; %d sessions put off; %d faults (seed %d)",
		c.Server, took.Round(time.Second), s.Kept, s.Unknown, s.Refused, s.Removed, s.Verified, s.Twice, s.PutOff, len(t.ledger.faults), t.seed)
	err = errors.Join(err, report.Append(c.JSON, record{
		Run: report.NewRun("kill9", t.version+on), Server: c.Server,
		Seed: t.seed, Rounds: t.played, Seconds: took.Seconds(), stats: s, Faults: t.ledger.faults,
	}))
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	for _, f := range t.ledger.faults {
		t.say("fault: %s", f)
	}
	return fmt.Errorf("%w (everything is kept in %s)", errors.Join(err, t.keep(err)), dir)
}

// check reports what does not go together.
func (c *cli) check() error {
	onCassandra := c.Store == "cassandra"
	switch {
	case onCassandra && c.Server != report.Ours:
		return fmt.Errorf("--store cassandra is for %s", report.Ours)
	case slices.ContainsFunc(c.Kill, func(k string) bool { return k != killServer }) && (!onCassandra || c.Layout.Nodes < 3):
		return errors.New("to kill a node takes --store cassandra and three nodes, --layout 1x3")
	}
	return nil
}

// prepare builds what it takes and tells where the server lives, and on which cluster.
func (c *cli) prepare(ctx context.Context, dir string) (peer.Settings, *rig.Rig, error) {
	const name = "server"
	if c.Store == "cassandra" {
		b, err := rig.Build(ctx, dir, c.Binary)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		r, err := rig.Start(ctx, b, dir, c.Layout)
		if err != nil {
			return peer.Settings{}, nil, err
		}
		return r.Settings(name, r.Datacenters()[0], c.Maildrops), r, nil
	}
	s := peer.Settings{Dir: filepath.Join(dir, name), Binary: c.Binary}
	if s.Binary != "" || c.Server != report.Ours {
		return s, nil, nil
	}
	var err error
	s.Binary, err = peer.Build(ctx, dir)
	return s, nil, err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
)

// settings are how a trial goes.
type settings struct {
	Rounds     int           `default:"100" help:"How often the server is killed under load."`
	Load       time.Duration `default:"1s" help:"The kill comes within this time after the first acknowledgement."`
	Deliverers int           `default:"6" help:"Connections that deliver, SMTP and LMTP in turn."`
	Fetchers   int           `default:"3" help:"POP3 clients that fetch and delete."`
	Maildrops  int           `default:"8" help:"Number of maildrops."`
	Backlog    int           `default:"2000" help:"Messages to leave after each round; what is above is deleted."`
	Seed       uint64        `help:"Seed of the random choices, 0 for a new one."`
	Kill       []string      `default:"server" enum:"server,node,both" help:"What is killed, in turn by chance: the server, a node of Cassandra, or a node and then the server, which has to start without it."`
}

// What is killed.
const (
	killServer = "server"
	killNode   = "node"
	killBoth   = "both"
)

// A trial kills one server again and again.
type trial struct {
	settings
	kind     peer.Kind
	peer     peer.Settings
	progress io.Writer
	ledger   *ledger
	seed     uint64
	choices  *rand.Rand // used by one goroutine, which seeds the others
	sequence atomic.Uint64
	played   int    // rounds
	version  string // of the server

	cluster *rig.Cluster // that the server keeps its mail in, or nil
	server  *peer.Server // that runs, or nil
	down    string       // node that was killed, if one is down
}

func newTrial(s settings, kind peer.Kind, at peer.Settings, progress io.Writer) *trial {
	t := &trial{settings: s, kind: kind, peer: at, progress: progress, ledger: newLedger(), seed: s.Seed}
	for t.seed == 0 {
		t.seed = rand.Uint64()
	}
	t.choices = rand.New(rand.NewPCG(t.seed, 9))
	t.peer.Users = s.Maildrops
	return t
}

func (t *trial) random() *rand.Rand { return rand.New(rand.NewPCG(t.choices.Uint64(), 9)) }

// run does all rounds on one data directory, and verifies once more after an
// orderly stop. It ends at the first round that shows a fault; the error then
// says so, and the faults are in the ledger.
func (t *trial) run(ctx context.Context) error {
	t.ledger.late = t.cluster != nil
	for round := 1; round <= t.Rounds; round++ {
		if err := t.round(ctx, round); err != nil {
			return errors.Join(fmt.Errorf("round %d: %w", round, err), t.stop())
		}
		t.played = round
	}
	if err := errors.Join(t.stop(), t.mend(ctx)); err != nil {
		return fmt.Errorf("after the last round: %w", err)
	}
	for range 2 {
		if err := t.rest(ctx); err != nil {
			return fmt.Errorf("after the last round: %w", err)
		}
	}
	return nil
}

// round starts the server if it does not run, verifies what it has, loads it and
// kills it, or what it stands on.
func (t *trial) round(ctx context.Context, round int) error {
	if err := t.serve(ctx, round); err != nil {
		return err
	}
	if err := t.verify(ctx, t.server); err != nil {
		return err
	}
	if err := t.mend(ctx); err != nil {
		return err
	}
	before := t.ledger.stats
	victim := t.Kill[t.choices.IntN(len(t.Kill))]
	load := t.start(ctx, t.server)
	t.await(ctx, load)
	err := t.strike(ctx, victim, load)
	now := t.ledger.stats
	t.say("round %d, %s: %d kept, %d removed, %d unanswered, %d refused, %d put off; %d verified in all", round, victim,
		now.Kept-before.Kept, now.Removed-before.Removed, now.Unknown-before.Unknown, now.Refused-before.Refused, now.PutOff-before.PutOff, now.Verified)
	return errors.Join(err, t.verdict(), ctx.Err())
}

// serve starts the server if it does not run.
func (t *trial) serve(ctx context.Context, round int) error {
	if t.server != nil {
		return nil
	}
	if t.kind.Name == report.Ours && round > 1 && t.choices.IntN(4) == 0 {
		if err := peer.KillAtStart(ctx, t.peer, time.Duration(t.choices.IntN(150))*time.Millisecond); err != nil {
			return err
		}
	}
	var err error
	if t.server, err = t.kind.Start(ctx, t.peer); err == nil {
		t.version = t.server.Version
	}
	return err
}

// stop stops the server in order if it runs.
func (t *trial) stop() error {
	if t.server == nil {
		return nil
	}
	s := t.server
	t.server = nil
	return s.Stop()
}

// strike kills the victim under load. A node comes back under load too, unless the
// server is killed as well: then it starts, and is verified, without the node.
func (t *trial) strike(ctx context.Context, victim string, load *traffic) error {
	if victim != killServer {
		t.down = t.cluster.Nodes[t.choices.IntN(len(t.cluster.Nodes))].Name
		if err := t.cluster.Do(ctx, "kill", t.down); err != nil {
			load.end()
			return err
		}
		t.pause(ctx)
	}
	if victim == killNode {
		err := t.mend(ctx)
		load.finish()
		return err
	}
	load.killed.Store(true)
	s := t.server
	t.server = nil
	err := s.Kill()
	load.end()
	return err
}

// mend starts the node that is down.
func (t *trial) mend(ctx context.Context) error {
	if t.down == "" {
		return nil
	}
	node := t.down
	t.down = ""
	return t.cluster.Do(ctx, "start", node)
}

// await is the time until the kill: random, but not before the load has begun,
// however slow the machine is.
func (t *trial) await(ctx context.Context, load *traffic) {
	select {
	case <-load.begun:
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
	}
	t.pause(ctx)
}

// pause is a time of chance.
func (t *trial) pause(ctx context.Context) {
	select {
	case <-time.After(time.Duration(t.choices.Int64N(int64(t.Load)))):
	case <-ctx.Done():
	}
}

// rest starts the server, verifies and stops it in order.
func (t *trial) rest(ctx context.Context) error {
	server, err := t.kind.Start(ctx, t.peer)
	if err != nil {
		return err
	}
	return errors.Join(t.verify(ctx, server), server.Stop())
}

// verify reads every message of every maildrop, and deletes some of those above
// the backlog.
func (t *trial) verify(ctx context.Context, server *peer.Server) error {
	for drop := range t.Maildrops {
		r, err := t.read(ctx, server, drop)
		if err != nil {
			return fmt.Errorf("verify maildrop %d: %w", drop, err)
		}
		t.ledger.settled(drop, r.due, r.listing())
		excess := len(r.numbers) - t.Backlog/t.Maildrops
		err = r.remove(func() bool { return t.choices.IntN(len(r.numbers)) < excess })
		if err != nil && (t.cluster == nil || !putOff(err)) {
			return fmt.Errorf("trim maildrop %d: %w", drop, err)
		}
	}
	return t.verdict()
}

// verifyTime is how long a server may put its clients off when its store is elsewhere
// and has just lost a node, or got it back.
const verifyTime = time.Minute

// read reads a maildrop whole, as often as it takes.
func (t *trial) read(ctx context.Context, server *peer.Server, drop int) (*reader, error) {
	for deadline := time.Now().Add(verifyTime); ; {
		r, err := openReader(ctx, t.ledger, server.POP3, drop, true)
		if t.cluster == nil || !putOff(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return r, err
		}
		t.ledger.putOff()
	}
}

// errFaults tells that the server contradicted itself.
var errFaults = errors.New("the server broke its word")

func (t *trial) verdict() error {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	if len(t.ledger.faults) > 0 {
		return fmt.Errorf("%w: %s", errFaults, t.ledger.faults[0])
	}
	return nil
}

// keep writes what is needed to look into a failure beside the server's data.
func (t *trial) keep(cause error) error {
	evidence := struct {
		Cause    string   `json:"cause"`
		Seed     uint64   `json:"seed"`
		Settings settings `json:"settings"`
		Faults   []string `json:"faults"`
		Stats    stats    `json:"stats"`
	}{cause.Error(), t.seed, t.settings, t.ledger.faults, t.ledger.stats}
	raw, err := json.MarshalIndent(evidence, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.peer.Dir, "evidence.json"), append(raw, '\n'), 0o644)
}

func (t *trial) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.progress, format+"\n", args...)
}

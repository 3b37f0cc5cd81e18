package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/scenario"
	"restante/perf/wan"
)

// settings are those of every command.
type settings struct {
	Delay     time.Duration `default:"1ms" help:"Delay of the link, one way."`
	Jitter    time.Duration `default:"0s" help:"How far the delay of a packet may be from that."`
	Loss      float64       `default:"0" help:"How many of the packets on the link are lost, from 0 to 1."`
	Bandwidth float64       `default:"0" help:"Of the link each way, in Mbit/s. 0: as fast as the machine." placeholder:"MBIT"`
	Layout    rig.Layout    `default:"2x3" help:"Cassandra's cluster, data centres x nodes of each."`
	Java      []string      `help:"Options of the Java processes, after all others." placeholder:"OPTION" sep:"none"`
	Set       []string      `help:"Lines for cassandra.yaml, which it must not have yet." placeholder:"LINE" sep:"none"`
	Servers   int           `default:"2" help:"Servers of each data centre."`
	Users     int           `default:"80" help:"Users of the mail."`
	Warm      time.Duration `default:"5m" help:"With mission, rate, lag and sweep: how long everything is under load before the first figure. Java compiles what it runs."`
	Profile   bool          `help:"With mission: tell what the servers spend their CPU on, by profiles that they make of themselves."`
	Binary    string        `help:"A built restante, instead of building it." type:"existingfile"`
	Temp      string        `help:"Directory for what the processes keep (default: the system's)." type:"path"`
	JSON      string        `name:"json" help:"Append the results to FILE as lines of JSON; up has none." placeholder:"FILE"`
	Keep      bool          `help:"Keep what the processes have left."`
	Plan      bool          `help:"Tell what would be done, and do nothing."`
}

func (s settings) link() wan.Settings {
	return wan.Settings{Delay: s.Delay, Jitter: s.Jitter, Loss: s.Loss, Rate: int64(s.Bandwidth * 1e6 / 8)}
}

// Validate is called by kong.
func (s settings) Validate() error {
	switch {
	case s.Layout.Datacenters != wan.Datacenters || s.Layout.Nodes > wan.Nodes:
		return fmt.Errorf("--layout %s: there are two data centres of up to %d nodes", s.Layout, wan.Nodes)
	case s.Servers < 1 || s.Servers > wan.Servers:
		return fmt.Errorf("--servers %d: a data centre has from 1 to %d", s.Servers, wan.Servers)
	}
	return nil
}

// A stage is what a command plays on. All of it runs, and everybody sees everybody.
type stage struct {
	settings
	network *wan.Network
	rig     *rig.Rig
	cluster string        // its version
	servers []*rig.Server // of the first data centre, then of the second
	dir     string        // of everything that the processes keep
	out     io.Writer

	containers *containers // that somebody has started; then there is nothing else
}

// play sets the stage for work, which steps describe, and clears it, whatever happens. Where
// only the plan is asked for, it tells that and does nothing.
func (s settings) play(ctx context.Context, out io.Writer, steps []string, work func(context.Context, *stage) error) (err error) {
	if s.Plan {
		return s.tell(out, steps)
	}
	if err := wan.Permitted(); err != nil {
		return fmt.Errorf("%w\n(deploy/README.md tells how to start two data centres in containers, for mission, rate and lag with --compose)", err)
	}
	st := &stage{settings: s, out: out}
	st.say("making two data centres, %s", s.link())
	if st.network, err = wan.Start(ctx, s.link()); err != nil {
		return err
	}
	defer func() {
		st.traffic()
		st.say("taking it down")
		err = errors.Join(err, st.network.Close())
	}()
	if st.dir, err = peer.TempDir(s.Temp); err != nil {
		return err
	}
	defer func() {
		if s.Keep {
			st.say("kept %s", st.dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(st.dir))
	}()
	if !s.Keep {
		if err := st.network.Remove(ctx, st.dir); err != nil {
			return err
		}
	}
	st.say("building")
	b, err := rig.Build(ctx, st.dir, s.Binary)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-st.network.Exited():
			cancel(errLink)
		case <-ctx.Done():
		}
	}()
	if err := st.set(ctx, b); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.rig.Close()) }()
	if err := st.serve(ctx); err != nil {
		return err
	}
	err = work(ctx, st)
	if context.Cause(ctx) == errLink {
		err = errors.Join(errLink, err)
	}
	return err
}

// errLink ends a run whose figures would be wrong.
var errLink = errors.New("the link has ended by itself")

// traffic tells what the link has carried. A link that packets left late was not the one
// that was asked for.
func (s *stage) traffic() {
	ways, err := s.network.Traffic(context.Background()) // also of a run that was interrupted
	if err != nil {
		return // whatever ended the link has been told
	}
	for i, t := range ways {
		late := time.Duration(0)
		if t.Packets > 0 {
			late = t.Late / time.Duration(t.Packets)
		}
		s.say("from %s the link has carried %.1f MB in %d packets, late by %v on average and %v at most, and dropped %d",
			s.network.Places[i].Name(), float64(t.Octets)/1e6, t.Packets, late.Round(time.Microsecond), t.Latest.Round(time.Microsecond), t.DroppedPackets)
	}
}

// set starts Cassandra.
func (s *stage) set(ctx context.Context, b rig.Binaries) (err error) {
	s.say("starting Cassandra, %s", s.Layout)
	flags := []string{"-jmx"}
	if s.Keep {
		flags = append(flags, "-keep")
	}
	for _, option := range s.Java {
		flags = append(flags, "-java", option)
	}
	for _, line := range s.Set {
		flags = append(flags, "-set", line)
	}
	s.rig, err = rig.StartIn(ctx, s.network, b, s.dir, s.Layout, flags...)
	if err != nil {
		return err
	}
	s.cluster, err = s.rig.Version(ctx)
	if err != nil {
		return err
	}
	s.say("%d nodes of %s see each other", len(s.rig.Nodes), s.cluster)
	return nil
}

// version is what is measured.
func (s *stage) version() string {
	return fmt.Sprintf("%s, %s, %s", s.servers[0].Version, s.cluster, s.link())
}

// serve starts the servers. The first makes the accounts for all.
func (s *stage) serve(ctx context.Context) error {
	users := s.Users
	for dc := 1; dc <= wan.Datacenters; dc++ {
		for k := 1; k <= s.Servers; k++ {
			server, err := s.rig.ServeIn(ctx, dc, k, users)
			if err != nil {
				return err
			}
			s.servers, users = append(s.servers, server), 0
		}
	}
	if err := s.healthy(ctx); err != nil {
		return err
	}
	s.say("%d servers are ready: %s, on %s", len(s.servers), s.servers[0].Version, report.Machine())
	return nil
}

// patience is how long the stage waits for what ought to come soon.
const patience = 2 * time.Minute

// healthy waits until every server is ready and every node sees all nodes up: after the
// start, and after whatever was done to them.
func (s *stage) healthy(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		err := s.ailing(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not healthy after %v: %w", patience, err)
		}
		if !scenario.Pause(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// ailing is what is not as it should be.
func (s *stage) ailing(ctx context.Context) error {
	for _, each := range s.servers {
		if err := each.Ready(ctx); err != nil {
			return err
		}
	}
	return s.divided(ctx)
}

// divided is which node does not see all others. Java that starts for nodetool takes seconds
// of a machine that is busy, six times over; so it is asked only where it alone knows.
func (s *stage) divided(ctx context.Context) error {
	for _, n := range s.rig.Nodes {
		if s.Layout.Nodes <= replicas {
			if err := s.rig.Whole(ctx, n); err != nil {
				return fmt.Errorf("%s does not reach all nodes: %w", n.Name, err)
			}
			continue
		}
		status, err := s.rig.Nodetool(ctx, n.Name, "status")
		if err != nil {
			return err
		}
		if up := strings.Count(status, "\nUN "); up < len(s.rig.Nodes) {
			return fmt.Errorf("%s sees %d of %d nodes up", n.Name, up, len(s.rig.Nodes))
		}
	}
	return nil
}

// replicas is how many copies a data centre has of a row, if it has nodes for them.
const replicas = 3

// targets are the servers as clients see them.
func (s *stage) targets() []scenario.Target {
	var all []scenario.Target
	for _, each := range s.servers {
		all = append(all, each.Target())
	}
	return all
}

// serverPIDs are the roots of the processes of all servers that run.
func (s *stage) serverPIDs() []int {
	var pids []int
	for _, each := range s.servers {
		if each.Running() {
			pids = append(pids, each.PIDs()...)
		}
	}
	return pids
}

// cassandraPID is the root of the processes of all nodes.
func (s *stage) cassandraPID() int { return s.rig.PID() }

// warming is the step before the first figure, if there is one.
func (s settings) warming(rate float64) []string {
	if s.Warm <= 0 {
		return nil
	}
	return []string{fmt.Sprintf("warm-up: mail at %v/s for %v, which is removed again", rate, s.Warm)}
}

// tell prints what would be done.
func (s settings) tell(out io.Writer, steps []string) error {
	p := wan.Dry()
	for _, c := range p.Commands() {
		if _, err := fmt.Fprintln(out, c); err != nil {
			return err
		}
	}
	lines := []string{"a TUN device wan0 in each of them, and between the two: " + s.link().String()}
	for _, place := range p.Places() {
		for n := 1; n <= s.Layout.Nodes; n++ {
			lines = append(lines, fmt.Sprintf("Cassandra %s-%d: CQL %s:9042", place.Name(), n, place.Node(n)))
		}
		for k := 1; k <= s.Servers; k++ {
			address, loopback := place.Server(k)
			lines = append(lines, fmt.Sprintf("Restante %s-%c: SMTP %s:2525, POP3 %s:2110 (%s there)", place.Name(), 'a'+k-1, address, address, loopback))
		}
	}
	for _, line := range append(lines, steps...) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// say tells how far a run is.
func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

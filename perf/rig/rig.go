package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"restante/internal/program"
	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wan"
)

// Keyspace is where the mail of a rig is.
const Keyspace = "restante_perf"

// Binaries are the programs of a rig.
type Binaries struct {
	Restante string
	cluster  string
	bare     string
	skewed   string // empty until [Binaries.BuildSkewed]
}

// Build compiles the programs of this tree into dir. A restante that is given is
// taken as it is.
func Build(ctx context.Context, dir, restante string) (Binaries, error) {
	b := Binaries{Restante: restante, cluster: filepath.Join(dir, "cluster"), bare: filepath.Join(dir, "bare")}
	for _, p := range []struct{ binary, pkg string }{
		{b.cluster, "restante/cassandra/cassandratest/cluster"},
		{b.bare, "restante/cassandra/bare"},
	} {
		if err := program.Build(ctx, p.binary, p.pkg); err != nil {
			return b, err
		}
	}
	if restante != "" {
		return b, nil
	}
	var err error
	b.Restante, err = peer.Build(ctx, dir)
	return b, err
}

// A Rig is a cluster with the tables of the store, and the servers on it.
type Rig struct {
	*Cluster
	Binaries
	Dir string

	network *wan.Network // nil: all of it is on loopback
	servers []stopper
}

// A stopper is a server.
type stopper interface{ Stop() error }

// Start brings up a cluster with its tables. Flags are for the program that runs the
// cluster. Close must be called.
func Start(ctx context.Context, b Binaries, dir string, l Layout, flags ...string) (*Rig, error) {
	return bringUp(ctx, b, dir, l, nil, flags)
}

// StartIn does what Start does, in the two data centres of a network. Everything that the
// nodes keep is in dir.
func StartIn(ctx context.Context, n *wan.Network, b Binaries, dir string, l Layout, flags ...string) (*Rig, error) {
	if l.Datacenters != wan.Datacenters || l.Nodes > wan.Nodes {
		return nil, fmt.Errorf("a network has %d data centres of up to %d nodes, not %s", wan.Datacenters, wan.Nodes, l)
	}
	flags = append(slices.Clone(flags), "-network", n.Prefix())
	for _, p := range n.Places {
		flags = append(flags, "-enter", p.Name()+"="+strings.Join(p.Enter(), " "))
	}
	return bringUp(ctx, b, dir, l, n, flags)
}

func bringUp(ctx context.Context, b Binaries, dir string, l Layout, n *wan.Network, flags []string) (*Rig, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var env []string
	if n != nil {
		env = []string{"TMPDIR=" + dir}
	}
	c, err := startCluster(ctx, b.cluster, dir, env, l, flags...)
	if err != nil {
		return nil, err
	}
	r := &Rig{Cluster: c, Binaries: b, Dir: dir, network: n}
	if err := r.applySchema(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) applySchema(ctx context.Context) error {
	dc := r.Datacenters()[0]
	args := append([]string{"schema", "apply"}, r.flags(dc)...)
	args = append(args, "--cassandra-replication", r.replication())
	if out, err := exec.CommandContext(ctx, r.Restante, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("apply the schema: %w: %s", err, out)
	}
	return nil
}

// flags tell a server where the cluster is.
func (r *Rig) flags(datacenter string) []string {
	var flags []string
	for _, h := range r.Hosts(datacenter) {
		flags = append(flags, "--cassandra-hosts", h)
	}
	return append(flags, "--cassandra-keyspace", Keyspace, "--cassandra-datacenter", datacenter)
}

// Settings are for a server in a data centre, with a directory of that name. It makes
// the accounts of so many users; those that another server has made are there already.
func (r *Rig) Settings(name, datacenter string, users int) peer.Settings {
	return peer.Settings{
		Dir: filepath.Join(r.Dir, name), Users: users, Binary: r.Restante,
		Flags: append([]string{"--store", "cassandra"}, r.flags(datacenter)...),
	}
}

// Serve starts a server, which Close stops.
func (r *Rig) Serve(ctx context.Context, name, datacenter string, users int) (*peer.Server, error) {
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return nil, err
	}
	s, err := kind.Start(ctx, r.Settings(name, datacenter, users))
	if err != nil {
		return nil, err
	}
	r.servers = append(r.servers, s)
	return s, nil
}

// Close ends the servers, last first, and the cluster.
func (r *Rig) Close() error {
	var errs []error
	for len(r.servers) > 0 {
		last := r.servers[len(r.servers)-1]
		r.servers = r.servers[:len(r.servers)-1]
		errs = append(errs, last.Stop())
	}
	return errors.Join(append(errs, r.Stop())...)
}

// Bare runs the bare program in the first data centre and returns what it measured:
// ServerCPU is that of Cassandra, ToolCPU its own.
func (r *Rig) Bare(ctx context.Context, command string, args ...string) (scenario.Result, error) {
	args = append(args, "--json", "--pid", fmt.Sprint(r.PID()))
	out, err := r.program(ctx, r.Hosts(r.Datacenters()[0]), command, args...)
	if err != nil {
		return scenario.Result{}, err
	}
	results, err := report.ReadLines(strings.NewReader(out))
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("bare %s: %d results", command, len(results))
	}
	if err != nil {
		return scenario.Result{}, err
	}
	return results[0], nil
}

// Query has one node alone carry out a statement, and returns the first column of its
// rows.
func (r *Rig) Query(ctx context.Context, n Node, statement string) ([]string, error) {
	out, err := r.program(ctx, []string{n.Address}, "cql", "--alone", statement)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n"), nil
}

// Version is what the cluster is: the release of Cassandra, and the layout.
func (r *Rig) Version(ctx context.Context) (string, error) {
	rows, err := r.Query(ctx, r.Nodes[0], "SELECT release_version FROM system.local")
	if err != nil {
		return "", fmt.Errorf("release of Cassandra: %w", err)
	}
	return fmt.Sprintf("Cassandra %s %s", strings.Join(rows, ""), r.Layout), nil
}

// Whole fails where a node does not see a replica of some maildrop: any node at all, in
// data centres of up to three, which have everything. It costs little, so it can be asked
// of nodes that are busy.
func (r *Rig) Whole(ctx context.Context, n Node) error {
	_, err := r.program(ctx, []string{n.Address}, "cql", "--alone", "--all", "SELECT local FROM "+Keyspace+".address LIMIT 1")
	return err
}

// bareGrace is how long the bare program may take to end after an interrupt.
const bareGrace = 10 * time.Second

func (r *Rig) program(ctx context.Context, hosts []string, command string, args ...string) (string, error) {
	args = append([]string{command, "--hosts", strings.Join(hosts, ","), "--keyspace", Keyspace, "--datacenter", r.Datacenters()[0]}, args...)
	cmd := exec.CommandContext(ctx, r.bare, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = bareGrace
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("bare %s: %w: %s", command, err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

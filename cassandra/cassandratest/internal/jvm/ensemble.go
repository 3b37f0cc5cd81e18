package jvm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Layout says what a cluster looks like.
type Layout struct {
	Name        string // of the cluster: nodes of another name are not let in
	Dir         string // data, configuration and logs; must exist
	Datacenters int
	Nodes       int // of each data centre
	// OneAddress puts the only node on 127.0.0.1, which every system has; else
	// node j of data centre i is on 127.0.i.j.
	OneAddress bool
	// Network begins the addresses of nodes that each have theirs for themselves, and
	// so the usual ports: with 10.77 node j of data centre i is on 10.77.i.j.
	Network string
	// Enter begins, by the name of a data centre, the commands that run there.
	Enter map[string][]string
	// Settings are lines for cassandra.yaml beside its own.
	Settings []string
	// JMX lets nodetool in, and with it whoever may open a port of this machine.
	JMX bool
}

// An Ensemble is the processes of one cluster. It is not safe for concurrent use,
// and everything that starts a process is called from one thread.
type Ensemble struct {
	in    Installation
	nodes []*Node
}

// Start brings up a new cluster and returns when every node serves clients. When
// it fails, no process is left. A port that somebody takes just before its node
// does is the one failure worth another try.
func Start(ctx context.Context, in Installation, l Layout) (*Ensemble, error) {
	for try := 1; ; try++ {
		e, err := build(in, l)
		if err != nil {
			return nil, err
		}
		if err = e.start(ctx); err == nil {
			return e, nil
		}
		err = errors.Join(err, e.Close())
		if !errors.Is(err, ErrPort) || try == 3 {
			return nil, err
		}
	}
}

// build lays the cluster out and writes its configuration.
func build(in Installation, l Layout) (*Ensemble, error) {
	e := &Ensemble{in: in}
	var ips []string
	for i := 1; i <= l.Datacenters; i++ {
		for j := 1; j <= l.Nodes; j++ {
			n := &Node{
				Name:       fmt.Sprintf("dc%d-%d", i, j),
				Datacenter: fmt.Sprintf("dc%d", i),
				IP:         fmt.Sprintf("127.0.%d.%d", i, j),
				Cluster:    l.Name,
				Token:      token(i, j, l.Nodes),
				Settings:   l.Settings,
			}
			n.enter = l.Enter[n.Datacenter]
			switch {
			case l.OneAddress:
				n.IP = "127.0.0.1"
			case l.Network != "":
				n.IP = fmt.Sprintf("%s.%d.%d", l.Network, i, j)
			}
			n.Dir = filepath.Join(l.Dir, "nodes", n.Name)
			n.log = filepath.Join(l.Dir, "logs", n.Name+".log")
			ips = append(ips, n.IP)
			e.nodes = append(e.nodes, n)
		}
	}
	native, storage, err := l.ports(ips, e.nodes)
	if err != nil {
		return nil, err
	}
	var seeds []string
	for n := range slices.Chunk(e.nodes, l.Nodes) {
		seeds = append(seeds, fmt.Sprintf("%s:%d", n[0].IP, storage))
	}
	if err := os.MkdirAll(filepath.Join(l.Dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	for _, n := range e.nodes {
		n.NativePort, n.StoragePort, n.Seeds = native, storage, strings.Join(seeds, ",")
		if err := errors.Join(os.RemoveAll(n.Dir), n.configure()); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// ports finds those that all nodes have in common, and gives each one of its own for JMX.
func (l Layout) ports(ips []string, nodes []*Node) (native, storage int, err error) {
	if l.Network != "" {
		for i, n := range nodes {
			n.own = true
			if l.JMX {
				n.JMXPort = jmxPort + i
			}
		}
		return nativePort, storagePort, nil
	}
	if native, err = FreePort(ips...); err != nil {
		return 0, 0, err
	}
	if storage, err = FreePort(ips...); err != nil {
		return 0, 0, err
	}
	for _, n := range nodes {
		if !l.JMX {
			break
		}
		// All of them listen on the same address, whatever their own is.
		if n.JMXPort, err = FreePort("127.0.0.1"); err != nil {
			return 0, 0, err
		}
	}
	return native, storage, nil
}

// token spaces the nodes of a data centre evenly on the ring, and data centres a
// hair apart: two nodes never have the same one.
func token(dc, node, nodes int) string {
	step := math.MaxUint64/uint64(nodes) + 1
	return fmt.Sprint(math.MinInt64 + int64(step*uint64(node-1)) + int64(dc))
}

// start brings up the first seed, and then the others together: they know their
// tokens, so none waits for another to join.
func (e *Ensemble) start(ctx context.Context) error {
	for _, wave := range [][]*Node{e.nodes[:1], e.nodes[1:]} {
		for _, n := range wave {
			if err := n.launch(e.in); err != nil {
				return err
			}
		}
		for _, n := range wave {
			if err := n.await(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Nodes are the nodes of data centre 1 in order, then those of the next.
func (e *Ensemble) Nodes() []*Node { return e.nodes }

// Ended is closed when the process that node i runs now has ended.
func (e *Ensemble) Ended(i int) <-chan struct{} { return e.nodes[i].proc.Done() }

// node finds a node by its name.
func (e *Ensemble) node(name string) (*Node, error) {
	i := slices.IndexFunc(e.nodes, func(n *Node) bool { return n.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no node %q in this cluster", name)
	}
	return e.nodes[i], nil
}

// An Op is what a test does to one node.
type Op string

// The operations. Those other than StartNode, WipeNode and CheckNode want a running node.
const (
	StartNode  Op = "start"  // on the data it has; returns when it serves clients
	StopNode   Op = "stop"   // as an operator does: it drains first
	KillNode   Op = "kill"   // SIGKILL
	FreezeNode Op = "freeze" // SIGSTOP: connections stay open, nobody answers
	ThawNode   Op = "thaw"   // SIGCONT
	CheckNode  Op = "check"  // fails with ErrNotRunning when the process is gone
	WipeNode   Op = "wipe"   // a node that does not run has no data any more
)

// ErrNotRunning is wrapped where a node has no process.
var ErrNotRunning = errors.New("does not run")

// Do carries out op on the node with that name. Options are for the Java process that
// StartNode starts, this once.
func (e *Ensemble) Do(ctx context.Context, op Op, name string, options ...string) error {
	n, err := e.node(name)
	if err != nil {
		return err
	}
	switch op {
	case StartNode:
		if err := n.launch(e.in, options...); err != nil {
			return err
		}
		return n.await(ctx)
	case WipeNode:
		return n.wipe()
	}
	if !n.Running() {
		return fmt.Errorf("%s %w", name, ErrNotRunning)
	}
	switch op {
	case CheckNode:
		return nil
	case KillNode:
		return n.proc.Kill()
	case StopNode:
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return n.proc.Terminate(ctx)
	case FreezeNode:
		return n.proc.Freeze()
	case ThawNode:
		return n.proc.Thaw()
	}
	return fmt.Errorf("unknown operation %q", op)
}

// Close kills every node. The data stays in the directory.
func (e *Ensemble) Close() error {
	var errs []error
	for _, n := range e.nodes {
		if n.Running() {
			errs = append(errs, n.proc.Kill())
		}
	}
	return errors.Join(errs...)
}

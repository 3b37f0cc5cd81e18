package cassandratest

import (
	"errors"
	"slices"
	"testing"

	"restante/cassandra/cassandratest/internal/jvm"
)

// A Node is one node of a cluster that belongs to a test. Its methods fail the
// test where they cannot do what they are for.
type Node struct {
	Name       string // dc1-1
	Datacenter string // dc1
	Address    string // host:port for CQL

	cluster *Cluster
}

// Kill ends the process with SIGKILL.
func (n *Node) Kill(t testing.TB) { t.Helper(); n.do(t, jvm.KillNode) }

// Stop ends the process as an operator does, with SIGTERM.
func (n *Node) Stop(t testing.TB) { t.Helper(); n.do(t, jvm.StopNode) }

// Freeze stops the process without ending it: its connections stay open and
// nobody answers.
func (n *Node) Freeze(t testing.TB) { t.Helper(); n.do(t, jvm.FreezeNode) }

// Thaw lets a frozen node run on.
func (n *Node) Thaw(t testing.TB) { t.Helper(); n.do(t, jvm.ThawNode) }

// Start starts a node that was killed or stopped, with the data it had, and
// waits until it serves clients. When then every node runs, it waits until all
// see each other, too; else the others may take some seconds to notice.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	n.do(t, jvm.StartNode)
	if !slices.ContainsFunc(n.cluster.nodes, func(n *Node) bool { return !n.Running(t) }) {
		n.cluster.awaitWhole(t)
	}
}

// Running reports whether the process of the node is there.
func (n *Node) Running(t testing.TB) bool {
	t.Helper()
	err := n.cluster.lease.Do(jvm.CheckNode, n.Name)
	if err != nil && !errors.Is(err, jvm.ErrNotRunning) {
		t.Fatal(err)
	}
	return err == nil
}

func (n *Node) do(t testing.TB, op jvm.Op) {
	t.Helper()
	if err := n.cluster.lease.Do(op, n.Name); err != nil {
		t.Fatal(err)
	}
}

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/cassandra/cassandratest/internal/jvm"
)

// fakeBackend is a cluster of one node that is only a name.
type fakeBackend struct {
	end  chan struct{}
	done []jvm.Op
}

func (b *fakeBackend) nodes() []Node          { return []Node{{Name: "dc1-1", Datacenter: "dc1"}} }
func (b *fakeBackend) ended() <-chan struct{} { return b.end }
func (b *fakeBackend) close() error           { return nil }
func (b *fakeBackend) nodetool(_ context.Context, node string, command ...string) (string, error) {
	return node + " was told to " + strings.Join(command, " "), nil
}
func (b *fakeBackend) do(ctx context.Context, op jvm.Op, _ string, _ ...string) error {
	b.done = append(b.done, op)
	switch op {
	case jvm.CheckNode:
		return jvm.ErrNotRunning
	case jvm.StartNode: // takes until its lease ends
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

// keeping runs the loop of a keeper with a lease of its starter. The channel is
// closed when the loop has ended.
func keeping(shared bool) (k *keeper, b *fakeBackend, starter net.Conn, over <-chan struct{}) {
	b = &fakeBackend{end: make(chan struct{})}
	k = newKeeper()
	k.order, k.cluster = order{Shared: shared}, b
	ours, theirs := net.Pipe()
	k.serve(theirs)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.loop(nil)
	}()
	return k, b, ours, ended
}

func TestASharedClusterOutlivesItsLastLeaseByTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, starter, over := keeping(true)
		ours, theirs := net.Pipe()
		k.accepted <- theirs
		second := newLease(ours)
		if err := second.receive(time.Now().Add(time.Second)); err != nil || second.Cluster.Nodes[0].Name != "dc1-1" {
			t.Fatalf("greeted with %+v, %v", second.Cluster, err)
		}
		_ = starter.Close()
		time.Sleep(2 * grace)
		if !second.Alive() {
			t.Fatal("the cluster ended while it was held")
		}

		released := time.Now()
		_ = second.Close()
		<-over
		if lived := time.Since(released); lived != grace {
			t.Errorf("the cluster lived for %s after its last lease, want %s", lived, grace)
		}
	})
}

func TestALeaseWithinTheGraceKeepsTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, starter, over := keeping(true)
		_ = starter.Close()
		time.Sleep(grace - time.Second)
		ours, theirs := net.Pipe()
		k.accepted <- theirs
		late := newLease(ours)
		if err := late.receive(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * grace)
		if !late.Alive() {
			t.Error("the cluster ended while it was held")
		}
		_ = late.Close()
		<-over
	})
}

func TestAPrivateClusterEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, starter, over := keeping(false)
		released := time.Now()
		_ = starter.Close()
		<-over
		if lived := time.Since(released); lived != 0 {
			t.Errorf("the cluster lived for %s after its lease", lived)
		}
	})
}

func TestTheEndOfALeaseEndsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, starter, over := keeping(false)
		if err := json.NewEncoder(starter).Encode(request{Op: jvm.StartNode, Node: "dc1-1"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(b.done) != 1 {
			t.Fatalf("operations %q, want one under way", b.done)
		}
		_ = starter.Close()
		<-over
	})
}

func TestAClusterThatDiesEndsItsLeasesAndKeepsItsLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, b, starter, over := keeping(true)
		close(b.end)
		<-over
		if !k.logsKept {
			t.Error("the logs are not kept")
		}
		_ = starter.Close()
		<-k.released
	})
}

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, b, conn, over := keeping(false)
		l := newLease(conn)
		if err := l.Do(jvm.KillNode, "dc1-1"); err != nil || len(b.done) != 1 || b.done[0] != jvm.KillNode {
			t.Errorf("kill: %v, operations %q", err, b.done)
		}
		if err := l.Do(jvm.CheckNode, "dc1-1"); !errors.Is(err, jvm.ErrNotRunning) {
			t.Errorf("check: %v, want %v", err, jvm.ErrNotRunning)
		}
		if _, err := l.KeepLogs(); err != nil || !k.logsKept {
			t.Errorf("keep logs: %v, kept %t", err, k.logsKept)
		}
		_ = conn.Close()
		<-over
		if l.Alive() {
			t.Error("a lease without its keeper is alive")
		}
	})
}

func TestAKeeperThatHasNoClusterSaysWhy(t *testing.T) {
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := newLease(pipes{out, in})
	defer func() { _ = errors.Join(l.conn.Close(), theirIn.Close()) }()
	err = json.NewEncoder(theirOut).Encode(greeting{Error: "no java", Absent: true})
	if err := errors.Join(err, theirOut.Close()); err != nil {
		t.Fatal(err)
	}

	err = l.receive(time.Now().Add(time.Minute))
	if !errors.Is(err, jvm.ErrAbsent) || err.Error() != "no java" {
		t.Errorf("greeted with %v", err)
	}
	if err := l.receive(time.Now().Add(time.Minute)); !errors.Is(err, io.EOF) {
		t.Errorf("a keeper without a word: %v, want %v", err, io.EOF)
	}
}

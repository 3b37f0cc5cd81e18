// Package keeper keeps a cluster for as long as somebody holds a lease of it.
//
// The keeper is a process of its own, detached from the tests: the test binary
// started once more, with an order in its environment. It is the parent of the
// nodes. A lease is a connection to it, the standard input and output of the
// keeper for the process that started it and a Unix socket for any other, so the
// kernel ends the lease of a process however that process ends. When the last
// lease has ended the keeper kills the nodes, removes their data and ends; when
// the keeper is killed, the kernel (on Linux) kills the nodes. Nothing has to be
// cleaned up by hand.
package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"restante/cassandra/cassandratest/internal/jvm"
)

// orderVariable makes a test binary a keeper.
const orderVariable = "RESTANTE_CASSANDRATEST_KEEPER"

// grace is how long a shared cluster waits for its next lease: go test may have
// to link the next package first.
const grace = 15 * time.Second

// A test binary that is to be a keeper never gets as far as its tests.
func init() {
	text, ok := os.LookupEnv(orderVariable)
	if !ok {
		return
	}
	// The nodes die with the thread that started them.
	runtime.LockOSThread()
	if err := keep(text); err != nil {
		slog.Error("keeper failed", "err", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A keeper is one process's worth of keeping. Only its loop touches the backend.
type keeper struct {
	order    order
	cluster  backend
	accepted chan io.ReadWriteCloser
	requests chan call
	released chan struct{}
	logsKept bool
}

func newKeeper() *keeper {
	return &keeper{
		accepted: make(chan io.ReadWriteCloser),
		requests: make(chan call),
		released: make(chan struct{}),
	}
}

// A call is a request, the context of its lease, and where the reply goes.
type call struct {
	request
	ctx   context.Context
	reply *json.Encoder
}

// keep is the life of a keeper.
func keep(text string) (err error) {
	// A starter that is gone must not end the keeper by a broken pipe.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	if err := os.Unsetenv(orderVariable); err != nil {
		return err
	}
	k := newKeeper()
	if err := json.Unmarshal([]byte(text), &k.order); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	claim, err := claimDir(k.order.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leaveDir(k.order.Dir, k.logsKept), claim.Close()) }()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)

	starter := stdio{}
	ctx := k.serve(starter)
	k.cluster, err = provide(ctx, k.order)
	if err != nil {
		k.logsKept = !errors.Is(err, jvm.ErrAbsent) && ctx.Err() == nil
		return errors.Join(err, json.NewEncoder(starter).Encode(greeting{Error: err.Error(), Absent: errors.Is(err, jvm.ErrAbsent)}))
	}
	defer func() { err = errors.Join(err, k.cluster.close()) }()
	if k.order.Shared {
		l, err := net.Listen("unix", socketPath(k.order.Dir))
		if err != nil {
			return err
		}
		go k.accept(l)
	}
	if err := k.greet(starter); err != nil {
		slog.Warn("starter is gone", "err", err)
	}
	k.loop(signals)
	return nil
}

// loop does one thing after another until nobody needs the cluster.
func (k *keeper) loop(signals <-chan os.Signal) {
	idle := time.NewTimer(grace)
	idle.Stop()
	for leases := 1; ; {
		select {
		case conn := <-k.accepted:
			if err := k.greet(conn); err != nil {
				slog.Warn("lease is gone before it began", "err", err)
			}
			leases++
			idle.Stop()
			k.serve(conn)
		case <-k.released:
			if leases--; leases > 0 {
				continue
			}
			if !k.order.Shared {
				return
			}
			idle.Reset(grace)
		case c := <-k.requests:
			if err := c.reply.Encode(k.carryOut(c)); err != nil {
				slog.Warn("nobody reads the reply", "op", c.Op, "err", err)
			}
		case <-idle.C:
			return
		case <-k.cluster.ended():
			slog.Error("cluster ended by itself")
			k.logsKept = true
			return
		case s := <-signals:
			slog.Info("told to end", "signal", s)
			return
		}
	}
}

// carryOut does what one request asks.
func (k *keeper) carryOut(c call) reply {
	switch c.Op {
	case keepLogs:
		k.logsKept = true
		return reply{}
	case ping:
		return reply{}
	}
	slog.Info("request", "op", c.Op, "node", c.Node, "command", c.Command)
	var output string
	var err error
	if c.Op == nodetool {
		output, err = k.cluster.nodetool(c.ctx, c.Node, c.Command...)
	} else {
		err = k.cluster.do(c.ctx, c.Op, c.Node, c.Command...)
	}
	if err == nil {
		return reply{Output: output}
	}
	return reply{Error: err.Error(), NotRunning: errors.Is(err, jvm.ErrNotRunning)}
}

// greet tells a lease about the cluster.
func (k *keeper) greet(w io.Writer) error {
	return json.NewEncoder(w).Encode(greeting{Cluster: &Cluster{Nodes: k.cluster.nodes(), Dir: k.order.Dir}})
}

// accept lets leases in until the process ends.
func (k *keeper) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			slog.Error("no more leases", "err", err)
			return
		}
		k.accepted <- conn
	}
}

// serve reads the requests of a lease in a goroutine of their own, so that the
// end of the lease is seen while a request is under way: it cancels the context.
func (k *keeper) serve(conn io.ReadWriteCloser) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		replies, requests := json.NewEncoder(conn), json.NewDecoder(conn)
		for {
			c := call{ctx: ctx, reply: replies}
			if err := requests.Decode(&c.request); err != nil {
				cancel(fmt.Errorf("lease ended: %w", err))
				_ = conn.Close()
				k.released <- struct{}{}
				return
			}
			k.requests <- c
		}
	}()
	return ctx
}

// stdio is the lease of the process that started the keeper.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (stdio) Close() error                { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

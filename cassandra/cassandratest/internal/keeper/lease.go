package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"restante/cassandra/cassandratest/internal/jvm"
	"restante/cassandra/cassandratest/internal/process"
)

const (
	// How long a cluster may take to come up, fetching the jars included, or to
	// wait for another process to bring it up.
	startTimeout = 8 * time.Minute
	// How long a running keeper may take to greet.
	greetTimeout = 10 * time.Second
	// How long a keeper may take to carry out a request: starting a node is slow.
	requestTimeout = 4 * time.Minute
	// How long a private keeper may take to end after its lease.
	endTimeout = 30 * time.Second
)

// A Lease keeps a cluster alive until Close, or until the process ends.
type Lease struct {
	Cluster Cluster

	mu      sync.Mutex // one request at a time
	conn    connection
	replies *json.Decoder
	keeper  *exec.Cmd // where this process started it
}

// connection is a keeper's end of a lease, seen from here.
type connection interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
}

// Share returns a lease of the cluster of one node that all processes of this
// user share, and brings it up when no process holds it. The error wraps
// jvm.ErrAbsent where the machine has nothing to run Cassandra with.
func Share() (*Lease, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	// Another state of the sources makes another cluster.
	name := filepath.Join(cache, "shared-"+jvm.Fingerprint())
	lock, err := process.Lock(ctx, name+".lock")
	if errors.Is(err, process.ErrUnsupported) {
		return nil, fmt.Errorf("%w: %w", jvm.ErrAbsent, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()

	if dir, err := os.ReadFile(name); err == nil {
		if l, err := join(ctx, string(dir)); err == nil {
			return l, nil
		}
	}
	l, err := start(ctx, order{Layout: Layout{Datacenters: 1, Nodes: 1}, Cache: cache, Shared: true})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(name, []byte(l.Cluster.Dir), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Start returns a lease of a new cluster of Java processes that nobody shares. When ctx
// ends first, nothing is left of it.
func Start(ctx context.Context, l Layout) (*Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	return start(ctx, order{Layout: l, Cache: cache})
}

// cacheDir is where jars and the way to the shared cluster are found again.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // no home
	}
	dir := filepath.Join(base, "restante", "cassandratest")
	return dir, os.MkdirAll(dir, 0o700)
}

// join takes a lease of a running keeper.
func join(ctx context.Context, dir string) (*Lease, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return nil, err
	}
	l := newLease(conn.(*net.UnixConn))
	if err := l.receive(time.Now().Add(greetTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return l, nil
}

// start makes a keeper and waits for its greeting.
func start(ctx context.Context, o order) (*Lease, error) {
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove old clusters: %w", err)
	}
	l, err := spawn(&o)
	if err != nil {
		return nil, fmt.Errorf("start a keeper of clusters: %w", err)
	}
	deadline, _ := ctx.Deadline()
	// The keeper gives up when the lease ends.
	giveUp := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	err = l.receive(deadline)
	if giveUp() && err == nil {
		return l, nil
	}
	if ctx.Err() != nil {
		_ = l.Close() // waits for the keeper; the connection is closed already
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the keeper ended without a word: see %s", logPath(o.Dir))
	}
	return nil, errors.Join(err, l.Close())
}

// spawn starts this binary once more, as a keeper, in a new directory.
func spawn(o *order) (l *Lease, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if o.Dir, err = newDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(o.Dir))
		}
	}()
	if err := os.Mkdir(filepath.Dir(logPath(o.Dir)), 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(logPath(o.Dir))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirIn.Close() }()
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	defer func() { _ = theirOut.Close() }()

	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Dir = o.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, log
	process.Detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	l = newLease(pipes{out, in})
	l.keeper = cmd
	return l, nil
}

// pipes are the two directions of a connection.
type pipes struct{ out, in *os.File }

func (p pipes) Read(b []byte) (int, error)        { return p.out.Read(b) }
func (p pipes) Write(b []byte) (int, error)       { return p.in.Write(b) }
func (p pipes) Close() error                      { return errors.Join(p.in.Close(), p.out.Close()) }
func (p pipes) SetReadDeadline(t time.Time) error { return p.out.SetReadDeadline(t) }

func newLease(conn connection) *Lease { return &Lease{conn: conn, replies: json.NewDecoder(conn)} }

// receive reads the greeting.
func (l *Lease) receive(deadline time.Time) error {
	var g greeting
	if err := l.read(&g, deadline); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	if g.Cluster == nil {
		var kind error
		if g.Absent {
			kind = jvm.ErrAbsent
		}
		return &keeperError{g.Error, kind}
	}
	l.Cluster = *g.Cluster
	return nil
}

// read takes the next message.
func (l *Lease) read(v any, deadline time.Time) error {
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	return l.replies.Decode(v)
}

// Do carries out op on a node of the cluster. Options are for the Java process that is
// to start. The error wraps jvm.ErrNotRunning where that is the matter.
func (l *Lease) Do(op jvm.Op, node string, options ...string) error {
	_, err := l.request(request{Op: op, Node: node, Command: options})
	return err
}

// Nodetool runs a command of nodetool on a node of a cluster with JMX, and returns
// what it prints.
func (l *Lease) Nodetool(node string, command ...string) (string, error) {
	return l.request(request{Op: nodetool, Node: node, Command: command})
}

func (l *Lease) request(q request) (output string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := json.NewEncoder(l.conn).Encode(q); err != nil {
		return "", fmt.Errorf("%s %s: %w", q.Op, q.Node, err)
	}
	var r reply
	if err := l.read(&r, time.Now().Add(requestTimeout)); err != nil {
		return "", fmt.Errorf("%s %s: %w", q.Op, q.Node, err)
	}
	if r.Error == "" {
		return r.Output, nil
	}
	var kind error
	if r.NotRunning {
		kind = jvm.ErrNotRunning
	}
	return "", fmt.Errorf("%s %s: %w", q.Op, q.Node, &keeperError{r.Error, kind})
}

// Alive reports whether the keeper still answers.
func (l *Lease) Alive() bool { return l.Do(ping, "") == nil }

// KeepLogs makes the logs outlive the cluster, and says where they are.
func (l *Lease) KeepLogs() (dir string, err error) {
	return filepath.Dir(logPath(l.Cluster.Dir)), l.Do(keepLogs, "")
}

// Close ends the lease. A cluster that only this lease kept, and that is not
// shared, is gone when Close returns.
func (l *Lease) Close() error {
	err := l.conn.Close()
	if l.keeper == nil {
		return err
	}
	// A keeper that is stuck is killed, and its nodes with it.
	stuck := time.AfterFunc(endTimeout, func() { _ = l.keeper.Process.Kill() })
	defer stuck.Stop()
	if waitErr := l.keeper.Wait(); waitErr != nil && l.Cluster.Dir != "" {
		err = errors.Join(err, fmt.Errorf("keeper: %w: see %s", waitErr, logPath(l.Cluster.Dir)))
	}
	return err
}

// A keeperError is what a keeper says went wrong.
type keeperError struct {
	text string
	kind error // may be nil
}

func (e *keeperError) Error() string { return e.text }
func (e *keeperError) Unwrap() error { return e.kind }

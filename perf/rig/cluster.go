// Package rig brings up what a measurement on Cassandra needs: a cluster of its own,
// the tables in it, servers in its data centres, and the bare program beside them.
// All of it is built from this tree, runs on loopback, and is gone at the end.
package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Layout is how many data centres a cluster has, and nodes each of them.
type Layout struct{ Datacenters, Nodes int }

// UnmarshalText reads a layout such as 2x3: two data centres of three nodes.
func (l *Layout) UnmarshalText(text []byte) error {
	var rest string
	n, _ := fmt.Sscanf(string(text)+" ", "%dx%d%s", &l.Datacenters, &l.Nodes, &rest)
	if n != 2 || l.Datacenters < 1 || l.Nodes < 1 {
		return fmt.Errorf("%q is not data centres and nodes, such as 2x3", text)
	}
	return nil
}

// String is what UnmarshalText reads.
func (l Layout) String() string { return fmt.Sprintf("%dx%d", l.Datacenters, l.Nodes) }

// replicas is how many copies of a row each data centre has.
func (l Layout) replicas() int { return min(l.Nodes, 3) }

// heap is what each node gets of a machine that they share.
func (l Layout) heap() string {
	switch n := l.Datacenters * l.Nodes; {
	case n == 1:
		return "1g"
	case n <= 3:
		return "768m"
	}
	return "512m"
}

// A Node is one node of a cluster.
type Node struct {
	Name       string // dc1-1
	Datacenter string // dc1
	Address    string // host:port for CQL
	Dir        string // its data, on this machine
}

// ErrAbsent tells of a machine that has nothing to run Cassandra with.
var ErrAbsent = errors.New("no Java 17, or no Maven for the first time")

// absent is how the program that runs the cluster ends then.
const absent = 3

// A Cluster runs.
type Cluster struct {
	Layout Layout
	Nodes  []Node

	cmd     *exec.Cmd
	mu      sync.Mutex // one request at a time
	in      io.WriteCloser
	answers *json.Decoder
	astray  error // why an answer was not awaited
	log     string
}

const (
	// How long the jars may take to be fetched and the nodes to come up.
	startTimeout = 10 * time.Minute
	// How long a node may take to start, the longest of all requests.
	requestTimeout = 5 * time.Minute
	stopTimeout    = time.Minute
)

// startCluster starts a cluster; what it says goes to a file in dir, and what is in env
// comes to its environment.
func startCluster(ctx context.Context, binary, dir string, env []string, l Layout, flags ...string) (*Cluster, error) {
	c := &Cluster{Layout: l, log: filepath.Join(dir, "cluster.log")}
	log, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	heap := l.heap()
	c.cmd = exec.Command(binary, append([]string{"-control", "-datacenters", fmt.Sprint(l.Datacenters), "-nodes", fmt.Sprint(l.Nodes),
		"-java", fmt.Sprintf("-Xms%s -Xmx%s", heap, heap)}, flags...)...)
	c.cmd.Stderr = log
	c.cmd.Env = append(os.Environ(), env...)
	// An interrupt at the terminal reaches only this tool, which ends the cluster in
	// order; and its standard input ends with this tool, however that ends.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.answers = json.NewDecoder(bufio.NewReader(out))
	var about struct{ Nodes []Node }
	err = c.answer(ctx, startTimeout, &about)
	if err == nil && len(about.Nodes) != l.Datacenters*l.Nodes {
		err = fmt.Errorf("it has %d nodes", len(about.Nodes))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster %s: %w", l, err), c.Stop())
	}
	c.Nodes = about.Nodes
	return c, nil
}

// answer reads the next line the cluster says.
func (c *Cluster) answer(ctx context.Context, timeout time.Duration, v any) error {
	read := make(chan error, 1)
	go func() { read <- c.answers.Decode(v) }() // which ends with the process at the latest
	select {
	case err := <-read:
		if err != nil {
			return fmt.Errorf("%w; it said: %s", err, c.tail())
		}
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("no answer in %v; it said: %s", timeout, c.tail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Do carries out an operation on a node: start, stop, kill, freeze or thaw, or wipe, which
// takes the data of a node that does not run. Options are for the Java process that start
// starts. After an error the cluster may be of no more use.
func (c *Cluster) Do(ctx context.Context, operation, node string, options ...string) error {
	_, err := c.ask(ctx, strings.Join(append([]string{operation, node}, options...), " "))
	return err
}

// Nodetool runs a command of nodetool on a node of a cluster that was started with
// -jmx, and returns what it prints.
func (c *Cluster) Nodetool(ctx context.Context, node, command string) (string, error) {
	return c.ask(ctx, "nodetool "+node+" "+command)
}

func (c *Cluster) ask(ctx context.Context, request string) (output string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.astray != nil {
		return "", fmt.Errorf("%s: %w", request, c.astray)
	}
	if _, err := fmt.Fprintln(c.in, request); err != nil {
		return "", fmt.Errorf("%s: %w", request, err)
	}
	var a struct{ Error, Output string }
	err = c.answer(ctx, requestTimeout, &a)
	c.astray = err // the next answer would be that of this request
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", request, err)
	}
	return a.Output, nil
}

// PID is the root of the tree of processes that all nodes are in.
func (c *Cluster) PID() int { return c.cmd.Process.Pid }

// Datacenters are the names of the data centres.
func (c *Cluster) Datacenters() []string {
	var names []string
	for i, n := range c.Nodes {
		if i == 0 || n.Datacenter != c.Nodes[i-1].Datacenter {
			names = append(names, n.Datacenter)
		}
	}
	return names
}

// Hosts are the addresses of the nodes of a data centre.
func (c *Cluster) Hosts(datacenter string) []string {
	var hosts []string
	for _, n := range c.Nodes {
		if n.Datacenter == datacenter {
			hosts = append(hosts, n.Address)
		}
	}
	return hosts
}

// replication is that of the keyspace, as the server is told of it.
func (c *Cluster) replication() string {
	var parts []string
	for _, dc := range c.Datacenters() {
		parts = append(parts, fmt.Sprintf("%s:%d", dc, c.Layout.replicas()))
	}
	return strings.Join(parts, ",")
}

// Stop ends the cluster; its data is gone.
func (c *Cluster) Stop() error {
	_ = c.in.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	err := c.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == absent {
		err = ErrAbsent
	}
	if err != nil {
		return fmt.Errorf("end cluster: %w; it said: %s", err, c.tail())
	}
	return nil
}

func (c *Cluster) tail() string {
	raw, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw[max(0, len(raw)-2000):]))
}

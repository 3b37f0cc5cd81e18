package jvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"restante/cassandra/cassandratest/internal/process"
)

const (
	// How long a node may take until it answers; 10 s is usual when it has a
	// core for itself.
	startTimeout = 3 * time.Minute
	// How long a node may take to drain and end.
	stopTimeout = 30 * time.Second
	// How much of a log is read for the reason of a failure.
	logTail = 64 << 10
)

var (
	settings  = template.Must(template.ParseFS(config, "config/cassandra.yaml"))
	bindFails = regexp.MustCompile(`.*(Address already in use|in use by another process|Failed to bind port).*`)
)

// A Node is one Cassandra process, or the place of one that does not run.
type Node struct {
	Name       string // dc1-1
	Datacenter string // dc1
	IP         string
	NativePort int
	JMXPort    int // 0: none

	// What the template of cassandra.yaml takes besides.
	Cluster     string
	Token       string
	Seeds       string
	StoragePort int
	Settings    []string
	Dir         string // data and configuration

	own   bool     // nobody else may have the address
	enter []string // begins commands that run where the node does

	log  string // file that holds what the process says, over all its starts
	proc *process.Process
}

// Address is where the node serves CQL.
func (n *Node) Address() string { return net.JoinHostPort(n.IP, strconv.Itoa(n.NativePort)) }

// Running reports whether the process is there.
func (n *Node) Running() bool { return n.proc != nil && n.proc.Running() }

// configure writes the files the node reads.
func (n *Node) configure() error {
	var yaml bytes.Buffer
	if err := settings.Execute(&yaml, n); err != nil {
		return fmt.Errorf("configure %s: %w", n.Name, err)
	}
	logback, err := config.ReadFile("config/logback.xml")
	if err != nil {
		return err
	}
	options, err := config.ReadFile("config/jvm17.options")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"cassandra.yaml":              yaml.Bytes(),
		"cassandra-rackdc.properties": fmt.Appendf(nil, "dc=%s\nrack=r1\n", n.Datacenter),
		"logback.xml":                 logback,
		"jvm17.options":               options,
	} {
		if err := os.WriteFile(filepath.Join(n.Dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// wipe leaves the node as it was before it started for the first time.
func (n *Node) wipe() error {
	if n.Running() {
		return fmt.Errorf("%s runs: it cannot be wiped", n.Name)
	}
	return errors.Join(os.RemoveAll(n.Dir), n.configure())
}

// command is one that runs where the node does.
func (n *Node) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	words := slices.Concat(n.enter, []string{name}, args)
	return exec.CommandContext(ctx, words[0], words[1:]...)
}

// launch starts the process. See [process.Start] for the thread it belongs to.
func (n *Node) launch(in Installation, options ...string) error {
	if n.Running() {
		return fmt.Errorf("%s runs already", n.Name)
	}
	for _, port := range []int{n.NativePort, n.StoragePort} {
		if n.own {
			break
		}
		if err := checkFree(port, n.IP); err != nil {
			return fmt.Errorf("start %s: %w", n.Name, err)
		}
	}
	agent, err := in.agent()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own

	args := []string{"@" + filepath.Join(n.Dir, "jvm17.options"),
		"-javaagent:" + agent,
		"-Dcassandra.storagedir=" + n.Dir,
		"-Dcassandra.config=file://" + filepath.Join(n.Dir, "cassandra.yaml"),
		"-Dcassandra-rackdc.properties=file://" + filepath.Join(n.Dir, "cassandra-rackdc.properties"),
	}
	if n.JMXPort != 0 {
		args = append(args, fmt.Sprintf("-Dcassandra.jmx.local.port=%d", n.JMXPort))
	}
	args = append(append(args, options...),
		"-classpath", n.Dir+string(os.PathListSeparator)+filepath.Join(in.jars, "*"),
		"org.apache.cassandra.service.CassandraDaemon")
	cmd := n.command(context.Background(), in.java, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Dir, log, log
	n.proc, err = process.Start(cmd)
	return err
}

// await waits until the node serves clients.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := AwaitCQL(ctx, n.Address(), n.proc.Done())
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, n.explain(err))
	}
	return nil
}

// explain adds what the log says to the error of a node that did not start.
func (n *Node) explain(err error) error {
	text := tail(n.log)
	if line := bindFails.FindString(text); line != "" && errors.Is(err, errEnded) {
		return fmt.Errorf("%w: %w: %s", err, ErrPort, strings.TrimSpace(line))
	}
	return fmt.Errorf("%w; its log ends with\n%s", err, lastLines(text, 15))
}

// tail is the end of a file, as far as it can be read.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logTail):])
}

// Cluster runs a Cassandra of Java processes outside of a test: for a measurement,
// for a server to try things with, for tests that are run again and again. It makes
// the cluster, tells where it is, and removes it with all it holds when it ends.
//
//	go run ./cassandra/cassandratest/cluster
//	go run ./cassandra/cassandratest/cluster -datacenters 2 -nodes 3
//	go run ./cassandra/cassandratest/cluster -- go test ./cassandra/...
//
// A command behind -- runs with the cluster, and the cluster ends with it. It finds
// in its environment what the server and the tests read there:
// RESTANTE_CASSANDRA_HOSTS, and for the first data centre
// RESTANTE_CASSANDRA_DATACENTER and RESTANTE_CASSANDRA_REPLICATION. Without a
// command the cluster stays until it is interrupted, or until the standard input
// ends where -control makes it a conversation: see [converse].
//
// The compiler of Java is not held back as in tests, where nodes live only for
// seconds; yet for the first minute under load figures mean nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"restante/cassandra/cassandratest/internal/driver"
	"restante/cassandra/cassandratest/internal/jvm"
	"restante/cassandra/cassandratest/internal/keeper"
)

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1)) // of the command, which has spoken for itself
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		if errors.Is(err, jvm.ErrAbsent) {
			os.Exit(absent)
		}
		os.Exit(1)
	}
}

// absent is the exit code on a machine that has nothing to run Cassandra with.
const absent = 3

// thorough has Java compile as well as it can, which pays off in a cluster that is
// measured.
const thorough = "-XX:TieredStopAtLevel=4"

type options struct {
	layout  keeper.Layout
	java    []string
	control bool
	keep    bool
	command []string
}

func parse(args []string) (options, error) {
	o := options{java: []string{thorough}}
	f := flag.NewFlagSet("cluster", flag.ContinueOnError)
	f.IntVar(&o.layout.Datacenters, "datacenters", 1, "data centres, dc1, dc2, …")
	f.IntVar(&o.layout.Nodes, "nodes", 1, "nodes of each data centre")
	f.Func("java", "options for the Java processes, which come after their own and "+thorough+"; may be repeated", func(text string) error {
		o.java = append(o.java, text)
		return nil
	})
	f.BoolVar(&o.layout.JMX, "jmx", false, "let nodetool in, and whoever may open a port of this machine")
	f.BoolVar(&o.keep, "keep", false, "keep the logs of the nodes")
	f.StringVar(&o.layout.Network, "network", "", "what begins the addresses of nodes that have these for themselves, such as 10.77")
	f.Func("enter", "data centre and what begins the commands that run there, such as 'dc1=nsenter --net=/run/netns/one'; may be repeated", func(text string) error {
		dc, command, ok := strings.Cut(text, "=")
		words := strings.Fields(command)
		if !ok || len(words) == 0 {
			return errors.New("want a data centre, = and a command")
		}
		if o.layout.Enter == nil {
			o.layout.Enter = make(map[string][]string)
		}
		o.layout.Enter[dc] = words
		return nil
	})
	f.BoolVar(&o.control, "control", false, "be told what to do on standard input, and end with it")
	f.Func("set", "line for cassandra.yaml, which it must not have yet; may be repeated", func(line string) error {
		o.layout.Settings = append(o.layout.Settings, line)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.command = f.Args()
	switch {
	case o.layout.Datacenters < 1 || o.layout.Nodes < 1:
		return o, errors.New("a cluster has at least one data centre and one node")
	case o.control && len(o.command) > 0:
		return o, errors.New("-control is for a cluster without a command")
	}
	return o, nil
}

func run(args []string, in io.Reader, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	// From here on an interrupt ends the command or the conversation, and then the
	// cluster, in order. It is noted before the cluster exists: the keeper is a
	// session of its own, which no terminal interrupts.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	// What the keeper hands on to Java, which reads it behind its other options.
	if err := os.Setenv("_JAVA_OPTIONS", strings.Join(append([]string{os.Getenv("_JAVA_OPTIONS")}, o.java...), " ")); err != nil {
		return err
	}
	told := new(input) // which never ends
	if o.control {
		told = listen(in)
	}
	end, stopWatching := watch(told, signals)
	defer stopWatching() //nolint:errcheck // asked for below
	lease, err := keeper.Start(end, o.layout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Close()) }()
	if o.keep {
		if _, err := lease.KeepLogs(); err != nil {
			return err
		}
	}
	err = driver.AwaitWhole(end, lease.Cluster.Nodes, func(int, error) {})
	if ended := stopWatching(); err == nil {
		err = ended
	}
	if err != nil {
		return err
	}
	switch {
	case o.control:
		return converse(lease, lease.Cluster, told, out, signals)
	case len(o.command) > 0:
		return with(o.command, environment(lease.Cluster, o.layout.Nodes), signals)
	}
	if err := describe(out, lease.Cluster, o.layout.Nodes); err != nil {
		return err
	}
	<-signals
	return nil
}

// watch returns a context that ends when the input does, or with a signal: there is nobody
// then for whom a cluster should start. It watches until stop, which returns why it ended,
// if it did.
func watch(in *input, signals <-chan os.Signal) (ctx context.Context, stop func() error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var why error
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			why = fmt.Errorf("ended by a signal: %v", s)
		case <-in.ended:
			why = errors.New("nobody is there to be told of the cluster")
		case <-ctx.Done():
		}
		cancel(why)
	}()
	return ctx, func() error {
		cancel(nil)
		<-done
		return why
	}
}

// describe tells a person what there is.
func describe(out io.Writer, c keeper.Cluster, nodes int) error {
	var b strings.Builder
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "%s  %s\n", n.Name, n.Address)
	}
	fmt.Fprintf(&b, "\n%s\n\nlogs: %s\nInterrupt to end it.\n", strings.Join(environment(c, nodes), "\n"), c.Dir+"/logs")
	_, err := io.WriteString(out, b.String())
	return err
}

// maxReplicas is the most copies that a row has in one data centre.
const maxReplicas = 3

// environment is how the server and the tests are told of a cluster.
func environment(c keeper.Cluster, nodes int) []string {
	var hosts, replication []string
	for i, n := range c.Nodes {
		hosts = append(hosts, n.Address)
		if i == 0 || n.Datacenter != c.Nodes[i-1].Datacenter {
			replication = append(replication, fmt.Sprintf("%s:%d", n.Datacenter, min(nodes, maxReplicas)))
		}
	}
	return []string{
		"RESTANTE_CASSANDRA_HOSTS=" + strings.Join(hosts, ","),
		"RESTANTE_CASSANDRA_DATACENTER=" + c.Nodes[0].Datacenter,
		"RESTANTE_CASSANDRA_REPLICATION=" + strings.Join(replication, ","),
	}
}

// patience is how long a command may take to end after a signal.
const patience = time.Minute

// with runs a command. A signal ends it: an interrupt at the terminal has reached it
// already, as it is of the same process group, and any other is passed on.
func with(command, env []string, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case s := <-signals:
		if s != os.Interrupt {
			_ = cmd.Process.Signal(s) // it may have ended just now
		}
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		cancel()
		return errors.Join(fmt.Errorf("%s did not end within %v of a signal", command[0], patience), <-ended)
	}
}

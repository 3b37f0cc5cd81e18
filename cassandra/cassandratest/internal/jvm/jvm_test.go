package jvm

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNodesOfACluster(t *testing.T) {
	e, err := build(Installation{}, Layout{Name: "here", Dir: t.TempDir(), Datacenters: 2, Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	tokens := make(map[string]bool)
	for _, n := range e.Nodes() {
		tokens[n.Token] = true
	}
	if len(tokens) != 6 {
		t.Errorf("6 nodes with %d tokens", len(tokens))
	}
	last := e.Nodes()[5]
	if last.Name != "dc2-3" || last.Datacenter != "dc2" || last.IP != "127.0.2.3" {
		t.Errorf("the last node is %s of %s on %s", last.Name, last.Datacenter, last.IP)
	}
	if strings.Count(last.Seeds, ",") != 1 || !strings.HasPrefix(last.Seeds, "127.0.1.1:") || !strings.Contains(last.Seeds, ",127.0.2.1:") {
		t.Errorf("seeds %s, want the first node of each data centre", last.Seeds)
	}
	yaml, err := os.ReadFile(filepath.Join(last.Dir, "cassandra.yaml"))
	if err != nil || !strings.Contains(string(yaml), "rpc_address: 127.0.2.3\n") {
		t.Errorf("cassandra.yaml of %s: %v\n%s", last.Name, err, yaml)
	}
}

func TestNodesInNetworksOfTheirOwn(t *testing.T) {
	enter := map[string][]string{"dc2": {"nsenter", "--net=/n"}}
	e, err := build(Installation{}, Layout{Name: "here", Dir: t.TempDir(), Datacenters: 2, Nodes: 3, JMX: true, Network: "10.77", Enter: enter})
	if err != nil {
		t.Fatal(err)
	}
	first, last := e.Nodes()[0], e.Nodes()[5]
	if last.Address() != "10.77.2.3:9042" || last.Seeds != "10.77.1.1:7000,10.77.2.1:7000" || last.JMXPort == first.JMXPort {
		t.Errorf("the last node is on %s, its seeds are %s, its port for JMX is %d", last.Address(), last.Seeds, last.JMXPort)
	}
	if got := last.command(t.Context(), "java", "-version").Args; !slices.Equal(got, []string{"nsenter", "--net=/n", "java", "-version"}) {
		t.Errorf("runs %q", got)
	}
	if got := first.command(t.Context(), "java", "-version").Args; !slices.Equal(got, []string{"java", "-version"}) {
		t.Errorf("runs %q in a data centre that needs no entering", got)
	}
}

func TestAWipedNodeHasItsConfigurationAndNothingElse(t *testing.T) {
	e, err := build(Installation{}, Layout{Name: "here", Dir: t.TempDir(), Datacenters: 1, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := e.Nodes()[0]
	data := filepath.Join(n.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.Do(t.Context(), WipeNode, n.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its data: %v", err)
	}
	if _, err := os.Stat(filepath.Join(n.Dir, "cassandra.yaml")); err != nil {
		t.Error(err)
	}
}

func TestANodeDoesNotStartOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n := &Node{Name: "dc1-1", IP: "127.0.0.1", NativePort: l.Addr().(*net.TCPAddr).Port}
	if err := n.launch(Installation{}); !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("launch: %v, want %v and the address", err, ErrPort)
	}
}

func TestTheReasonOfAFailedStartIsInTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "dc1-1.log")
	n := &Node{log: log}
	write := func(text string) {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a port taken after the check", func(t *testing.T) {
		write("INFO one\nERROR Failed to bind port 9042 on 127.0.0.1.\nINFO two\n")
		err := n.explain(errEnded)
		if !errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "Failed to bind port 9042") {
			t.Errorf("explained as %v", err)
		}
	})
	t.Run("anything else", func(t *testing.T) {
		write("INFO one\nERROR no space left\n")
		err := n.explain(errEnded)
		if errors.Is(err, ErrPort) || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("explained as %v", err)
		}
	})
}

func TestAMachineWithoutJava(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	if _, err := Install(t.Context(), t.TempDir()); !errors.Is(err, ErrAbsent) {
		t.Errorf("Install: %v, want %v", err, ErrAbsent)
	}
}

func TestAnotherJavaIsNoJava17(t *testing.T) {
	home := t.TempDir()
	script := "#!/bin/sh\necho 'openjdk version \"25.0.1\" 2025-10-21' >&2\n"
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	java := filepath.Join(home, "bin", "java")
	if err := os.WriteFile(java, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JAVA_HOME", home)
	t.Setenv("PATH", filepath.Join(home, "nothing"))
	if _, err := findJava(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Errorf("findJava: %v, want %v", err, ErrAbsent)
	}
	if err := os.WriteFile(java, []byte(strings.Replace(script, "25.0.1", "17.0.15", 1)), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := findJava(t.Context()); got != java || err != nil {
		t.Errorf("findJava: %s, %v, want %s", got, err, java)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"restante/cassandra/cassandratest/internal/jvm"
	"restante/cassandra/cassandratest/internal/keeper"
)

var six = keeper.Cluster{Dir: "/d", Nodes: []keeper.Node{
	{Name: "dc1-1", Datacenter: "dc1", Address: "127.0.1.1:9042"},
	{Name: "dc1-2", Datacenter: "dc1", Address: "127.0.1.2:9042"},
	{Name: "dc2-1", Datacenter: "dc2", Address: "127.0.2.1:9042"},
	{Name: "dc2-2", Datacenter: "dc2", Address: "127.0.2.2:9042"},
}}

func (f *fakeNodes) Nodetool(node string, command ...string) (string, error) {
	return fmt.Sprint(node, command), nil
}

// fakeNodes note what is done to them; dc1-2 cannot be helped.
type fakeNodes struct{ done []string }

func (f *fakeNodes) Do(op jvm.Op, node string, options ...string) error {
	f.done = append(f.done, strings.Join(append([]string{string(op), node}, options...), " "))
	if node == "dc1-2" {
		return errors.New("no such luck")
	}
	return nil
}

func TestAConversationIsALineForALine(t *testing.T) {
	var f fakeNodes
	var out strings.Builder
	in := "kill dc2-1\nwipe dc2-1\nstart dc2-1 -Done=1 -Dother=2\nwipe dc2-1 all\nstart dc1-2\nburn dc1-1\nping\nnodetool dc2-2 flush restante\nnodetool dc1-1\n"
	if err := converse(&f, six, listen(strings.NewReader(in)), &out, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"kill dc2-1", "wipe dc2-1", "start dc2-1 -Done=1 -Dother=2", "start dc1-2"}; !slices.Equal(f.done, want) {
		t.Errorf("did %q, want %q", f.done, want)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`{"Nodes":[{"Name":"dc1-1","Datacenter":"dc1","Address":"127.0.1.1:9042"}`, "{}", "{}", "{}", `{"error":"\"wipe dc2-1 all\" is not`, `{"error":"no such luck"}`,
		`{"error":"\"burn dc1-1\" is not an operation and a node"}`, `{"error":"\"ping\" is not`,
		`{"output":"dc2-2[flush restante]"}`, `{"error":"\"nodetool dc1-1\" is not`,
	}
	if len(lines) != len(want) {
		t.Fatalf("answered %q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %s, want %s…", i, lines[i], want[i])
		}
	}
}

func TestASignalEndsAConversation(t *testing.T) {
	in, w := io.Pipe() // nobody says anything
	defer func() { _ = w.Close() }()
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	if err := converse(&fakeNodes{}, six, listen(in), io.Discard, signals); err != nil {
		t.Error(err)
	}
}

func TestAStartEndsWhereNobodyWaitsForItAnyMore(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	byHand, stop := watch(new(input), signals)
	<-byHand.Done()
	if err := stop(); err == nil {
		t.Error("a signal was lost")
	}

	gone, stop := watch(listen(strings.NewReader("")), nil)
	<-gone.Done()
	if err := stop(); err == nil {
		t.Error("the end of the input was lost")
	}

	in, w := io.Pipe() // nobody says anything
	defer func() { _ = w.Close() }()
	waited, stop := watch(listen(in), nil)
	if err := waited.Err(); err != nil {
		t.Errorf("while somebody waits: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("nothing has ended it: %v", err)
	}
}

func TestACommandFindsTheClusterInItsEnvironment(t *testing.T) {
	env := environment(six, 2)
	want := []string{
		"RESTANTE_CASSANDRA_HOSTS=127.0.1.1:9042,127.0.1.2:9042,127.0.2.1:9042,127.0.2.2:9042",
		"RESTANTE_CASSANDRA_DATACENTER=dc1",
		"RESTANTE_CASSANDRA_REPLICATION=dc1:2,dc2:2",
	}
	if !slices.Equal(env, want) {
		t.Errorf("the environment is %q, want %q", env, want)
	}
	if err := with([]string{"sh", "-c", `test "$RESTANTE_CASSANDRA_DATACENTER" = dc1`}, env, nil); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := with([]string{"sh", "-c", "exit 7"}, env, nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("a command that exits with 7: %v", err)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for _, args := range [][]string{{"-enter", "nsenter"}, {"-nodes", "0"}, {"-datacenters", "-1"}, {"-control", "--", "true"}, {"-unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	o, err := parse([]string{"-datacenters", "2", "-nodes", "3", "-enter", "dc2=nsenter --net=/n", "--", "echo", "-n"})
	if enter := o.layout.Enter; len(enter) != 1 || !slices.Equal(enter["dc2"], []string{"nsenter", "--net=/n"}) {
		t.Errorf("enters by %q", enter)
	}
	if err != nil || o.layout.Datacenters != 2 || o.layout.Nodes != 3 || !slices.Equal(o.command, []string{"echo", "-n"}) {
		t.Errorf("parsed %+v, %v", o, err)
	}
}

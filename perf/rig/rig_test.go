package rig

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// fakeVariable makes the test binary a cluster that is only talk.
const fakeVariable = "RESTANTE_PERF_RIG_FAKE"

func TestMain(m *testing.M) {
	if how := os.Getenv(fakeVariable); how != "" {
		fake(how)
		return
	}
	os.Exit(m.Run())
}

func fake(how string) {
	fmt.Fprintln(os.Stderr, "said by the cluster")
	switch how {
	case "fails":
		os.Exit(1)
	case "is absent":
		os.Exit(absent)
	}
	fmt.Println(`{"Nodes":[{"Name":"dc1-1","Datacenter":"dc1","Address":"a:1"},{"Name":"dc1-2","Datacenter":"dc1","Address":"b:1"},` +
		`{"Name":"dc2-1","Datacenter":"dc2","Address":"c:1"},{"Name":"dc2-2","Datacenter":"dc2","Address":"d:1"}],"Dir":"/d"}`)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "kill dc2-1", "start dc1-2 -Done=1 -Dother=2":
			fmt.Println("{}")
		case "nodetool dc1-1 info now":
			fmt.Println(`{"output":"all is well"}`)
		default:
			fmt.Printf("{\"error\":%q}\n", "cannot "+lines.Text())
		}
	}
}

func start(t *testing.T, how string, l Layout) (*Cluster, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeVariable, how)
	return startCluster(t.Context(), self, t.TempDir(), nil, l)
}

func TestAClusterIsToldWhatToDo(t *testing.T) {
	c, err := start(t, "works", Layout{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "kill", "dc2-1"); err != nil {
		t.Error(err)
	}
	if err := c.Do(t.Context(), "start", "dc1-2", "-Done=1", "-Dother=2"); err != nil {
		t.Error(err)
	}
	if err := c.Do(t.Context(), "start", "dc2-1"); err == nil || err.Error() != "start dc2-1: cannot start dc2-1" {
		t.Errorf("what it cannot do: %v", err)
	}
	if out, err := c.Nodetool(t.Context(), "dc1-1", "info now"); err != nil || out != "all is well" {
		t.Errorf("nodetool said %q, %v", out, err)
	}
	if got := c.Datacenters(); !slices.Equal(got, []string{"dc1", "dc2"}) {
		t.Errorf("data centres %q", got)
	}
	if got := c.Hosts("dc2"); !slices.Equal(got, []string{"c:1", "d:1"}) {
		t.Errorf("hosts of dc2 %q", got)
	}
	if got := c.replication(); got != "dc1:2,dc2:2" {
		t.Errorf("replication %q", got)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAClusterThatIsNotWhatWasAskedForIsAnError(t *testing.T) {
	if _, err := start(t, "fails", Layout{1, 1}); err == nil || !strings.Contains(err.Error(), "said by the cluster") {
		t.Errorf("a cluster that ends: %v", err)
	}
	if _, err := start(t, "is absent", Layout{1, 1}); !errors.Is(err, ErrAbsent) {
		t.Errorf("a machine without Java: %v", err)
	}
	if _, err := start(t, "works", Layout{1, 3}); err == nil || !strings.Contains(err.Error(), "it has 4 nodes") {
		t.Errorf("a cluster of another size: %v", err)
	}
}

func TestALayoutIsReadAsItIsWritten(t *testing.T) {
	var l Layout
	if err := l.UnmarshalText([]byte("2x3")); err != nil || l != (Layout{2, 3}) || l.String() != "2x3" {
		t.Errorf("read %v, %v", l, err)
	}
	for _, text := range []string{"", "2", "2x", "x3", "0x1", "2x0", "-1x2", "2x3x4", "2x3 4"} {
		if err := new(Layout).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a layout", text)
		}
	}
}

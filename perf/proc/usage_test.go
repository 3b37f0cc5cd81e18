package proc

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fake is a /proc of our own making.
type fake struct {
	t    *testing.T
	root string
}

func (f fake) write(path, text string) {
	f.t.Helper()
	full := filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// process has 1, 2, 3 and 4 times cpu ticks of the four kinds.
func (f fake) process(pid, parent, cpu, pages, pss int) {
	f.t.Helper()
	f.write(strconv.Itoa(pid)+"/stat", fmt.Sprintf(
		"%d (a) b (c) S %d 1 1 0 -1 4194560 100 200 0 0 %d %d %d %d 20 0 1 0 1000 9999 %d 18446744073709551615 1 1\n",
		pid, parent, cpu, 2*cpu, 3*cpu, 4*cpu, pages))
	f.write(strconv.Itoa(pid)+"/smaps_rollup", fmt.Sprintf(
		"00400000-7fff r--p 0 00:00 0 [rollup]\nRss: 100 kB\nPss: %d kB\nPss_Dirty: 7 kB\n", pss))
}

func TestATreeIsItsRootsAndTheirDescendants(t *testing.T) {
	f := fake{t, t.TempDir()}
	f.process(10, 1, 1, 3, 5)
	f.process(11, 10, 10, 30, 50)
	f.process(12, 11, 100, 300, 500)
	f.process(20, 1, 1000, 3000, 5000)
	f.write("self/stat", "no number, no process")
	s := System{Root: f.root}

	u, err := s.TreePSS(10, 11, 99)
	if err != nil {
		t.Fatal(err)
	}
	want := Usage{Processes: 3, CPU: 1110 * tick, RSS: 333 * int64(os.Getpagesize()), PSS: 555 << 10}
	if u != want {
		t.Errorf("the tree used %+v, want %+v", u, want)
	}
	ids, err := s.Members(11)
	if slices.Sort(ids); err != nil || !slices.Equal(ids, []int{11, 12}) {
		t.Errorf("members %v, %v", ids, err)
	}
	f.write("13/stat", "13 (ended) Z"+strings.Repeat(" 0", 30))
	if n, err := s.Living(10, 12, 13, 99); err != nil || n != 2 {
		t.Errorf("%d living, %v", n, err)
	}
	if _, err := s.Tree(99); err == nil {
		t.Error("a process that is not there has used something")
	}
}

func TestThreadsAreThoseOfTheTree(t *testing.T) {
	f := fake{t, t.TempDir()}
	f.process(10, 1, 1, 1, 1)
	f.process(11, 10, 1, 1, 1)
	f.process(20, 1, 1, 1, 1)
	thread := func(pid, id int, name string, cpu int) {
		f.write(fmt.Sprintf("%d/task/%d/stat", pid, id), fmt.Sprintf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 %d %d 100 100 20 0 1 0 1000 9999 1\n", id, name, cpu, 2*cpu))
	}
	thread(10, 10, "java", 1)
	thread(10, 12, "GC (a) Thread#0", 2)
	thread(11, 11, "Stage-10", 4)
	thread(20, 20, "java", 8)
	got, err := System{Root: f.root}.Threads(10)
	want := map[int]Thread{10: {"java", 3 * tick}, 12: {"GC (a) Thread#0", 6 * tick}, 11: {"Stage-10", 12 * tick}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	f.write("10/task/14/stat", "14 (x")
	if _, err := (System{Root: f.root}).Threads(10); err == nil {
		t.Error("a short stat is understood")
	}
}

func TestWhatCannotBeUnderstoodIsAnError(t *testing.T) {
	f := fake{t, t.TempDir()}
	f.write("5/stat", "5 (x) S 1 1")
	if _, err := (System{Root: f.root}).Tree(5); err == nil {
		t.Error("a short stat is understood")
	}
	f.write("stat", "cpu 1 2\n")
	if _, err := (System{Root: f.root}).Busy(); err == nil {
		t.Error("a short cpu line is understood")
	}
}

func TestBusyLeavesIdleTimeOut(t *testing.T) {
	f := fake{t, t.TempDir()}
	f.write("stat", "cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n")
	busy, err := System{Root: f.root}.Busy()
	if err != nil || busy != 63*tick {
		t.Errorf("busy %v, %v", busy, err)
	}
}

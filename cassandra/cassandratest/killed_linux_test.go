package cassandratest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The victims are killed while the first node starts: the earliest time at which
// there is something to leave behind.
func TestNoProcessOutlivesAKilledOne(t *testing.T) {
	t.Run("the test is killed", func(t *testing.T) {
		tmp := t.TempDir()
		victim := another(t, "TestTwoDatacenters", "TMPDIR="+tmp)
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "a node", func() bool { return len(nodes(t, tmp)) > 0 })
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait() // killed
		await(t, "the end of keeper and node", func() bool { return len(keepers(t, tmp))+len(nodes(t, tmp)) == 0 })
		if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
			t.Errorf("%s left behind, %v", left, err)
		}
	})

	t.Run("the keeper is killed", func(t *testing.T) {
		tmp := t.TempDir()
		cmd := another(t, "TestTwoDatacenters", "TMPDIR="+tmp)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "a node", func() bool { return len(nodes(t, tmp)) > 0 })
		for _, pid := range keepers(t, tmp) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "the keeper ended without a word") {
			t.Errorf("the test ended with %v:\n%s", err, out.String())
		}
		await(t, "the end of the node", func() bool { return len(nodes(t, tmp)) == 0 })
	})
}

// keepers are the processes that work in the directory of a cluster.
func keepers(t *testing.T, tmp string) []int {
	return working(t, filepath.Join(tmp, "restante-cassandra-*"))
}

// nodes are the processes that work in the directory of a node.
func nodes(t *testing.T, tmp string) []int {
	return working(t, filepath.Join(tmp, "restante-cassandra-*", "nodes", "*"))
}

// working are the processes whose working directory, there or removed, matches.
func working(t *testing.T, pattern string) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, l := range links {
		cwd, err := os.Readlink(l)
		if err != nil {
			continue // ended meanwhile, or somebody else's
		}
		is, err := filepath.Match(pattern, strings.TrimSuffix(cwd, " (deleted)"))
		if err != nil {
			t.Fatal(err)
		}
		if !is {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

// await waits for a condition that other processes bring about.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

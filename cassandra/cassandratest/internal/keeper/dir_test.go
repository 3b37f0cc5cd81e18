package keeper

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSweepTakesOnlyWhatNobodyNeeds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cluster := func(t *testing.T) (dir string, release func()) {
		t.Helper()
		dir, err := newDir()
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range []string{"nodes", "logs"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		claim, err := claimDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return dir, func() {
			if err := claim.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	swept := func(t *testing.T, dir string) bool {
		t.Helper()
		if err := sweep(); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	}

	t.Run("a cluster that is not yet claimed stays", func(t *testing.T) {
		dir, err := newDir()
		if err != nil {
			t.Fatal(err)
		}
		if swept(t, dir) {
			t.Error("it is gone")
		}
	})
	t.Run("a cluster in use stays, one whose keeper was killed goes", func(t *testing.T) {
		dir, release := cluster(t)
		if swept(t, dir) {
			t.Error("it is gone while it is in use")
		}
		release()
		if !swept(t, dir) {
			t.Error("it is there without a keeper")
		}
	})
	t.Run("kept logs stay for a while, the data does not", func(t *testing.T) {
		dir, release := cluster(t)
		if err := leaveDir(dir, true); err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := os.Stat(filepath.Join(dir, "nodes")); !os.IsNotExist(err) {
			t.Errorf("data is there: %v", err)
		}
		if swept(t, dir) {
			t.Error("the logs are gone")
		}
		old := time.Now().Add(-keptFor - time.Minute)
		if err := os.Chtimes(claimPath(dir), old, old); err != nil {
			t.Fatal(err)
		}
		if !swept(t, dir) {
			t.Error("old logs are there")
		}
	})
	t.Run("nothing is kept of a cluster that ended well", func(t *testing.T) {
		dir, release := cluster(t)
		if err := leaveDir(dir, false); err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("it is there: %v", err)
		}
	})
}

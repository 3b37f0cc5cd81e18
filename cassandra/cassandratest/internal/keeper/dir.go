package keeper

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"restante/cassandra/cassandratest/internal/process"
)

const (
	dirPrefix = "restante-cassandra-"
	// Logs that were kept for a person to read go after this time.
	keptFor = 3 * 24 * time.Hour
)

func newDir() (string, error) { return os.MkdirTemp("", dirPrefix) }

func socketPath(dir string) string { return filepath.Join(dir, "socket") }
func logPath(dir string) string    { return filepath.Join(dir, "logs", "keeper.log") }
func claimPath(dir string) string  { return filepath.Join(dir, "claim") }

// claimDir locks the directory of a cluster for the life of its keeper. The
// claim appears locked, so that sweep never takes a new directory for a dead one.
func claimDir(dir string) (io.Closer, error) {
	fresh := claimPath(dir) + ".new"
	claim, err := process.Lock(context.Background(), fresh)
	if err != nil {
		return nil, err
	}
	return claim, os.Rename(fresh, claimPath(dir))
}

// leaveDir removes what a cluster leaves: all of it, or all but the logs.
func leaveDir(dir string, keepLogs bool) error {
	if !keepLogs {
		return os.RemoveAll(dir)
	}
	return errors.Join(os.RemoveAll(filepath.Join(dir, "nodes")), os.RemoveAll(socketPath(dir)))
}

// sweep removes what killed keepers left behind, and old logs.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		info, err := os.Stat(claimPath(dir))
		if err != nil {
			continue // not begun, or another user's
		}
		claim, err := process.TryLock(claimPath(dir))
		if claim == nil || err != nil {
			continue // in use
		}
		if _, err := os.Stat(filepath.Join(dir, "nodes")); err == nil || time.Since(info.ModTime()) > keptFor {
			errs = append(errs, os.RemoveAll(dir))
		}
		errs = append(errs, claim.Close())
	}
	return errors.Join(errs...)
}

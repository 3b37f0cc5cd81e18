package embedded

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A guard stands between Pebble and the file system and sees to it that a write
// that failed is never acknowledged and never followed by another.
//
// Pebble answers an error of its log by a panic with its locks held, or by a
// call of Fatalf after which Apply returns nil. Both assume that the process
// ends there and then. The guard lets it end in order: it remembers the first
// error of the log and swallows it and all that Pebble writes to the log from
// then on, so that every committer comes back; each then asks the guard, before
// it acknowledges anything. All other writes of Pebble fail from then on, so
// that the files stay as they were at the error, which is what a crash would
// have left. Reading goes on.
type guard struct {
	vfs.FS
	observeSync func(time.Duration) // how long a sync of the log took

	once  sync.Once
	cause error         // set before ended is closed
	ended chan struct{} // closed by the first fatal error
}

// errStopped is what Pebble gets to hear from the file system after the end.
var errStopped = errors.New("no more writes after a fatal error")

// backgroundRetry holds up the creation of a file after the last one failed:
// Pebble repeats a failed flush at once and without end.
const backgroundRetry = 100 * time.Millisecond

func newGuard(fs vfs.FS, observeSync func(time.Duration)) *guard {
	return &guard{FS: fs, observeSync: observeSync, ended: make(chan struct{})}
}

// stop is the end of all writing.
func (g *guard) stop(cause error) {
	g.once.Do(func() {
		g.cause = cause
		close(g.ended)
	})
}

// err is why writing ended, or nil while it goes on.
func (g *guard) err() error {
	select {
	case <-g.ended:
		return g.cause
	default:
		return nil
	}
}

// swallow runs a write of the log, if the log is still written, and keeps its
// error from Pebble.
func (g *guard) swallow(what string, write func() error) {
	if g.err() != nil {
		return
	}
	if err := write(); err != nil {
		g.stop(fmt.Errorf("%s: %w", what, err))
	}
}

func (g *guard) isLog(name string) bool { return strings.HasSuffix(g.PathBase(name), ".log") }

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(name, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.create(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

func (g *guard) create(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	if g.isLog(name) {
		g.swallow("create log", func() error {
			f, err = open()
			return err
		})
		if f == nil {
			f = vfs.NewMemFile(nil) // takes nothing: the guard has stopped
		}
		return &logFile{f, g, logWhat}, nil
	}
	if g.err() == nil {
		f, err = open()
	} else {
		err = errStopped
	}
	if err != nil {
		time.Sleep(backgroundRetry)
		return nil, err
	}
	return &otherFile{f, g}, nil
}

// OpenDir opens a directory, whose sync the log needs as much as its own.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &logFile{f, g, directoryWhat}, nil
}

func (g *guard) Remove(name string) error {
	return g.unlessStopped(func() error { return g.FS.Remove(name) })
}

func (g *guard) Rename(oldname, newname string) error {
	return g.unlessStopped(func() error { return g.FS.Rename(oldname, newname) })
}

func (g *guard) Link(oldname, newname string) error {
	return g.unlessStopped(func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) unlessStopped(write func() error) error {
	if g.err() != nil {
		return errStopped
	}
	return write()
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// A logFile is a file of the write-ahead log, or the directory.
type logFile struct {
	vfs.File
	guard *guard
	what  string
}

const (
	logWhat       = "log"
	directoryWhat = "directory"
)

func (f *logFile) Write(p []byte) (int, error) {
	f.guard.swallow("write "+f.what, func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

func (f *logFile) Sync() error {
	f.sync(f.File.Sync)
	return nil
}

func (f *logFile) SyncData() error {
	f.sync(f.File.SyncData)
	return nil
}

func (f *logFile) SyncTo(length int64) (full bool, _ error) {
	f.sync(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

// Close closes the file also after the end, without a word.
func (f *logFile) Close() error {
	err := f.File.Close()
	f.guard.swallow("close "+f.what, func() error { return err })
	return nil
}

func (f *logFile) sync(sync func() error) {
	start := time.Now()
	f.guard.swallow("sync "+f.what, sync)
	if f.what == logWhat {
		f.guard.observeSync(time.Since(start))
	}
}

// An otherFile is a table, a blob file, the manifest: its errors are Pebble's
// to deal with, and it is closed to writes after the end.
type otherFile struct {
	vfs.File
	guard *guard
}

func (f *otherFile) Write(p []byte) (int, error) {
	if f.guard.err() != nil {
		return 0, errStopped
	}
	return f.File.Write(p)
}

func (f *otherFile) WriteAt(p []byte, at int64) (int, error) {
	if f.guard.err() != nil {
		return 0, errStopped
	}
	return f.File.WriteAt(p, at)
}

func (f *otherFile) Sync() error     { return f.guard.unlessStopped(f.File.Sync) }
func (f *otherFile) SyncData() error { return f.guard.unlessStopped(f.File.SyncData) }

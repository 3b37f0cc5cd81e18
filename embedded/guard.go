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
// Pebble answers an error of its log by a panic with its locks held, and one of
// its manifest by a call of Fatalf, after which Apply may return nil. Both assume
// that the process ends there and then. The guard lets it end in order. It
// remembers the first such error and keeps it from Pebble, which from then on
// plays on without a disk: nothing that it writes to the log and the manifest
// goes anywhere, what a flush makes is in memory, for a writer may wait for that
// flush, and compactions fail. So every writer comes back, and then asks the
// guard, before it acknowledges anything. The files stay as they
// were at the error, which is what a crash would have left. Reading goes on.
type guard struct {
	vfs.FS
	observeSync func(time.Duration) // how long a sync of the log took

	once   sync.Once
	cause  error         // set before ended is closed
	ended  chan struct{} // closed by the first fatal error
	memory *vfs.MemFS    // for what flushes write after the end
}

// errStopped is what a compaction gets to hear from the file system after the
// end.
var errStopped = errors.New("no more writes after a fatal error")

// backgroundRetry holds up the creation of a file after the last one failed:
// Pebble repeats a failed flush or compaction at once and without end.
const backgroundRetry = 100 * time.Millisecond

// flushCategory is how Pebble calls what a flush writes.
const flushCategory vfs.DiskWriteCategory = "pebble-memtable-flush"

func newGuard(fs vfs.FS, observeSync func(time.Duration)) *guard {
	return &guard{FS: fs, observeSync: observeSync, ended: make(chan struct{}), memory: vfs.NewMem()}
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

// swallow runs a write that Pebble cannot do without, unless writing has ended,
// and keeps its error from Pebble.
func (g *guard) swallow(what string, write func() error) {
	if g.err() != nil {
		return
	}
	if err := write(); err != nil {
		g.stop(fmt.Errorf("%s: %w", what, err))
	}
}

// vital is what a file is that Pebble cannot do without, or nothing.
func (g *guard) vital(name string) (what string) {
	base := g.PathBase(name)
	switch {
	case strings.HasSuffix(base, ".log"):
		return logWhat
	case strings.HasPrefix(base, "MANIFEST-"):
		return "manifest"
	case strings.HasPrefix(base, "marker."):
		return "marker"
	}
	return ""
}

const logWhat = "log"

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(name, category, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(newname, category, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

func (g *guard) create(name string, category vfs.DiskWriteCategory, open func() (vfs.File, error)) (f vfs.File, err error) {
	if what := g.vital(name); what != "" {
		g.swallow("create "+what, func() error {
			f, err = open()
			return err
		})
		if f == nil {
			f = vfs.NewMemFile(nil) // takes nothing: writing has ended
		}
		return &vitalFile{f, g, what}, nil
	}
	switch {
	case g.err() == nil:
		f, err = open()
	case category == flushCategory:
		return g.createInMemory(name, category)
	default:
		err = errStopped
	}
	if err != nil {
		time.Sleep(backgroundRetry)
		return nil, err
	}
	if strings.HasSuffix(name, ".blob") {
		return &blobFile{File: f, guard: g, name: name}, nil
	}
	return &otherFile{f, g}, nil
}

func (g *guard) createInMemory(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.memory.MkdirAll(g.memory.PathDir(name), 0o700); err != nil {
		return nil, err
	}
	return g.memory.Create(name, category)
}

// Open finds what was written after the end, too.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if g.err() != nil {
		if f, err := g.memory.Open(name, opts...); !isNotExist(err) {
			return f, err
		}
	}
	return g.FS.Open(name, opts...)
}

// OpenDir opens the directory. The log needs a sync of it as much as its own.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &vitalFile{f, g, "directory"}, nil
}

// Remove keeps what there is after the end: a crash would have left it too.
func (g *guard) Remove(name string) error {
	if g.err() != nil {
		return nil
	}
	return g.FS.Remove(name)
}

func (g *guard) Rename(oldname, newname string) error {
	return g.unlessEnded(func() error { return g.FS.Rename(oldname, newname) })
}

func (g *guard) Link(oldname, newname string) error {
	return g.unlessEnded(func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) unlessEnded(write func() error) error {
	if g.err() != nil {
		return errStopped
	}
	return write()
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// A vitalFile is one that Pebble cannot do without: its errors are the end.
type vitalFile struct {
	vfs.File
	guard *guard
	what  string
}

func (f *vitalFile) Write(p []byte) (int, error) {
	f.guard.swallow("write "+f.what, func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

func (f *vitalFile) Sync() error {
	f.sync(f.File.Sync)
	return nil
}

func (f *vitalFile) SyncData() error {
	f.sync(f.File.SyncData)
	return nil
}

func (f *vitalFile) SyncTo(length int64) (full bool, _ error) {
	f.sync(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

func (f *vitalFile) sync(sync func() error) {
	start := time.Now()
	f.guard.swallow("sync "+f.what, sync)
	if f.what == logWhat {
		f.guard.observeSync(time.Since(start))
	}
}

// Close closes the file also after the end.
func (f *vitalFile) Close() error {
	err := f.File.Close()
	f.guard.swallow("close "+f.what, func() error { return err })
	return nil
}

// An otherFile is a table: its errors are Pebble's to deal with, and it is closed
// to writes after the end.
type otherFile struct {
	vfs.File
	guard *guard
}

func (f *otherFile) Write(p []byte) (n int, err error) {
	err = f.guard.unlessEnded(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *otherFile) Sync() error     { return f.guard.unlessEnded(f.File.Sync) }
func (f *otherFile) SyncData() error { return f.guard.unlessEnded(f.File.SyncData) }

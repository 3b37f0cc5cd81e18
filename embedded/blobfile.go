package embedded

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A blobFile takes values that Pebble keeps apart. An error of it is the end, as
// one of the log is: where the last octets of a blob file cannot be written,
// Pebble v2.1.7 lets go of it twice and panics. What was written by then is taken
// to memory and goes on there, so that the flush succeeds and its values can be
// read.
type blobFile struct {
	vfs.File
	guard   *guard
	name    string
	written int64
	memory  vfs.File // after an error
}

func (f *blobFile) Write(p []byte) (int, error) {
	if err := f.attempt("write", func() error { _, err := f.File.Write(p); return err }); err != nil {
		return 0, err
	}
	f.written += int64(len(p))
	if f.memory != nil {
		return f.memory.Write(p)
	}
	return len(p), nil
}

func (f *blobFile) Sync() error     { return f.attempt("sync", f.File.Sync) }
func (f *blobFile) SyncData() error { return f.attempt("sync", f.File.SyncData) }

func (f *blobFile) SyncTo(length int64) (full bool, err error) {
	err = f.attempt("sync", func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Close comes after the sync, so its error costs no octet of this file.
func (f *blobFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.guard.stop(fmt.Errorf("close blob file: %w", err))
	}
	if f.memory != nil {
		return f.memory.Close()
	}
	return nil
}

// attempt writes to the disk, as long as that works.
func (f *blobFile) attempt(what string, write func() error) error {
	if f.memory != nil {
		return nil
	}
	err := f.guard.unlessEnded(write)
	if err == nil {
		return nil
	}
	f.guard.stop(fmt.Errorf("%s blob file: %w", what, err))
	return f.divert()
}

// divert copies what was written to memory.
func (f *blobFile) divert() error {
	memory, err := f.guard.createInMemory(f.name, flushCategory)
	if err != nil {
		return err
	}
	if _, err := io.Copy(memory, io.NewSectionReader(f.File, 0, f.written)); err != nil {
		return err
	}
	f.memory = memory
	return nil
}

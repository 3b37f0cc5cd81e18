// Package spool keeps a message on its way: in memory while it is small, else in a file
// that nobody finds.
package spool

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// A Spool keeps what is written to it until it is closed.
type Spool struct {
	Dir    string // of files; empty: that of the system
	Memory int    // how much is kept in memory, in octets

	memory []byte
	file   *os.File // of all, once memory did not hold it; it has no name
	octets int64
}

// Write keeps p. After an error what was written is of no use.
func (s *Spool) Write(p []byte) (n int, err error) {
	if s.file == nil && len(s.memory)+len(p) <= s.Memory {
		s.memory = append(s.memory, p...)
		s.octets += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, fmt.Errorf("spool: %w", err)
		}
	}
	n, err = s.file.Write(p)
	s.octets += int64(n)
	if err != nil {
		return n, fmt.Errorf("spool: %w", err)
	}
	return n, nil
}

// spill moves to a file what was written.
func (s *Spool) spill() error {
	f, err := os.CreateTemp(s.Dir, "restante-spool-*")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = f.Write(s.memory)
	s.memory = nil
	return err
}

// Octets is how much was written.
func (s *Spool) Octets() int64 { return s.octets }

// Open is what was written, from its first octet. It may be called again.
func (s *Spool) Open() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.octets)
}

// Close lets go of it. It may be called again.
func (s *Spool) Close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed
	}
}

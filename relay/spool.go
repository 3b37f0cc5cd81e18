package relay

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"restante/mailbox"
)

// spoolMemory is how much of a submitted message is kept in memory, in octets; a larger
// one is kept in a file.
const spoolMemory = 128 << 10

// A spool keeps a submitted message until it is stored: what stands in front of its
// header, the signatures, is known when its end is. It must be closed.
type spool struct {
	dir      string // of files; empty: that of the system
	memory   []byte
	file     *os.File // of all, once memory did not hold it; it has no name
	octets   int64
	eightBit bool // there are octets beyond ASCII
}

func (s *spool) Write(p []byte) (int, error) {
	s.eightBit = s.eightBit || bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x80 })
	if s.file == nil && len(s.memory)+len(p) <= spoolMemory {
		s.memory = append(s.memory, p...)
		s.octets += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.octets += int64(n)
	if err != nil {
		return n, fmt.Errorf("%w: spool: %w", mailbox.ErrUnavailable, err)
	}
	return n, nil
}

// spill moves to a file what was written.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "submission-*")
	if err == nil {
		s.file = f
		if err = os.Remove(f.Name()); err == nil {
			_, err = f.Write(s.memory)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: spool: %w", mailbox.ErrUnavailable, err)
	}
	s.memory = nil
	return nil
}

// open is what was written, from its first octet. It may be called again.
func (s *spool) open() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.octets)
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed
	}
}

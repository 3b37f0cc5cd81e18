package agent

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of a mail is kept in memory, in octets; a larger one is in a
// file.
const spoolMemory = 256 << 10

// A spool keeps a mail while it is handed over: providers have to know how long it is,
// and may begin again. It must be closed.
type spool struct {
	dir    string
	memory []byte
	file   *os.File // of all, once memory did not hold it; it has no name
	octets int64
}

func (s *spool) Write(p []byte) (n int, err error) {
	switch {
	case s.file != nil:
		n, err = s.file.Write(p)
	case len(s.memory)+len(p) <= spoolMemory:
		s.memory = append(s.memory, p...)
		n = len(p)
	default:
		if err = s.spill(); err == nil {
			n, err = s.file.Write(p)
		}
	}
	s.octets += int64(n)
	return n, err
}

// spill moves to a file what was written.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "restante-agent-*")
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	_, err = f.Write(s.memory)
	s.memory = nil
	return err
}

// open is the mail from its first octet.
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

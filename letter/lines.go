package letter

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// A source ends early where a message takes more octets or time than it may.
type source struct {
	r        io.Reader
	left     int64
	deadline time.Time // zero: none
	cut      bool
	err      error // stays once there is one
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if !s.deadline.IsZero() && time.Now().After(s.deadline) {
		s.cut, s.err = true, io.EOF
		return 0, s.err
	}
	if int64(len(p)) > s.left {
		p = p[:s.left+1] // one more, to tell an end from a cut
	}
	n, err := s.r.Read(p)
	if int64(n) > s.left {
		n, err, s.cut = int(s.left), io.EOF, true
	}
	s.left -= int64(n)
	s.err = err
	return n, err
}

// lines goes through a message line by line. A line that is longer than the
// buffer comes in pieces, so that memory is bounded whatever the message.
type lines struct {
	in    *bufio.Reader
	chunk []byte // the line or a piece of it, valid until next
	eol   []byte // what ended it: CRLF, LF, or nothing
	start bool   // chunk begins a line
	begun bool
	again bool // next gives the same chunk once more
}

// next is io.EOF at the end, or the error of the reader.
func (l *lines) next() error {
	if l.again {
		l.again = false
		return nil
	}
	l.start = !l.begun || len(l.eol) > 0
	l.begun = true
	chunk, err := l.in.ReadSlice('\n')
	n := len(chunk)
	switch {
	case n > 0 && chunk[n-1] == '\n':
		end := n - 1
		if end > 0 && chunk[end-1] == '\r' {
			end--
		}
		l.chunk, l.eol = chunk[:end], chunk[end:]
		return nil
	case n > 0:
		if err == bufio.ErrBufferFull && chunk[n-1] == '\r' { //nolint:errorlint // bufio returns it bare
			n-- // it may belong to an LF that comes next
			if err := l.in.UnreadByte(); err != nil {
				return err
			}
		}
		l.chunk, l.eol = chunk[:n], nil
		return nil // an error comes again with the next read
	}
	return err
}

// The header of most messages fits into the small buffers.
var small, large = readers(4 << 10), readers(32 << 10)

func readers(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return bufio.NewReaderSize(nil, size) }}
}

// over reads r with a buffer of the pool until done is called.
func over(r io.Reader, pool *sync.Pool) (l *lines, done func()) {
	in, _ := pool.Get().(*bufio.Reader)
	in.Reset(r)
	return &lines{in: in}, func() {
		in.Reset(nil) // let go of r
		pool.Put(in)
	}
}

package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// Limits on what a client sends, in octets.
const (
	maxLine     = 255       // a command with its CRLF (RFC 2449, section 4)
	maxAuthLine = 12288 + 2 // a line of AUTH (RFC 4954, section 4, says what suffices) or PASS
	maxSkipped  = 64 << 10  // of a line that is too long, before patience ends
)

var (
	errLongLine = errors.New("line too long")
	errNoEnd    = errors.New("line without end")
)

// lines reads the lines of a client in bounded memory.
type lines struct {
	in   *bufio.Reader
	long []byte // of the rare line that does not fit in the buffer
}

// The buffer holds a command and a few pipelined ones behind it.
var lineBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 2<<10) }}

func newLines(r io.Reader) *lines {
	in := lineBuffers.Get().(*bufio.Reader)
	in.Reset(r)
	return &lines{in: in}
}

func (l *lines) free() {
	l.in.Reset(nil)
	lineBuffers.Put(l.in)
	l.in = nil
}

// ready reports whether the next line is here in full, so that reading it does
// not wait.
func (l *lines) ready() bool {
	b, _ := l.in.Peek(l.in.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// first waits for the first octet of the next line.
func (l *lines) first() (byte, error) {
	b, err := l.in.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// next is the next line without its CRLF; an LF alone ends a line as well. It is
// valid until the next call. A line over the limit is thrown away whole and gives
// errLongLine, and errNoEnd when its end does not come; both leave other lines
// as they are. An unfinished line before the end of input is no line.
func (l *lines) next(long bool) ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	limit := maxLine
	if long || mayBeLong(line) {
		limit = maxAuthLine
	}
	if err == bufio.ErrBufferFull {
		line, err = l.collect(line, limit)
	}
	if err != nil {
		return nil, err
	}
	if len(line) > limit {
		return nil, errLongLine
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// collect puts a line together that is longer than the buffer.
func (l *lines) collect(begin []byte, limit int) ([]byte, error) {
	l.long = append(l.long[:0], begin...)
	for total := len(begin); total <= maxSkipped; {
		more, err := l.in.ReadSlice('\n')
		total += len(more)
		if total <= limit {
			l.long = append(l.long, more...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err != nil:
			return nil, err
		case total > limit:
			return nil, errLongLine
		default:
			return l.long, nil
		}
	}
	return nil, errNoEnd
}

// mayBeLong reports whether a line begins an AUTH with an initial response, or a PASS: a
// password that can be had elsewhere has to fit in there too.
func mayBeLong(line []byte) bool {
	return len(line) > 5 && (bytes.EqualFold(line[:5], []byte("AUTH ")) || bytes.EqualFold(line[:5], []byte("PASS ")))
}

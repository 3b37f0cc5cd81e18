package dotline

import (
	"bytes"
	"io"
)

// A Writer sends a message as the body of a multi-line response (RFC 1939,
// section 3) or as SMTP data (RFC 5321, section 4.5.2): each line that begins
// with a dot gets another one, and Close adds the line that is one dot. Content
// is expected with CRLF line ends, as a [Reader] gives it.
//
// It keeps no octets back and passes on the longest pieces it can, so it wants a
// buffered writer below. It is not safe for concurrent use.
type Writer struct {
	dst io.Writer
	mid bool // the next octet does not begin a line
}

// NewWriter stuffs dots on the way to w.
func NewWriter(w io.Writer) *Writer { return &Writer{dst: w} }

var (
	lineDot = []byte("\n.")
	dot     = []byte(".")
	end     = []byte(".\r\n")
	endOpen = []byte("\r\n.\r\n")
)

// Write returns how many octets of p were passed on; stuffed dots do not count.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !w.mid && p[0] == '.' {
		if _, err := w.dst.Write(dot); err != nil {
			return 0, err
		}
	}
	done := 0
	for {
		i := bytes.Index(p[done:], lineDot)
		if i < 0 {
			break
		}
		n, err := w.dst.Write(p[done : done+i+1])
		done += n
		if err != nil {
			return done, err
		}
		if _, err := w.dst.Write(dot); err != nil {
			return done, err
		}
	}
	n, err := w.dst.Write(p[done:])
	w.mid = p[len(p)-1] != '\n'
	return done + n, err
}

// Close ends an open line and writes the line that ends the message. It neither
// flushes nor closes the writer below.
func (w *Writer) Close() error {
	last := end
	if w.mid {
		last = endOpen
	}
	_, err := w.dst.Write(last)
	return err
}

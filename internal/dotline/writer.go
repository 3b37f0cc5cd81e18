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
// It keeps no octets back. It cuts what it is given where a dot is to be added,
// and passes the pieces on together if the writer below is a [Gatherer]. It is
// not safe for concurrent use.
type Writer struct {
	dst    io.Writer
	mid    bool // the next octet does not begin a line
	pieces [MaxPieces][]byte
	count  int // of pieces
}

// A Gatherer writes several pieces, one after the other, as if they were one. It
// may change the slice, and keeps nothing of it.
type Gatherer interface {
	WritePieces(pieces [][]byte) error
}

// Bounds on what is passed on at once, the added dots not counted. Few lines begin
// with a dot: the pieces of common text reach the octets first.
const (
	MaxPieces = 32
	maxOctets = 64 << 10
)

// NewWriter stuffs dots on the way to w.
func NewWriter(w io.Writer) *Writer { return &Writer{dst: w} }

// Reset begins another message, on the way to dst.
func (w *Writer) Reset(dst io.Writer) { *w = Writer{dst: dst} }

var (
	end     = []byte(".\r\n")
	endOpen = []byte("\r\n.\r\n")
)

// Write returns how many octets of p were passed on without an error; stuffed dots
// do not count.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := w.cut(p[done:min(len(p), done+maxOctets)])
		if err := w.pass(); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// cut makes pieces of p, as many as there is room for, and returns how many
// octets of p they are. A piece ends with the dot that the next one begins with:
// so it is sent twice.
func (w *Writer) cut(p []byte) int {
	w.count = 0
	if !w.mid && p[0] == '.' {
		w.add(p[:1])
	}
	start := 0
	for {
		i := lineDot(p, start+1)
		if i < 0 {
			w.add(p[start:])
			w.mid = p[len(p)-1] != '\n'
			return len(p)
		}
		w.add(p[start : i+1])
		start = i
		if w.count >= MaxPieces-1 {
			w.mid = true // its first dot is sent
			return start
		}
	}
}

func (w *Writer) add(piece []byte) {
	w.pieces[w.count] = piece
	w.count++
}

// pass passes the pieces on.
func (w *Writer) pass() error {
	pieces := w.pieces[:w.count]
	if g, ok := w.dst.(Gatherer); ok {
		return g.WritePieces(pieces)
	}
	for _, piece := range pieces {
		if _, err := w.dst.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// dotlessBlock is how much is searched for a dot of any kind before its lines are
// looked at: base64, which most octets of large messages are, has none.
const dotlessBlock = 4 << 10

// lineDot is the index of the first dot behind an LF, from an index above 0 on,
// or -1.
func lineDot(p []byte, from int) int {
	for from < len(p) {
		end := min(from+dotlessBlock, len(p))
		if bytes.IndexByte(p[from:end], '.') >= 0 {
			// Twice as fast as bytes.Index with both octets.
			for at := from - 1; ; at++ {
				i := bytes.IndexByte(p[at:end-1], '\n')
				if i < 0 {
					break
				}
				if at += i; p[at+1] == '.' {
					return at + 1
				}
			}
		}
		from = end
	}
	return -1
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

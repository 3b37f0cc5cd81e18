package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxHops is how many Received fields a message may have. RFC 5321, section 6.3,
// asks for at least 100, so that a loop ends and a long way does not.
const maxHops = 100

// maxHeader is how much of a message is looked at for header fields, in octets.
const maxHeader = 1 << 20

var errHops = errors.New("too many hops")

// A header reads a message with settled line ends and does two things to its
// header on the way, in constant memory: it fails with errHops where there are
// too many Received fields, and it takes out Return-Path fields, because final
// delivery adds the one that counts (RFC 5321, section 4.4).
type header struct {
	src    *bufio.Reader
	rest   []byte // of a line that is on its way
	seen   int    // octets of the header so far
	hops   int
	inLine bool // the next piece goes on with a line
	drop   bool // the current field is taken out
	done   bool // the body has begun
}

func (h *header) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		switch {
		case len(h.rest) > 0:
			k := copy(p[n:], h.rest)
			h.rest = h.rest[k:]
			n += k
		case n > 0 && (h.done || h.src.Buffered() == 0):
			return n, nil
		case h.done:
			return h.src.Read(p)
		default:
			err = h.next()
		}
	}
	return n, err
}

// next takes a line, or a piece of one, from the source.
func (h *header) next() error {
	piece, err := h.src.ReadSlice('\n')
	if len(piece) == 0 && err != nil {
		return err
	}
	return h.look(piece) // a failure behind the piece comes again
}

// look decides about a line, or a piece of one that the buffer does not hold.
func (h *header) look(piece []byte) error {
	if !h.inLine {
		h.startLine(piece)
	}
	h.inLine = piece[len(piece)-1] != '\n'
	h.seen += len(piece)
	if h.seen > maxHeader {
		h.done = true
	}
	if h.hops > maxHops {
		return errHops
	}
	if !h.drop {
		h.rest = piece
	}
	return nil
}

func (h *header) startLine(line []byte) {
	switch {
	case string(line) == "\r\n":
		h.done, h.drop = true, false
	case line[0] == ' ' || line[0] == '\t':
		// Goes on with the field before it, and shares its fate.
	default:
		h.drop = isField(line, "return-path")
		if isField(line, "received") {
			h.hops++
		}
	}
}

// isField reports whether a line begins the header field name, in lower case.
func isField(line []byte, name string) bool {
	return len(line) > len(name) && bytes.IndexByte(line[:len(name)+1], ':') == len(name) &&
		strings.EqualFold(string(line[:len(name)]), name)
}

var _ io.Reader = (*header)(nil)

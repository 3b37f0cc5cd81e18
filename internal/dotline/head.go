package dotline

import (
	"bytes"
	"io"
)

// Head is what TOP sends of the message r: its header, the blank line after it,
// and the first lines of the body (RFC 1939, section 7); the whole message where
// it is shorter. It stops reading r as soon as it has seen enough.
func Head(r io.Reader, lines int) io.Reader {
	return &head{src: r, body: lines, blank: true}
}

type head struct {
	src    io.Reader
	body   int  // lines of the body that are still to come
	inBody bool // the blank line has passed
	blank  bool // the current line has nothing but CR so far
	done   bool
}

func (h *head) Read(p []byte) (int, error) {
	if h.done {
		return 0, io.EOF
	}
	n, err := h.src.Read(p)
	if end := h.scan(p[:n]); h.done {
		return end, nil
	}
	return n, err
}

// scan follows the lines of p and returns where the last wanted one ends; done
// says that it ends in p.
func (h *head) scan(p []byte) int {
	for start := 0; start < len(p); {
		lf := bytes.IndexByte(p[start:], '\n')
		if lf < 0 {
			h.blank = h.blank && onlyCR(p[start:])
			return len(p)
		}
		switch {
		case h.inBody:
			h.body--
		case h.blank && onlyCR(p[start:start+lf]):
			h.inBody = true
		}
		h.blank = true
		start += lf + 1
		if h.inBody && h.body <= 0 {
			h.done = true
			return start
		}
	}
	return len(p)
}

func onlyCR(b []byte) bool { return len(b) == 0 || len(b) == 1 && b[0] == '\r' }

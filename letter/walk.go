package letter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A visitor is told what a walk comes across, in the order of the message.
type visitor interface {
	enter(subtype string) // a multipart begins
	leave()               // and ends, after the parts that are in it
	// leaf is where the decoded octets of a part go, or nil where nobody wants
	// them.
	leaf(part) io.Writer
	// done comes when the leaf has ended; octets is how many it had. An error
	// ends the walk.
	done(p part, octets int64) error
	// preamble is where the lines before the first part of a multipart go.
	preamble() io.Writer
}

// errStop ends a walk that has seen what it wanted.
var errStop = errors.New("letter: enough")

// A walk goes through a message once. Lines are compared with the boundaries
// of the multiparts that are open, of which there are at most Limits.Depth;
// nothing is read twice, and nothing is held but one buffer.
type walk struct {
	limits  Limits
	lines   *lines
	visitor visitor

	open        []multipart
	parts       int
	attachments int
	cut         bool

	leaf    *part
	counter counter
	out     io.WriteCloser // decodes the leaf; nil while nothing is wanted
	eol     []byte         // of the last line, which belongs to a boundary that may follow
	eolBuf  [2]byte
}

type multipart struct {
	subtype  string
	boundary string
}

// A counter counts what passes through.
type counter struct {
	to     io.Writer // or nil
	octets int64
	err    error // of to
}

func (c *counter) Write(p []byte) (int, error) {
	c.octets += int64(len(p))
	if c.to == nil {
		return len(p), nil
	}
	_, c.err = c.to.Write(p)
	return len(p), c.err
}

// through walks through r and tells v. The header is returned, and whether a
// limit was met. The error is that of r or of what v gave to write to.
func through(r io.Reader, l Limits, v visitor) (h *header, cut bool, err error) {
	l = l.orDefaults()
	src := &source{r: r, left: l.Octets, deadline: time.Now().Add(l.Time)}
	in, done := over(src, large)
	defer done()
	w := &walk{limits: l, lines: in, visitor: v}
	h = &header{}
	err = w.message(h)
	if errors.Is(err, errStop) {
		err = nil
	}
	return h, w.cut || src.cut || h.cut, err
}

func (w *walk) message(h *header) error {
	if err := w.begin(h); err != nil {
		return err
	}
	for {
		err := w.lines.next()
		if errors.Is(err, io.EOF) {
			return w.end(0)
		}
		if err != nil {
			return fmt.Errorf("letter: read message: %w", err)
		}
		if w.lines.start {
			level, closed := w.delimiter(w.lines.chunk)
			if level >= 0 {
				if err := w.delimit(level, closed); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.body(); err != nil {
			return err
		}
	}
}

// delimiter says of which open multipart a line is a delimiter, the innermost
// first, or -1 (RFC 2046, section 5.1.1).
func (w *walk) delimiter(line []byte) (level int, closed bool) {
	if !bytes.HasPrefix(line, []byte("--")) {
		return -1, false
	}
	line = bytes.TrimRight(line[2:], " \t")
	inner, dashes := bytes.CutSuffix(line, []byte("--"))
	for level = len(w.open) - 1; level >= 0; level-- {
		switch b := w.open[level].boundary; {
		case string(line) == b:
			return level, false
		case dashes && string(inner) == b:
			return level, true
		}
	}
	return -1, false
}

func (w *walk) delimit(level int, closed bool) error {
	w.eol = nil
	if closed {
		return w.end(level) // what follows, up to the next delimiter, is nobody's
	}
	if err := w.end(level + 1); err != nil {
		return err
	}
	if w.parts >= w.limits.Parts {
		w.cut = true
		if err := w.end(0); err != nil {
			return err
		}
		return errStop
	}
	return w.begin(&header{})
}

// begin reads the header of a part, and gets ready for its body.
func (w *walk) begin(h *header) error {
	boundary := func(line []byte) bool {
		level, _ := w.delimiter(line)
		return level >= 0
	}
	if err := h.read(w.lines, w.limits.Header, true, boundary); err != nil {
		return fmt.Errorf("letter: read header: %w", err)
	}
	w.cut = w.cut || h.cut
	w.parts++
	within := ""
	if n := len(w.open); n > 0 {
		within = w.open[n-1].subtype
	}
	p := describe(h, within)
	if p.role == holder && len(w.open) < w.limits.Depth {
		subtype := strings.TrimPrefix(p.ContentType, "multipart/")
		w.open = append(w.open, multipart{subtype, strings.TrimRight(p.boundary, " \t")})
		w.visitor.enter(subtype)
		w.out = identity{w.visitor.preamble()}
		return w.stray(h)
	}
	if p.role != shown {
		w.attachments++
		p.role = attached
		p.number(w.attachments)
	}
	w.leaf = &p
	w.counter = counter{to: w.visitor.leaf(p)}
	w.out = decoder(p.encoding, &w.counter)
	return w.stray(h)
}

// stray lines of a header are the text of a message whose header does not end.
func (w *walk) stray(h *header) error {
	if len(h.stray) == 0 {
		return nil
	}
	return w.write(h.stray)
}

// body passes the current line on. Its end waits for the next one.
func (w *walk) body() error {
	if w.out == nil {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.eol = append(w.eolBuf[:0], w.lines.eol...)
	return w.write(w.lines.chunk)
}

func (w *walk) flush() error {
	eol := w.eol
	w.eol = nil
	return w.write(eol)
}

func (w *walk) write(p []byte) error {
	if w.out == nil || len(p) == 0 {
		return nil
	}
	if _, err := w.out.Write(p); err != nil {
		return fmt.Errorf("letter: write part: %w", err)
	}
	return nil
}

// end closes the leaf, and the multiparts down to that level.
func (w *walk) end(level int) error {
	if err := w.flush(); err != nil {
		return err
	}
	out, leaf := w.out, w.leaf
	w.out, w.leaf = nil, nil
	if leaf != nil {
		if err := out.Close(); err != nil {
			return fmt.Errorf("letter: write part: %w", err)
		}
		if err := w.visitor.done(*leaf, w.counter.octets); err != nil {
			return err
		}
	}
	for len(w.open) > level {
		w.visitor.leave()
		w.open = w.open[:len(w.open)-1]
	}
	return nil
}

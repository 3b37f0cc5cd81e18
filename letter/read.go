package letter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrNoAttachment says that the message has no attachment of that number.
var ErrNoAttachment = errors.New("letter: no such attachment")

// Read reads a message to its end, or as far as the limits allow, and holds of
// it no more than the text, the HTML and a list of the attachments. The error
// is that of r; mail that is odd or broken is shown as well as it can be.
func Read(r io.Reader, l Limits) (*Letter, error) {
	b := &builder{limits: l.orDefaults()}
	h, cut, err := through(r, l, b)
	if err != nil {
		return nil, err
	}
	out := h.letter()
	b.finish(out)
	out.Truncated = out.Truncated || cut || b.cut
	return out, nil
}

// ReadHeader reads the header, and no more of r than a buffer that holds its
// end. It sets the fields of a Letter up to Date. What is beyond 64 KiB is not
// read. The error is that of r.
func ReadHeader(r io.Reader) (*Letter, error) {
	src := &source{r: r, left: math.MaxInt64 - 1}
	in, done := over(src, small)
	defer done()
	var h header
	err := h.read(in, defaultHeader, false, nil)
	if err == nil && src.err != nil && !errors.Is(src.err, io.EOF) {
		err = src.err // after half a line, which read took for the body
	}
	if err != nil {
		return nil, fmt.Errorf("letter: read header: %w", err)
	}
	return h.letter(), nil
}

// CopyAttachment writes the decoded attachment of that number to w as it reads
// it, and reads no further. The error wraps [ErrNoAttachment], or is that of r
// or w. With limits that end the message earlier than Read's did, an attachment
// may be missing; with the same Parts and Depth, the numbers are the same.
func CopyAttachment(w io.Writer, r io.Reader, number int, l Limits) (Attachment, error) {
	c := &copier{number: number, to: bufio.NewWriterSize(w, 32<<10)}
	if _, _, err := through(r, l, c); err != nil {
		return Attachment{}, err
	}
	if c.found.Number == 0 {
		return Attachment{}, fmt.Errorf("%w: %d", ErrNoAttachment, number)
	}
	return c.found, nil
}

// A copier waits for one attachment.
type copier struct {
	number int
	to     *bufio.Writer
	found  Attachment
}

func (c *copier) enter(string)        {}
func (c *copier) leave()              {}
func (c *copier) preamble() io.Writer { return io.Discard }

func (c *copier) leaf(p part) io.Writer {
	if p.Number == 0 || p.Number != c.number {
		return nil
	}
	return c.to
}

func (c *copier) done(p part, octets int64) error {
	if p.Number == 0 || p.Number != c.number {
		return nil
	}
	c.found = p.Attachment
	c.found.Octets = octets
	if err := c.to.Flush(); err != nil {
		return fmt.Errorf("letter: write attachment: %w", err)
	}
	return errStop
}

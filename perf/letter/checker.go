package letter

import (
	"bytes"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// maxTrace bounds what a server may have put before the letter's first field.
const maxTrace = 64 << 10

// A Checker is a writer that takes a retrieved message, already freed of its
// dot-stuffing, and tells whether it is the letter that was sent. It keeps none
// of the body. It is not safe for concurrent use.
type Checker struct {
	trace  []byte // everything up to the end of the letter's field, until it is found
	found  bool
	id     ID
	sum    uint64
	want   uint64 // octets behind the field, as the field says
	got    uint64
	octets int64
	err    error
	digest xxhash.Digest
}

// Reset prepares for the next message.
func (c *Checker) Reset() {
	*c = Checker{trace: c.trace[:0], digest: c.digest}
	c.digest.Reset()
}

// Write takes the next octets of the message. It never fails: Check tells.
func (c *Checker) Write(p []byte) (int, error) {
	c.octets += int64(len(p))
	if c.found {
		c.hash(p)
		return len(p), nil
	}
	switch {
	case len(c.trace)+len(p) <= maxTrace+fieldSize:
		c.trace = append(c.trace, p...)
		c.search()
	case c.err == nil:
		c.searchLarge(p)
	}
	return len(p), nil
}

// searchLarge is for a piece that reaches beyond what a trace may take.
func (c *Checker) searchLarge(p []byte) {
	n := maxTrace + fieldSize - len(c.trace)
	c.trace = append(c.trace, p[:n]...)
	if c.search(); c.found {
		c.hash(p[n:])
	} else if c.err == nil {
		c.err = fmt.Errorf("%w: no %q in its first %d octets", ErrDamaged, fieldName, maxTrace)
	}
}

// search looks for the whole line of the letter's field at the start of a line.
func (c *Checker) search() {
	at := 0
	if !bytes.HasPrefix(c.trace, []byte(fieldName)) {
		i := bytes.Index(c.trace, []byte("\r\n"+fieldName))
		if i < 0 {
			return
		}
		at = i + len("\r\n")
	}
	line, rest, whole := bytes.Cut(c.trace[at:], []byte("\r\n"))
	if !whole {
		return
	}
	c.found = true
	c.id, c.sum, c.want, c.err = parseField(line[len(fieldName):])
	c.digest.Reset()
	c.hash(rest)
}

func (c *Checker) hash(p []byte) {
	c.got += uint64(len(p))
	_, _ = c.digest.Write(p)
}

// Octets is the size of the message so far, trace fields included.
func (c *Checker) Octets() int64 { return c.octets }

// Check is called after the last octet: it tells which letter it was, with its
// hash, or ErrDamaged with the reason.
func (c *Checker) Check() (ID, uint64, error) {
	switch {
	case c.err != nil:
		return c.id, c.sum, c.err
	case !c.found:
		return c.id, 0, fmt.Errorf("%w: it has no %q field", ErrDamaged, fieldName)
	case c.got != c.want:
		return c.id, c.sum, fmt.Errorf("%w: %v has %d octets of %d", ErrDamaged, c.id, c.got, c.want)
	case c.digest.Sum64() != c.sum:
		return c.id, c.sum, fmt.Errorf("%w: %v has another hash", ErrDamaged, c.id)
	}
	return c.id, c.sum, nil
}

package smtp

import (
	"errors"
	"fmt"
	"io"
	"time"
)

var (
	errAbandoned = errors.New("the client gave up the message")
	errBetween   = fmt.Errorf("between chunks: %w", errBudget)
)

// chunks is the content that comes in chunks behind BDAT (RFC 3030, section 2).
// go-smtp is told of DATA instead: it would read chunks in a goroutine of its
// own, take a connection that breaks off for the end of the message, and mix up
// the results of a message that was given up and the next one.
//
// Read goes from one chunk to the next, and does what else the client asks for in
// between.
type chunks struct {
	conn      *conn
	announced int64
}

func newChunks(c *conn) *chunks { return &chunks{conn: c, announced: c.chunk} }

func (k *chunks) Read(p []byte) (int, error) {
	c := k.conn
	for {
		switch {
		case k.announced > c.server.opts.MaxOctets:
			return 0, errTooLarge // said before it is sent
		case c.chunk > 0:
			n, err := c.wire.in.Read(p[:min(int64(len(p)), c.chunk)])
			c.chunk -= int64(n)
			return n, broken(err)
		case c.last:
			return 0, io.EOF
		}
		if err := c.reply("250 2.0.0 chunk taken"); err != nil {
			return 0, err
		}
		for more := false; !more; {
			var err error
			if more, err = c.between(); err != nil {
				return 0, broken(err)
			}
		}
		k.announced += min(c.chunk, c.server.opts.MaxOctets+1) // which cannot overflow
	}
}

// between handles a command after a chunk that was not the last, and reports
// whether it is another chunk. One that ends the message is left to be handled
// after it.
func (c *conn) between() (more bool, err error) {
	if c.spent() {
		return false, errBetween
	}
	line, err := c.wire.line(maxCommand, true)
	if errors.Is(err, errTooLong) {
		c.verb, c.charged = unknownVerb, false
		return false, c.reply("500 5.5.2 line too long")
	}
	if err != nil {
		return false, err
	}
	var arg []byte
	c.verb, arg = splitCommand(line)
	c.charged = false
	switch c.verb {
	case "BDAT":
		c.chunk, c.last, err = parseChunk(string(arg))
		return true, err
	case "RSET", "QUIT", "EHLO", "HELO", "LHLO":
		c.held = append([]byte(nil), line...)
		c.mute = true // until it is handled
		return false, errAbandoned
	case "NOOP":
		return false, c.reply("250 2.0.0 ok")
	case unknownVerb:
		return false, c.reply("500 5.5.2 command not recognized")
	}
	return false, c.reply("503 5.5.1 a message is under way: BDAT or RSET comes next")
}

// skipChunk reads what nobody wanted of a chunk.
func (c *conn) skipChunk() error {
	n := c.chunk
	c.chunk = 0
	if n > maxDrain {
		return errHugeChunk
	}
	c.wire.until = time.Now().Add(drainTimeout)
	defer func() { c.wire.until = time.Time{} }()
	_, err := io.CopyN(io.Discard, c.wire.in, n)
	return err
}

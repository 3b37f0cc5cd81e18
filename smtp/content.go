package smtp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"restante/internal/dotline"
	"restante/mailbox"
)

var (
	errTooLarge = errors.New("message too large")
	errStalled  = errors.New("the store makes no progress")
)

// A content is one message on its way from the client to the store: what came
// behind DATA or BDAT, its size bounded, its line ends settled, its header
// checked, the trace fields in front. Its memory does not grow with the message.
type content struct {
	trace  []byte
	body   io.Reader // raw, as the client sent it
	octets int64     // of body so far
	limit  int64
	lines  io.Reader // body, settled and checked

	err   error     // why the client's side failed
	cut   error     // why the body cannot be read any further
	ended time.Time // when the end was read; zero before

	patience time.Duration
	watch    *time.Timer // runs while the store has the word
	cancel   context.CancelCauseFunc
}

// newContent is the message in body behind trace, which the client has as long to send
// as a delivery may take. The context it returns ends when the store makes no progress
// for a while. The caller must call close.
func (w *wire) newContent(trace []byte, body io.Reader) (*content, context.Context) {
	ctx, cancel := context.WithCancelCause(w.ctx)
	w.until = time.Now().Add(mailbox.DeliverTimeout)
	o := &w.server.opts
	c := &content{trace: trace, body: body, limit: o.MaxOctets, patience: o.StoreTimeout, cancel: cancel}
	c.lines = &header{src: w.lineBuffer(dotline.NewReader(meter{c}))}
	c.watch = time.AfterFunc(c.patience, func() { cancel(errStalled) })
	return c, ctx
}

// lineBuffer is a buffer before r. The messages of a wire share it; those of
// several wires must not, in case a store goes on reading what it has given up.
func (w *wire) lineBuffer(r io.Reader) *bufio.Reader {
	if w.lines == nil {
		w.lines = bufio.NewReaderSize(nil, lineSize)
	}
	w.lines.Reset(r)
	return w.lines
}

// Read is what the store calls.
func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(c.trace) > 0 {
		n := copy(p, c.trace)
		c.trace = c.trace[n:]
		return n, nil
	}
	if !c.ended.IsZero() {
		return 0, io.EOF
	}
	c.watch.Stop()
	n, err := c.lines.Read(p)
	c.watch.Reset(c.patience)
	switch {
	case errors.Is(err, io.EOF):
		c.ended = time.Now()
	case err != nil:
		c.err = err
	}
	return n, err
}

// How much of a refused message is read to its end, in octets, and for how long.
const (
	maxDrain     = 1 << 30
	drainTimeout = 10 * time.Minute
)

// drain reads what is left of the body, so that the session goes on behind it.
// It fails where that is more than anyone sends by mistake.
func (c *content) drain() error {
	c.watch.Stop()
	n, err := io.Copy(io.Discard, io.LimitReader(c.body, maxDrain))
	if n == maxDrain {
		err = errTooLarge
	}
	return err
}

// close ends the context.
func (c *content) close() {
	c.watch.Stop()
	c.cancel(nil)
}

// A meter counts the body and bounds it.
type meter struct{ c *content }

func (m meter) Read(p []byte) (int, error) {
	n, err := m.c.body.Read(p)
	m.c.octets += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLarge) {
		m.c.cut = err
	}
	if m.c.octets > m.c.limit {
		return 0, errTooLarge
	}
	return n, err
}

package pop3

import (
	"context"
	"io"
	"time"
)

// A limit gives commands a context that ends when they take too long. While a
// message is on its way, what counts is the time since the store last gave
// something: the time that the client takes is not the store's.
//
// Commands follow one another on a connection and hardly ever take too long, so
// they share a context, and a command costs no more than setting a timer.
type limit struct {
	base    context.Context
	timeout time.Duration
	ctx     context.Context // nil before the first command and after one that took too long
	cancel  context.CancelCauseFunc
	timer   *time.Timer
}

// begin is the context of a command that begins now.
func (l *limit) begin() context.Context {
	if l.ctx != nil {
		l.timer.Reset(l.timeout)
		return l.ctx
	}
	ctx, cancel := context.WithCancelCause(l.base)
	l.ctx, l.cancel = ctx, cancel
	l.timer = time.AfterFunc(l.timeout, func() { cancel(context.DeadlineExceeded) })
	return ctx
}

// end is the end of the command.
func (l *limit) end() {
	// Either may be seen first when the time is over just now.
	if !l.timer.Stop() || l.ctx.Err() != nil {
		l.free()
	}
}

// free ends the context.
func (l *limit) free() {
	if l.ctx == nil {
		return
	}
	l.timer.Stop()
	l.cancel(nil)
	l.ctx = nil
}

// A patient writer stops the time while it writes.
type patient struct {
	dst   io.Writer
	limit *limit
}

func (p *patient) Write(b []byte) (int, error) {
	p.limit.timer.Stop()
	defer p.limit.timer.Reset(p.limit.timeout)
	return p.dst.Write(b)
}

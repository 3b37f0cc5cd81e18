package pop3

import (
	"context"
	"io"
	"time"
)

// A limit ends the context of a command that takes too long. While a message is
// on its way, what counts is the time since the store last gave something: the
// time that the client takes is not the store's.
type limit struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc
}

func newLimit(base context.Context, timeout time.Duration) (context.Context, *limit) {
	ctx, cancel := context.WithCancelCause(base)
	l := &limit{timeout: timeout, cancel: cancel}
	l.timer = time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
	return ctx, l
}

func (l *limit) end() {
	l.timer.Stop()
	l.cancel(nil)
}

// A patient writer stops the limit while it writes.
type patient struct {
	dst   io.Writer
	limit *limit
}

func (p *patient) Write(b []byte) (int, error) {
	p.limit.timer.Stop()
	defer p.limit.timer.Reset(p.limit.timeout)
	return p.dst.Write(b)
}

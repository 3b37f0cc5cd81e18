package relaytest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// ErrFault is how a call fails that was made to fail; it wraps mailbox.ErrUnavailable.
var ErrFault = fmt.Errorf("fault on purpose: %w", mailbox.ErrUnavailable)

// A Call is one call of a Memory on its way.
type Call struct {
	N       int               // counted from 1 among those of its name
	Name    string            // of the method
	Segment relay.Segment     // zero where it is about none
	Lane    mailbox.MessageID // that is asked for, beats or claims; or that of the segment
	Events  []relay.Event     // of Append

	do    func(ctx context.Context) error
	halve func() // of Load
}

// Do makes the call.
func (c Call) Do(ctx context.Context) error { return c.do(ctx) }

// writes reports whether the call changes the store.
func (c Call) writes() bool {
	return slices.Contains([]string{"Open", "Append", "Close", "Beat", "Claim"}, c.Name)
}

// Has reports whether the call appends an event of a kind.
func (c Call) Has(k relay.Kind) bool {
	return slices.ContainsFunc(c.Events, func(e relay.Event) bool { return e.Kind == k })
}

// A Fault is what becomes of a call: it makes it, or fails, or both.
type Fault func(ctx context.Context, c Call) error

// Fail does nothing and reports failure.
func Fail(context.Context, Call) error { return ErrFault }

// Lie makes the call and reports failure nevertheless, as a timeout does.
func Lie(ctx context.Context, c Call) error {
	_ = c.Do(ctx)
	return ErrFault
}

// Late reports failure, and what the call was to write arrives after a while.
func Late(d time.Duration) Fault {
	return func(ctx context.Context, c Call) error {
		if c.writes() {
			time.AfterFunc(d, func() { _ = c.Do(context.WithoutCancel(ctx)) })
		}
		return ErrFault
	}
}

// Behind reports success, and what the call was to write arrives after a while, as what a
// data centre has acknowledged does in another when the line between them is back.
func Behind(d time.Duration) Fault {
	return func(ctx context.Context, c Call) error {
		if !c.writes() {
			return c.Do(ctx)
		}
		time.AfterFunc(d, func() { _ = c.Do(context.WithoutCancel(ctx)) })
		return nil
	}
}

// Halve makes a Load fail half-way. Any other call fails.
func Halve(ctx context.Context, c Call) error {
	if c.halve != nil {
		_ = c.Do(ctx)
		c.halve()
	}
	return ErrFault
}

// Hang does nothing until the context ends.
func Hang(ctx context.Context, _ Call) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", ErrFault, ctx.Err())
}

// Delay makes the call after a while, unless the context ends before.
func Delay(d time.Duration) Fault {
	return func(ctx context.Context, c Call) error {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrFault, ctx.Err())
		case <-time.After(d):
			return c.Do(ctx)
		}
	}
}

// A Plan says what becomes of a call; nil leaves it be. It is asked for one call at a
// time, before it is made.
type Plan func(c Call) Fault

// Inject makes the calls of this process go as a plan says; nil: as they should.
func (m *Memory) Inject(plan Plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plan = plan
}

// Calls is how many calls of a method this process made.
func (m *Memory) Calls(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[name]
}

// planned numbers a call and says what becomes of it.
func (m *Memory) planned(c *Call) Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[c.Name]++
	c.N = m.calls[c.Name]
	if m.plan != nil {
		if fault := m.plan(*c); fault != nil {
			return fault
		}
	}
	return func(ctx context.Context, c Call) error { return c.Do(ctx) }
}

package mailboxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// ErrFault is how a call fails that was made to fail; it wraps
// mailbox.ErrUnavailable.
var ErrFault = fmt.Errorf("fault on purpose: %w", mailbox.ErrUnavailable)

// A Call is one call of a store on its way.
type Call struct {
	N    int    // counted from 1 over all seams
	Name string // such as "Contents.Put"

	do, half func(ctx context.Context) error
}

// Do makes the call.
func (c Call) Do(ctx context.Context) error { return c.do(ctx) }

// A Fault is what becomes of a call: it makes it, or fails, or both.
type Fault func(ctx context.Context, c Call) error

// Fail does nothing and reports failure.
func Fail(context.Context, Call) error { return ErrFault }

// Lie makes the call and reports failure nevertheless, as a timeout does. What
// the call said is lost with it.
func Lie(ctx context.Context, c Call) error {
	_ = c.Do(ctx)
	return ErrFault
}

// Halve makes half of the call and reports failure: of several entries,
// messages or contents the first half; of a Put, everything but the end. An
// Open succeeds, and its reader fails after the first octets.
func Halve(ctx context.Context, c Call) error { return c.half(ctx) }

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

// A Plan says what becomes of the n-th call, counted from 1; nil leaves it be.
type Plan func(n int, name string) Fault

// Never leaves every call be.
func Never(int, string) Fault { return nil }

// Nth is a fault of the n-th call alone.
func Nth(n int, f Fault) Plan {
	return func(m int, _ string) Fault {
		if m == n {
			return f
		}
		return nil
	}
}

// From is a fault of the n-th call and every later one: the store stays away.
func From(n int, f Fault) Plan {
	return func(m int, _ string) Fault {
		if m >= n {
			return f
		}
		return nil
	}
}

// FaultyStores are stores whose calls go as a plan says.
type FaultyStores struct {
	Stores        // calls of these are counted and may fail
	Intact Stores // the same data, uncounted and without faults

	plan Plan

	mu    sync.Mutex
	calls []string
}

// Faulty wraps stores. It is safe for concurrent use if the plan is.
func Faulty(s Stores, plan Plan) *FaultyStores {
	f := &FaultyStores{Intact: s, plan: plan}
	f.Stores = Stores{
		Contents:  faultyContents{f, s.Contents},
		Maildrops: faultyMaildrops{f, s.Maildrops},
		Addresses: faultyAddresses{f, s.Addresses},
	}
	return f
}

// Calls are the names of the calls that were made, in their order.
func (f *FaultyStores) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// call counts a call and lets happen what the plan says.
func (f *FaultyStores) call(ctx context.Context, name string, do, half func(ctx context.Context) error) error {
	f.mu.Lock()
	f.calls = append(f.calls, name)
	n := len(f.calls)
	f.mu.Unlock()
	if fault := f.plan(n, name); fault != nil {
		return fault(ctx, Call{N: n, Name: name, do: do, half: half})
	}
	return do(ctx)
}

// EveryCall plays a scenario once without a fault, and then again on fresh
// stores for each call that it made, for each way in which that call may go
// wrong, alone or with all calls after it. A hanging call ends with its context:
// a scenario gives its calls a deadline, best in a synctest bubble.
func EveryCall(t *testing.T, open func(t *testing.T) Stores, scenario func(t *testing.T, stores *FaultyStores)) {
	whole := Faulty(open(t), Never)
	if !t.Run("without a fault", func(t *testing.T) { scenario(t, whole) }) {
		return
	}
	if len(whole.Calls()) == 0 {
		t.Error("the scenario makes no call that could fail")
	}
	plans := []struct {
		name string
		plan func(n int, f Fault) Plan
	}{{"", Nth}, {" and so do all later calls", From}}
	faults := []struct {
		name  string
		fault Fault
	}{{"fails", Fail}, {"is done and reported failed", Lie}, {"is half done", Halve}, {"hangs", Hang}}
	for i, call := range whole.Calls() {
		for _, f := range faults {
			for _, p := range plans {
				t.Run(fmt.Sprintf("call %d, %s, %s%s", i+1, call, f.name, p.name), func(t *testing.T) {
					scenario(t, Faulty(open(t), p.plan(i+1, f.fault)))
				})
			}
		}
	}
}

type faultyContents struct {
	*FaultyStores
	store mailbox.Contents
}

func (s faultyContents) Put(ctx context.Context, c mailbox.Content, r io.Reader) (octets int64, err error) {
	err = s.call(ctx, "Contents.Put", func(ctx context.Context) (err error) {
		octets, err = s.store.Put(ctx, c, r)
		return err
	}, func(ctx context.Context) error {
		_, err := s.store.Put(ctx, c, endless(r))
		return err
	})
	if err != nil {
		return 0, err
	}
	return octets, nil
}

// endless is r with a failure where its end would be.
func endless(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if errors.Is(err, io.EOF) {
			err = ErrFault
		}
		return n, err
	})
}

func (s faultyContents) Open(ctx context.Context, m mailbox.Message) (r io.ReadCloser, err error) {
	do := func(ctx context.Context) (err error) {
		r, err = s.store.Open(ctx, m)
		return err
	}
	err = s.call(ctx, "Contents.Open", do, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		r = struct {
			io.Reader
			io.Closer
		}{endless(io.LimitReader(r, 100)), r}
		return nil
	})
	if err != nil && r != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, err
}

func (s faultyContents) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	return s.call(ctx, "Contents.Release", func(ctx context.Context) error {
		return s.store.Release(ctx, drop, messages...)
	}, func(ctx context.Context) error {
		return errors.Join(ErrFault, s.store.Release(ctx, drop, messages[:len(messages)/2]...))
	})
}

type faultyMaildrops struct {
	*FaultyStores
	store mailbox.Maildrops
}

func (s faultyMaildrops) Add(ctx context.Context, entries []mailbox.Entry) error {
	return s.call(ctx, "Maildrops.Add", func(ctx context.Context) error {
		return s.store.Add(ctx, entries)
	}, func(ctx context.Context) error {
		return errors.Join(ErrFault, s.store.Add(ctx, entries[:len(entries)/2]))
	})
}

func (s faultyMaildrops) Remove(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	return s.call(ctx, "Maildrops.Remove", func(ctx context.Context) error {
		return s.store.Remove(ctx, drop, messages...)
	}, func(ctx context.Context) error {
		return errors.Join(ErrFault, s.store.Remove(ctx, drop, messages[:len(messages)/2]...))
	})
}

func (s faultyMaildrops) List(ctx context.Context, drop mailbox.MaildropID) (list []mailbox.Message, err error) {
	err = s.call(ctx, "Maildrops.List", func(ctx context.Context) (err error) {
		list, err = s.store.List(ctx, drop)
		return err
	}, nothing)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (s faultyMaildrops) Newest(ctx context.Context, drop mailbox.MaildropID, before mailbox.MessageID, n int) (newest []mailbox.Message, err error) {
	err = s.call(ctx, "Maildrops.Newest", func(ctx context.Context) (err error) {
		newest, err = s.store.Newest(ctx, drop, before, n)
		return err
	}, nothing)
	if err != nil {
		return nil, err
	}
	return newest, nil
}

type faultyAddresses struct {
	*FaultyStores
	store mailbox.Addresses
}

func (s faultyAddresses) Lookup(ctx context.Context, a mailbox.Address) (r mailbox.Route, err error) {
	err = s.call(ctx, "Addresses.Lookup", func(ctx context.Context) (err error) {
		r, err = s.store.Lookup(ctx, a)
		return err
	}, nothing)
	if err != nil {
		return mailbox.Route{}, err
	}
	return r, nil
}

func (s faultyAddresses) Put(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
	return s.call(ctx, "Addresses.Put", func(ctx context.Context) error {
		return s.store.Put(ctx, a, r)
	}, nothing)
}

func (s faultyAddresses) List(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
	return func(yield func(mailbox.Row, error) bool) {
		var rows []mailbox.Row
		collect := func(ctx context.Context) error {
			for row, err := range s.store.List(ctx, domain) {
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return nil
		}
		err := s.call(ctx, "Addresses.List", collect, func(ctx context.Context) error {
			err := collect(ctx)
			rows = rows[:len(rows)/2]
			return errors.Join(ErrFault, err)
		})
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(mailbox.Row{}, err)
		}
	}
}

// nothing is half of what cannot be halved.
func nothing(context.Context) error { return ErrFault }

package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"restante/mailbox"
)

// Bounds on reading ahead.
const (
	// aheadMessages is how many messages a session reads before they are asked for.
	aheadMessages = 4
	// aheadOctets is the size of the largest message that is read ahead. A larger
	// one takes long to send, so that there is little to wait for before it.
	aheadOctets = 128 << 10
	// aheadTimeout ends a read that nobody waits for. As long again, what was read is
	// kept for a client that does not ask for it.
	aheadTimeout = 30 * time.Second
)

// A readAhead opens the messages of one maildrop. Most clients retrieve one
// message after the other, and where the store is some milliseconds away they
// would wait for it each time. So when a client goes on in order, the next few
// messages are read while it receives the last. One goroutine opens.
type readAhead struct {
	contents mailbox.Contents
	messages []mailbox.Message
	memory   *semaphore.Weighted // octets, of all sessions together

	next    int // the message after the last one opened
	window  int // how many to have ahead; grows while the client goes on in order
	fetches []*fetch

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// A fetch is one message being read ahead, or read.
type fetch struct {
	index  int
	weight int64
	cancel context.CancelFunc
	taken  atomic.Bool   // by whoever gives its memory back
	done   chan struct{} // closed when the rest is set
	octets []byte
	err    error
	expiry *time.Timer
}

// take makes the caller the one who gives the memory of a fetch back, if nobody is yet.
func (f *fetch) take() bool { return !f.taken.Swap(true) }

func newReadAhead(contents mailbox.Contents, messages []mailbox.Message, memory *semaphore.Weighted) *readAhead {
	a := &readAhead{contents: contents, messages: messages, memory: memory}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// open is Maildrop.Open. A message whose read-ahead failed is read again, so that
// the client hears why it fails now.
func (a *readAhead) open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	i, listed := slices.BinarySearchFunc(a.messages, m, func(l, m mailbox.Message) int { return l.ID.Compare(m.ID) })
	if !listed {
		return a.contents.Open(ctx, m)
	}
	if inOrder := i == a.next && i > 0; inOrder {
		a.window = min(max(1, 2*a.window), aheadMessages)
	} else {
		a.window = 0
	}
	a.next = i + 1
	fetched := a.settle(i)
	a.start()
	if fetched == nil {
		return a.contents.Open(ctx, m)
	}
	select {
	case <-ctx.Done():
		a.drop(fetched)
		return nil, errors.Join(mailbox.ErrUnavailable, context.Cause(ctx))
	case <-fetched.done:
	}
	if fetched.err != nil {
		a.drop(fetched)
		return a.contents.Open(ctx, m)
	}
	return &fetchedReader{*bytes.NewReader(fetched.octets), func() { a.drop(fetched) }}, nil
}

// settle takes the fetch of message i out of the list, if it has one that was not kept
// too long, and drops those that lie outside the window.
func (a *readAhead) settle(i int) (wanted *fetch) {
	a.fetches = slices.DeleteFunc(a.fetches, func(f *fetch) bool {
		switch {
		case f.index == i:
			if f.take() {
				wanted = f
			}
		case f.index < a.next || f.index >= a.next+a.window:
			if f.take() {
				a.drop(f)
			}
		default:
			return f.taken.Load()
		}
		return true
	})
	return wanted
}

// start reads what is in the window and not read yet, as far as memory goes.
func (a *readAhead) start() {
	for i := a.next; i < min(a.next+a.window, len(a.messages)); i++ {
		m := a.messages[i]
		known := slices.ContainsFunc(a.fetches, func(f *fetch) bool { return f.index == i })
		if known || m.Octets > aheadOctets || !a.memory.TryAcquire(m.Octets) {
			continue
		}
		ctx, cancel := context.WithTimeout(a.ctx, aheadTimeout)
		f := &fetch{index: i, weight: m.Octets, cancel: cancel, done: make(chan struct{})}
		a.fetches = append(a.fetches, f)
		a.running.Go(func() {
			defer close(f.done)
			defer cancel()
			f.octets, f.err = readWhole(ctx, a.contents, m)
			f.expiry = time.AfterFunc(aheadTimeout, func() {
				if f.take() {
					f.octets = nil
					a.memory.Release(f.weight)
				}
			})
		})
	}
}

// errLonger is what is wrong with a content that is longer than its line says.
var errLonger = errors.New("content is longer than listed")

// readWhole reads a message, which has to be of the size that the listing has. A panic is
// an error of it: here it would end the process, and not the one connection.
func readWhole(ctx context.Context, contents mailbox.Contents, m mailbox.Message) (octets []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	r, err := contents.Open(ctx, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	octets = make([]byte, m.Octets)
	if _, err = io.ReadFull(r, octets); err != nil {
		return nil, err
	}
	switch _, err = io.ReadFull(r, make([]byte, 1)); err {
	case io.EOF:
		return octets, nil
	case nil:
		return nil, errLonger
	}
	return nil, err
}

// drop ends a fetch that the caller has taken, and gives its memory back once it has
// ended.
func (a *readAhead) drop(f *fetch) {
	f.cancel()
	free := func() {
		<-f.done
		f.expiry.Stop()
		a.memory.Release(f.weight)
	}
	select {
	case <-f.done:
		free()
	default:
		a.running.Go(free)
	}
}

// close ends all reading ahead and waits for it.
func (a *readAhead) close() {
	a.cancel()
	for _, f := range a.fetches {
		if f.take() {
			a.drop(f)
		}
	}
	a.fetches = nil
	a.running.Wait()
}

// A fetchedReader reads a message that was read ahead.
type fetchedReader struct {
	bytes.Reader
	free func()
}

func (r *fetchedReader) Close() error {
	if r.free != nil {
		r.free()
		r.free = nil
	}
	return nil
}

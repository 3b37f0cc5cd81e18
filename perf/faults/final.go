package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/history"
	"restante/perf/scenario"
)

const (
	// readAgain is how long a maildrop may put off its final reader.
	readAgain = 2 * time.Minute
	// betweenReads is the pause until it is tried again.
	betweenReads = 250 * time.Millisecond
)

// agree waits until all data centres list the same in every maildrop, at most for so long.
// Whether they do in the end is for the history to judge.
func (c *clients) agree(ctx context.Context, patience time.Duration) (bool, error) {
	for deadline := time.Now().Add(patience); ; {
		same, err := c.same(ctx)
		if same || err != nil || time.Now().After(deadline) {
			return same, err
		}
		if !scenario.Pause(ctx, betweenReads) {
			return false, ctx.Err()
		}
	}
}

func (c *clients) same(ctx context.Context) (bool, error) {
	var differ atomic.Bool
	err := c.everywhere(ctx, func(ctx context.Context, readers []*reader, drop int) error {
		var first []string
		for i, r := range readers {
			v, ok := r.open(ctx, drop)
			if ok {
				_ = v.pop3.Close()
			}
			if i == 0 && ok {
				first = v.uids
			} else if !ok || !slices.Equal(first, v.uids) {
				differ.Store(true)
			}
		}
		return ctx.Err()
	})
	return !differ.Load(), err
}

// finally reads every message of every maildrop in every data centre.
func (c *clients) finally(ctx context.Context) error {
	c.history.Record(history.Entry{Op: history.Final})
	return c.everywhere(ctx, func(ctx context.Context, readers []*reader, drop int) error {
		for _, r := range readers {
			if err := r.whole(ctx, drop); err != nil {
				return err
			}
		}
		return nil
	})
}

// whole reads a maildrop until all of it was had, or for long enough.
func (r *reader) whole(ctx context.Context, drop int) error {
	for deadline := time.Now().Add(readAgain); ; {
		if r.readAll(ctx, drop) || time.Now().After(deadline) {
			return nil // the history tells what was not had
		}
		if !scenario.Pause(ctx, betweenReads) {
			return ctx.Err()
		}
	}
}

func (r *reader) readAll(ctx context.Context, drop int) bool {
	v, ok := r.open(ctx, drop)
	if !ok {
		return false
	}
	defer func() { _ = v.pop3.Close() }()
	for n := range v.uids {
		if v.retrieve(n+1) != history.OK {
			return false
		}
	}
	return true
}

// everywhere calls a function for each maildrop, for several of them at once, with a reader
// in every data centre.
func (c *clients) everywhere(ctx context.Context, do func(ctx context.Context, readers []*reader, drop int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for n := range c.Readers {
		all.Go(func() {
			var readers []*reader
			for _, dc := range datacenters(c.targets) {
				readers = append(readers, c.reader(dc, fmt.Sprintf("%s-f%d", dc, n), rand.New(rand.NewPCG(c.run, uint64(n)))))
			}
			for drop := n; drop < c.Maildrops; drop += c.Readers {
				if err := do(ctx, readers, drop); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

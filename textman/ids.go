package textman

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/mailbox"
)

// An id has 53 bits: seconds since 2024, the number of the server, and a sequence
// number within the second.
const (
	secondBits   = 31
	serverBits   = 8
	sequenceBits = 14
	perSecond    = 1 << sequenceBits // ids
)

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// ids mints ids that no other server has and none that ran before on the same
// number. A second belongs to one life of a server: the first id is of a later one
// than that in which the server started, and than all that an earlier life can have
// used.
//
// What an earlier life can have used is in the file, ahead of time: there a life
// reserves seconds, and may then use them before the clock has reached them. So it
// waits for nothing when a second is used up, and the clock may be set back at any
// time. Without a file the clock says it, and a second is not used before it has come.
type ids struct {
	server uint8
	file   string
	now    func() time.Time

	began       time.Time
	beganOffset time.Duration // from the epoch

	turn     chan struct{} // holds one: whoever has put it there has the rest
	second   int64         // of the last id
	next     int64         // sequence number
	reserved int64         // the last second that may be used
}

// reserveAhead is how many seconds are reserved at a time. A server that starts again
// skips as many at most.
const reserveAhead = 10

var errIDs = errors.New("no ids are left: the clock is wrong")

func newIDs(server uint8, file string, now func() time.Time) (*ids, error) {
	g := &ids{server: server, file: file, now: now, turn: make(chan struct{}, 1), began: now()}
	g.beganOffset = max(g.began.Sub(epoch), 0) // a clock before 2024 counts from there
	g.second = g.seconds()
	if file != "" {
		used, err := readMark(file)
		if err != nil {
			return nil, fmt.Errorf("read which ids were used: %w", err)
		}
		g.second = max(g.second, used)
	}
	g.next, g.reserved = perSecond, g.second
	return g, nil
}

// offset is the time since the epoch. It follows the monotonic clock, which nobody
// sets.
func (g *ids) offset() time.Duration { return g.beganOffset + g.now().Sub(g.began) }

func (g *ids) seconds() int64 { return int64(g.offset() / time.Second) }

// mint returns a new id. It may have to wait for the next second, and fails with
// mailbox.ErrUnavailable when the context ends before or the file cannot be written.
func (g *ids) mint(ctx context.Context) (int64, error) {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("mint an id: %w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
	defer func() { <-g.turn }()
	second, next := g.second, g.next
	if now := g.seconds(); now > second {
		second, next = now, 0
	} else if next == perSecond {
		second, next = second+1, 0
	}
	if second > g.reserved {
		if err := g.reserve(ctx, second); err != nil {
			return 0, fmt.Errorf("mint an id: %w", err)
		}
	}
	g.second, g.next = second, next+1
	return second<<(serverBits+sequenceBits) | int64(g.server)<<sequenceBits | next, nil
}

// reserve makes sure that no later life uses the second.
func (g *ids) reserve(ctx context.Context, second int64) error {
	last := second
	switch {
	case second >= 1<<secondBits:
		return errIDs
	case g.file != "":
		last = min(second+reserveAhead-1, 1<<secondBits-1)
		if err := writeMark(g.file, last); err != nil {
			return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
		}
	default:
		if err := g.await(ctx, second); err != nil {
			return err
		}
	}
	g.reserved = last
	return nil
}

// await returns when the second has come.
func (g *ids) await(ctx context.Context, second int64) error {
	wait := time.NewTimer(time.Duration(second)*time.Second - g.offset())
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: wait for the next second: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}

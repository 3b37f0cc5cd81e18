// Package scenario puts one kind of load on a mail server and tells how fast it
// was answered, what it cost the server and whether every octet came back.
package scenario

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"restante/perf/latency"
	"restante/perf/wire"
)

// A Load is what all scenarios have in common.
type Load struct {
	Address     string // host:port
	Connections int
	// Count or Duration ends the load, whichever comes first; one must be given.
	Count    int
	Duration time.Duration
	// Rate is operations a second for an open loop: an operation has a time at
	// which it is due, its latency counts from then, so a server that stalls pays
	// for everything that had to wait. Zero is a closed loop: each connection
	// begins the next operation when the last one is answered.
	Rate float64
	// Poisson says that operations are due at random times, Rate a second in the mean
	// and independent of each other, as from many people; otherwise evenly spaced.
	Poisson bool
	First   int // number of the first user
	Users   int // how many there are; they take turns
	// Step is from one user to the next whose turn it is, round and round. 0 counts as 1;
	// with one that has no divisor in common with Users, all have their turn.
	Step     int
	Pattern  string // an address with one %d for the number, or a single address
	Password string
	Options  wire.Options
}

// User is the address of the user whose turn it is at operation i.
func (l Load) User(i int) string {
	if !strings.Contains(l.Pattern, "%d") {
		return l.Pattern
	}
	return fmt.Sprintf(l.Pattern, l.First+i*max(l.Step, 1)%max(l.Users, 1))
}

// A Tally is what the operations of a load came to.
type Tally struct {
	Latency    latency.Histogram
	Operations int64 // that succeeded
	Errors     int64
	Octets     int64
	Elapsed    time.Duration
	// Of an open loop: how many operations were due while every connection was busy,
	// and how many of those waited at the same time at most.
	Waited  int64
	Queue   int
	Figures map[string]float64 // that only this scenario has
	Faults  []string           // the first few different errors
}

// A worker is one connection, or a row of them one after another.
type worker interface {
	// do is one operation and tells how many octets of mail it moved.
	do(ctx context.Context, i int) (octets int64, err error)
	// close ends what is still open.
	close()
}

const (
	maxFaults = 5
	// patience is how many operations in a row may fail on one connection before
	// the load is given up: the server is not there, or not ours.
	patience = 20
)

// drive runs operations from one worker per connection until the load's end or
// the end of ctx, which is no error.
func drive(ctx context.Context, l Load, start func(number int) worker) (*Tally, error) {
	if l.Connections < 1 || (l.Count < 1 && l.Duration <= 0) {
		return nil, errors.New("scenario: a load needs connections, and a count or a duration")
	}
	d := driver{arrivals: newArrivals(l)}
	ctx, d.giveUp = context.WithCancelCause(ctx)
	defer d.giveUp(nil)
	var all sync.WaitGroup
	for number := range l.Connections {
		all.Go(func() { d.work(ctx, start(number)) })
	}
	all.Wait()
	d.total.Elapsed = time.Since(d.arrivals.began)
	d.total.Waited, d.total.Queue = d.arrivals.waited, d.arrivals.queue
	if cause := context.Cause(ctx); errors.Is(cause, errHopeless) {
		return &d.total, cause
	}
	return &d.total, nil
}

var errHopeless = errors.New("scenario: gave up after too many errors in a row")

type driver struct {
	arrivals *arrivals
	giveUp   context.CancelCauseFunc

	mu    sync.Mutex
	total Tally
}

func (d *driver) work(ctx context.Context, w worker) {
	defer w.close()
	var mine Tally
	failures := 0
	for {
		due, i, more := d.turn(ctx)
		if !more {
			break
		}
		octets, err := w.do(ctx, i)
		if err == nil {
			mine.Latency.Record(time.Since(due))
			mine.Operations++
			mine.Octets += octets
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			break // the tool was told to stop, the server did nothing wrong
		}
		mine.Errors++
		mine.Faults = addFault(mine.Faults, err)
		if failures++; failures == patience {
			d.giveUp(fmt.Errorf("%w: %w", errHopeless, err))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total.add(&mine)
}

// turn waits for the next operation's time and tells its number.
func (d *driver) turn(ctx context.Context) (due time.Time, i int, more bool) {
	due, i, more = d.arrivals.take()
	return due, i, more && Pause(ctx, time.Until(due))
}

// Pause waits for d and tells whether ctx is still good.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (t *Tally) add(other *Tally) {
	t.Latency.Merge(&other.Latency)
	t.Operations += other.Operations
	t.Errors += other.Errors
	t.Octets += other.Octets
	for _, f := range other.Faults {
		t.Faults = addFault(t.Faults, errors.New(f))
	}
}

func addFault(faults []string, err error) []string {
	text := err.Error()
	for _, f := range faults {
		if f == text {
			return faults
		}
	}
	if len(faults) == maxFaults {
		return faults
	}
	return append(faults, text)
}

// newRun is the number that the letters of one load share.
func newRun() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(b[:])
}

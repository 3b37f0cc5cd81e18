package relay

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"restante/mailbox"
)

// Times are by what a lane is known to live. Every process on a store has the same.
type Times struct {
	Beat    time.Duration // between two beats; 0: 2 s
	Lease   time.Duration // how long a beat is good for, from the moment before it was sent; 0: 10 s
	Dead    time.Duration // from when on a lane is dead of which no beat was heard; 0: 15 s
	Stagger time.Duration // between one process that may take over a segment and the next; 0: 7 s
	Settle  time.Duration // between a claim and the look who stayed; 0: 5 s
	Write   time.Duration // the most that a write may take to be acknowledged; 0: 2 s
}

// What makes them safe: Dead is longer than Lease, so that everything which a lane does
// under its lease is over when another reads what it did; and Settle is longer than
// Write, so that a claim which is acknowledged at all is there when its rival looks.
func (t Times) withDefaults() Times {
	return Times{
		Beat:    cmp.Or(t.Beat, 2*time.Second),
		Lease:   cmp.Or(t.Lease, 10*time.Second),
		Dead:    cmp.Or(t.Dead, 15*time.Second),
		Stagger: cmp.Or(t.Stagger, 7*time.Second),
		Settle:  cmp.Or(t.Settle, 5*time.Second),
		Write:   cmp.Or(t.Write, 2*time.Second),
	}
}

// A Lease says whether a lane is still its process's. It is good for a while after each
// beat that arrived, by the clock that runs here and never goes back, and by the one that
// is set: the first may stand still while the machine is suspended, and the second may
// go back. Once it has lapsed it stays so: others may have taken over by then, and the
// process goes on under another lane.
type Lease struct {
	lanes Lanes
	times Times
	beat  Beat
	say   func() []byte // what else the beats tell; may be nil
	log   *slog.Logger
	wall  func() time.Time // of which only what is set counts

	mu      sync.Mutex
	until   time.Time // with the monotonic clock; zero before the first beat
	untilBy time.Time // the same by the other one
	lost    bool
}

// newLease is a lease that is not valid before its first beat.
func newLease(lanes Lanes, lane mailbox.MessageID, node string, times Times, say func() []byte, log *slog.Logger) *Lease {
	return &Lease{lanes: lanes, times: times, beat: Beat{Lane: lane, Node: node}, say: say, log: log, wall: time.Now}
}

// Valid reports whether nobody has reason to take over.
func (l *Lease) Valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.valid()
}

func (l *Lease) valid() bool {
	if !l.until.IsZero() && (!time.Now().Before(l.until) || !l.wall().Round(0).Before(l.untilBy)) {
		l.lost = true
	}
	return !l.lost && !l.until.IsZero()
}

// Run beats until the context ends or the lease has lapsed.
func (l *Lease) Run(ctx context.Context) {
	tick := time.NewTicker(l.times.Beat)
	defer tick.Stop()
	for l.once(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once beats, and reports whether the lease may yet be kept.
func (l *Lease) once(ctx context.Context) bool {
	l.beat.Seq++
	if l.say != nil {
		l.beat.Data = l.say()
	}
	before, beforeBy := time.Now(), l.wall().Round(0)
	writing, cancel := context.WithTimeout(ctx, l.times.Write)
	defer cancel()
	err := l.lanes.Beat(writing, l.beat)
	if err != nil && ctx.Err() == nil {
		l.log.Warn("beat not heard", "lane", l.beat.Lane, "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && (l.until.IsZero() || l.valid()) {
		l.until, l.untilBy = before.Add(l.times.Lease), beforeBy.Add(l.times.Lease)
	}
	return l.until.IsZero() || l.valid()
}

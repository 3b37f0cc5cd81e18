package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
)

const (
	clockInterval = 10 * time.Second
	clockNodes    = 5 // asked at each look
	clockReadings = 3
	clockTimeout  = time.Second
	goodReading   = 200 * time.Millisecond // takes no longer, there and back
	staleSighting = 10 * time.Minute       // gives way to what is read poorly
	// maxClockError is how far the clock of this machine may be off.
	maxClockError = 500 * time.Millisecond
)

var clockRead = &statement{name: "clock read", cql: "SELECT toTimestamp(now()) FROM system.local"}

// A clock tells how far the clock of this machine is from the cluster's. Write
// timestamps order what happens in the data centres; a mail from a clock that is
// ahead could not be removed where another is right, and one from behind would be
// taken for older than it is.
type clock struct {
	session *session
	seen    atomic.Pointer[sighting] // nil: never
}

// A sighting is what the time was at the cluster.
type sighting struct {
	cluster time.Time // the median of the nodes
	at      time.Time // when that was; only its monotonic part is used
}

// offset is how far the clock of this machine is ahead. It follows from the last
// sighting and the time since, so that a clock that is set is noticed at once.
func (c *clock) offset() (offset time.Duration, known bool) {
	cluster, known := c.time()
	return c.session.options.Now().Round(0).Sub(cluster), known
}

// time is that of the cluster.
func (c *clock) time() (now time.Time, known bool) {
	seen := c.seen.Load()
	if seen == nil {
		return time.Time{}, false
	}
	return seen.cluster.Add(time.Since(seen.at)), true
}

var errClock = errors.New("the clock of this machine is not the cluster's")

// check fails while nothing may be written that is ordered by this clock.
func (c *clock) check() error {
	offset, known := c.offset()
	switch {
	case !known:
		return fmt.Errorf("%w: the time of the cluster is not known yet", mailbox.ErrUnavailable)
	case offset.Abs() > maxClockError:
		return fmt.Errorf("%w: %w: it is off by %s", mailbox.ErrUnavailable, errClock, offset.Round(time.Millisecond))
	}
	return nil
}

// run looks at the clocks of the cluster until the session ends.
func (c *clock) run() {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.session.life.Done():
			return
		case <-tick.C:
		}
		before := c.check()
		c.look()
		switch after := c.check(); {
		case after != nil:
			c.session.options.Log.Warn("deliveries are refused", "err", after)
		case before != nil:
			c.session.options.Log.Info("the clock is right again")
		}
	}
}

// look asks some nodes for the time, all at once, and keeps the median.
func (c *clock) look() {
	db := c.session.db.Load()
	nodes := db.policy.up()
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	nodes = nodes[:min(len(nodes), clockNodes)]
	began := time.Now()
	answers := make(chan reading, len(nodes))
	for _, n := range nodes {
		go func() { answers <- c.ask(db, n, began) }()
	}
	var good, poor []time.Time
	for range nodes {
		switch r := <-answers; {
		case r.time.IsZero():
		case r.took <= goodReading:
			good = append(good, r.time)
		default:
			poor = append(poor, r.time)
		}
	}
	// Where the nodes are away, or too slow to be read well, the last sighting stands:
	// the clock here measures minutes well enough.
	before := c.seen.Load()
	if len(good) == 0 && (before == nil || time.Since(before.at) > staleSighting) {
		good = poor
	}
	if len(good) > 0 {
		c.seen.Store(&sighting{cluster: median(good), at: began})
	}
}

// median is the one in the middle, or half way between the two there.
func median(times []time.Time) time.Time {
	slices.SortFunc(times, time.Time.Compare)
	low, high := times[(len(times)-1)/2], times[len(times)/2]
	return low.Add(high.Sub(low) / 2)
}

// A reading is the time of a node at the moment of a look.
type reading struct {
	time time.Time     // zero: it did not say
	took time.Duration // there and back; the time may be wrong by half of that
}

// ask reads the clock of one node some times and takes the quickest answer: the
// others waited somewhere, on the way there or back.
func (c *clock) ask(db *connected, node *gocql.HostInfo, began time.Time) (best reading) {
	ctx, cancel := context.WithTimeout(c.session.life, clockTimeout)
	defer cancel()
	for range clockReadings {
		sent := time.Now()
		var answer time.Time
		q := db.Query(clockRead.cql).WithContext(&call{Context: ctx, only: node}).Consistency(gocql.One).RetryPolicy(nil)
		if err := q.Scan(&answer); err != nil {
			break
		}
		took := time.Since(sent)
		if best.time.IsZero() || took < best.took {
			best = reading{answer.Add(-took/2 - sent.Sub(began)), took}
		}
	}
	return best
}

// checkClock refuses a delivery while the clock of this machine is off.
func (s *session) checkClock() error { return s.clock.check() }

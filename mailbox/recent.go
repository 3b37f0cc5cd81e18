package mailbox

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// maxRecent is how many routes are remembered at least before room is made: two
	// hundred octets each.
	maxRecent = 1 << 14
	// maxRenewals is how many are read again at a time.
	maxRenewals = 64
)

// RecentRoutes remember for a short time where addresses lead, for a store in which
// a look costs about as much as a delivery. Only routes that are live are remembered.
// What another server changes is noticed when the time is over. So for as long an
// address that was removed is not made again, lest mail be accepted for the life that
// it had before.
//
// A route that is asked for when half of its time is over is read again meanwhile, so
// that nobody waits for one that is in use.
type RecentRoutes struct {
	life     time.Duration
	ctx      context.Context // of the renewals
	end      context.CancelFunc
	renewals sync.WaitGroup

	mu       sync.Mutex
	renewing map[Address]struct{}
	// What is remembered is forgotten by halves: all that came in one life with the
	// end of the next.
	young, old map[Address]recentRoute
	began      time.Time // of the young
	changes    uint64
}

// clockSlack is by how much the clocks of two servers may differ.
const clockSlack = time.Second

type recentRoute struct {
	route Route
	read  time.Time // or was asked for: it may have been read a little later
}

// NewRecentRoutes returns a memory for [Directory] that keeps each route for so long. It
// is to be closed.
func NewRecentRoutes(life time.Duration) *RecentRoutes {
	r := &RecentRoutes{life: life, renewing: make(map[Address]struct{})}
	r.ctx, r.end = context.WithCancel(context.Background())
	return r
}

// Close returns when no route is being read again, and none will be. What is remembered
// stays.
func (r *RecentRoutes) Close() {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	r.renewals.Wait()
}

// recall is the route that an address had a short while before now, and whether it is
// time to read it again.
func (r *RecentRoutes) recall(a Address, now time.Time) (route Route, known, aging bool) {
	if r == nil {
		return Route{}, false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	recent, ok := r.young[a]
	if !ok {
		recent, ok = r.old[a]
	}
	age := now.Sub(recent.read)
	if !ok || age < 0 || age >= r.life || !recent.route.Live(now) {
		return Route{}, false, false
	}
	return recent.route, true, age >= r.life/2
}

// renew reads the route of an address again, in a goroutine of its own, unless that is
// under way. Where it cannot be, the old one holds for the rest of its time.
func (r *RecentRoutes) renew(a Address, read func(context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, renewing := r.renewing[a]; renewing || len(r.renewing) >= maxRenewals || r.ctx.Err() != nil {
		return
	}
	r.renewing[a] = struct{}{}
	r.renewals.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, r.life)
		defer cancel()
		read(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.renewing, a)
	})
}

// gone waits until no server remembers a route that was removed at a time, by a clock
// that may be somewhat off. It fails when the context ends.
func (r *RecentRoutes) gone(ctx context.Context, removed, now time.Time) error {
	if r == nil {
		return nil
	}
	wait := time.NewTimer(min(removed.Add(r.life).Sub(now), r.life) + clockSlack)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("removed a moment ago: %w: %w", ErrUnavailable, ctx.Err())
	}
}

// mark is what remember wants to know from before the route was read.
func (r *RecentRoutes) mark() uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// remember keeps a route that was asked for a moment ago, unless some were changed since
// the mark: then it may be older than one of the changes.
func (r *RecentRoutes) remember(a Address, route Route, mark uint64, asked, now time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if mark != r.changes {
		return
	}
	if r.young == nil || len(r.young) >= maxRecent || now.Sub(r.began) >= r.life || now.Before(r.began) {
		r.young, r.old, r.began = make(map[Address]recentRoute), r.young, now
	}
	r.young[a] = recentRoute{route, asked}
}

// forget is called when a route was or may have been changed.
func (r *RecentRoutes) forget(a Address) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	delete(r.young, a)
	delete(r.old, a)
}

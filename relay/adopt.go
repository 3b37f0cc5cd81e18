package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// A Worker does what is left in segments; [Queue] is one.
type Worker interface {
	// Resume reads a segment and does what is left in it. Called again it takes up what
	// it had not read before. It returns when the segment was read.
	Resume(ctx context.Context, s Segment) error
	// Left is how many entries of a segment are not done, as far as was read, and
	// whether it was.
	Left(s Segment) (left int, known bool)
	// Abandon leaves a segment to others.
	Abandon(s Segment)
}

const (
	// How often it is looked who lives.
	watchInterval = time.Second
	// How many segments are claimed at a time.
	claimsAtOnce = 8
	// How often it is looked whether a claim still stands: at first, and later, when all
	// that may arrive late has.
	claimInterval, claimRest = 3 * time.Second, 15 * time.Second
	claimSettled             = time.Minute
	// How long it is believed that another has a segment, as long as he lives; and when
	// the segments of a dead lane are listed again that all have somebody.
	takenRest, listRest = 30 * time.Second, 10 * time.Second
	// How long a list of lanes or segments, or the end of a segment, may take; and how
	// long a segment may be read. Then it is tried again.
	listTimeout = 2 * time.Second
	readTimeout = 5 * time.Minute
)

// When a segment is read again after it was adopted, and the segments of a dead lane are
// listed again that had none: what a dying process wrote may arrive late. After the last
// time what is done is forgotten.
var again = []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// How much later than the last time at most a segment is read again that was adopted by
// order, and what was left by a lane that is taken for dead by order is listed again.
const againAtMost = 4 * time.Hour

// againAfter is when a segment that was read again so often is read the next time, from
// when it was adopted. It has an end for what is not adopted by order.
func againAfter(scans int, ordered bool) (at time.Duration, more bool) {
	last := len(again) - 1
	switch {
	case scans <= last:
		return again[scans], true
	case !ordered:
		return 0, false
	}
	for at = again[last]; scans > last; scans-- {
		at += min(at, againAtMost)
	}
	return at, at < Kept
}

// A takeover finds lanes that died, or of which an operator says so, and adopts their
// segments. Where the store has no Lanes, all lanes but the own are dead, as only one
// process can open it.
type takeover struct {
	journal Journal
	lanes   Lanes // nil: nobody else has the store
	worker  Worker
	lane    mailbox.MessageID
	lease   interface{ Valid() bool }
	times   Times
	log     *slog.Logger

	mu       sync.Mutex
	heard    map[mailbox.MessageID]sighting
	watched  time.Time // when all lanes were last heard
	dead     map[mailbox.MessageID]*estate
	adopted  map[Segment]*adoption
	claiming map[Segment]bool
	taken    map[Segment]holding
}

// A sighting is when a beat of a lane was heard that was new, by our clock.
type sighting struct {
	seq   uint64
	since time.Time
}

// An estate is what a dead lane has left.
type estate struct {
	since   time.Time // of death
	ordered bool      // taken for dead by order: its data centre may have what nobody has read here
	until   time.Time // what was opened later is left alone; zero: nothing is
	looked  int       // how often it was listed and empty
	next    time.Time // when it is listed again; zero: never
	cared   bool      // there was something, and somebody had all of it
}

// A holding is a segment that another works on.
type holding struct {
	by    mailbox.MessageID
	until time.Time // when it is asked again
}

// An adoption is a segment that we work on.
type adoption struct {
	since   time.Time
	ordered bool // see estate
	loaded  bool // was read at least once
	scans   int
	checked time.Time
}

func newTakeover(journal Journal, lanes Lanes, worker Worker, lane mailbox.MessageID, lease interface{ Valid() bool }, times Times, log *slog.Logger) *takeover {
	return &takeover{
		journal: journal, lanes: lanes, worker: worker, lane: lane, lease: lease, times: times, log: log,
		heard: make(map[mailbox.MessageID]sighting), dead: make(map[mailbox.MessageID]*estate),
		adopted: make(map[Segment]*adoption), claiming: make(map[Segment]bool), taken: make(map[Segment]holding),
	}
}

// run works until the context ends, and returns when all that it started has.
func (t *takeover) run(ctx context.Context) {
	var claims sync.WaitGroup
	defer claims.Wait()
	room := make(chan struct{}, claimsAtOnce)
	// Beside the watch, which must not be late, however much was adopted.
	claims.Go(func() {
		t.each(ctx, func() { t.keep(ctx, &claims, room) })
	})
	t.each(ctx, func() {
		if err := t.watch(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("cannot tell which lanes live", "err", err)
		}
		for _, s := range t.estates(ctx) {
			t.begin(ctx, &claims, room, s)
		}
	})
}

// each does something again and again while the lease is valid, until the context ends.
func (t *takeover) each(ctx context.Context, do func()) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		if t.lease.Valid() {
			do()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watch hears all lanes. One that hears late, because it was asleep or the store was
// away, accuses nobody: all are heard anew.
func (t *takeover) watch(ctx context.Context) error {
	if t.lanes == nil {
		return t.watchAlone(ctx)
	}
	asking, cancel := context.WithTimeout(ctx, t.times.Write)
	defer cancel()
	began := time.Now()
	beats, err := t.lanes.Beats(asking)
	if err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if late := now.Sub(t.watched); late > watchInterval+t.times.Beat+t.times.Write {
		clear(t.heard)
	}
	t.watched = now
	for _, b := range beats {
		if b.Seq == 0 {
			t.obey(b, began)
			continue
		}
		known, ok := t.heard[b.Lane]
		if !ok || b.Seq != known.seq {
			t.heard[b.Lane] = sighting{b.Seq, now}
			delete(t.dead, b.Lane)
			continue
		}
		if b.Lane != t.lane && t.dead[b.Lane] == nil && began.Sub(known.since) >= t.times.Dead {
			t.log.Info("lane is dead", "lane", b.Lane, "node", b.Node)
			t.dead[b.Lane] = &estate{since: began, next: began}
			t.orphan(began)
		}
	}
	return nil
}

// obey takes a lane for dead, as an operator has ordered. The caller holds the lock.
func (t *takeover) obey(order Beat, now time.Time) {
	until := orderedUntil(order)
	if e := t.dead[order.Lane]; e != nil && e.until.Equal(until) {
		return
	}
	t.log.Info("lane is to be taken over", "lane", order.Lane, "datacenter", order.Node)
	t.dead[order.Lane] = &estate{since: now, ordered: true, until: until, next: now}
	t.orphan(now)
}

// orphan has all be listed that somebody had, since one has died. The caller holds the
// lock.
func (t *takeover) orphan(now time.Time) {
	for _, e := range t.dead {
		if e.cared {
			e.next = now
		}
	}
}

// watchAlone finds what earlier lives of this process have left.
func (t *takeover) watchAlone(ctx context.Context) error {
	t.mu.Lock()
	known := !t.watched.IsZero()
	t.mu.Unlock()
	if known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	lanes, err := t.journal.Lanes(ctx, "")
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watched = time.Now()
	for _, lane := range lanes {
		if lane != t.lane {
			t.dead[lane] = &estate{since: t.watched, next: t.watched}
		}
	}
	return nil
}

// estates are the segments of dead lanes that are ours to claim by now.
func (t *takeover) estates(ctx context.Context) []Segment {
	now := time.Now()
	t.mu.Lock()
	var lanes []mailbox.MessageID
	for lane, e := range t.dead {
		if !e.next.IsZero() && !now.Before(e.next) {
			lanes = append(lanes, lane)
		}
	}
	t.mu.Unlock()
	// What was left last first: most of what is older has somebody.
	slices.SortFunc(lanes, func(a, b mailbox.MessageID) int { return b.Compare(a) })
	var ours []Segment
	for _, lane := range lanes {
		listing, cancel := context.WithTimeout(ctx, listTimeout)
		segments, err := t.journal.Segments(listing, lane)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				t.log.Warn("cannot list what a dead lane left", "lane", lane, "err", err)
			}
			return ours // the others would make the watch late; they come first another time
		}
		ours = append(ours, t.due(lane, segments, now)...)
	}
	return ours
}

// due are those of the segments of a dead lane that we claim now.
func (t *takeover) due(lane mailbox.MessageID, segments []Segment, now time.Time) []Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.dead[lane]
	if e == nil {
		return nil // it lives
	}
	e.next, e.cared = now.Add(watchInterval), false
	segments = slices.DeleteFunc(segments, func(s Segment) bool {
		return !e.until.IsZero() && s.ID.Time().After(e.until)
	})
	t.forgetTaken(lane, segments)
	if len(segments) == 0 {
		e.next = e.lookAgain(now)
		return nil
	}
	e.cared = true
	slices.SortFunc(segments, func(a, b Segment) int { return b.ID.Compare(a.ID) })
	var ours []Segment
	for _, s := range segments {
		if t.adopted[s] != nil || t.held(s, now) {
			continue
		}
		e.cared = false
		if t.claiming[s] {
			continue
		}
		if wait := time.Duration(t.rank(s, now)) * t.times.Stagger; now.Sub(e.since) >= wait {
			ours = append(ours, s)
		}
	}
	if e.cared {
		e.next = now.Add(listRest)
	}
	return ours
}

// lookAgain is when an estate is listed again that had nothing; zero: never.
func (e *estate) lookAgain(now time.Time) time.Time {
	e.looked++
	switch {
	case e.looked <= len(again):
		return now.Add(again[e.looked-1])
	case e.ordered && now.Sub(e.since) < Kept:
		return now.Add(againAtMost)
	}
	return time.Time{}
}

// held reports whether it is known that another works on a segment.
func (t *takeover) held(s Segment, now time.Time) bool {
	h, ok := t.taken[s]
	return ok && now.Before(h.until) && t.alive(h.by, now)
}

// forgetTaken forgets segments of a lane that are no more.
func (t *takeover) forgetTaken(lane mailbox.MessageID, there []Segment) {
	maps.DeleteFunc(t.taken, func(s Segment, _ holding) bool { return s.Lane == lane && !slices.Contains(there, s) })
}

// rank is how many of those who live go before us to a segment: each process finds the
// same order (rendezvous hashing).
func (t *takeover) rank(s Segment, now time.Time) int {
	if t.lanes == nil {
		return 0
	}
	own, before := weigh(s, t.lane), 0
	for lane := range t.heard {
		if lane != t.lane && lane != s.Lane && t.alive(lane, now) && bytes.Compare(weigh(s, lane), own) > 0 {
			before++
		}
	}
	return before
}

func weigh(s Segment, lane mailbox.MessageID) []byte {
	h := sha256.New()
	h.Write(s.Lane[:])
	h.Write(s.ID[:])
	h.Write(lane[:])
	return h.Sum(nil)
}

// alive reports whether a lane may live: also one that was never heard, as those of other
// data centres are not. The caller holds the lock.
func (t *takeover) alive(lane mailbox.MessageID, now time.Time) bool {
	known, ok := t.heard[lane]
	if !ok {
		return t.lanes != nil && t.dead[lane] == nil
	}
	return now.Sub(known.since) < t.times.Dead
}

// begin claims a segment, when there is room.
func (t *takeover) begin(ctx context.Context, claims *sync.WaitGroup, room chan struct{}, s Segment) {
	select {
	case room <- struct{}{}:
	default:
		return // it is found again
	}
	t.mu.Lock()
	t.claiming[s] = true
	t.mu.Unlock()
	claims.Go(func() {
		defer func() { <-room }()
		err := t.claim(ctx, s)
		t.mu.Lock()
		delete(t.claiming, s)
		t.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			t.log.Warn("segment not adopted yet", "lane", s.Lane, "segment", s.ID, "err", err)
		}
	})
}

// claim adopts a segment unless somebody who lives has it. Of those who write into the
// register at once the last stays, and each looks who that is when every write that will
// ever be acknowledged has been (Fischer's mutual exclusion, by time).
func (t *takeover) claim(ctx context.Context, s Segment) error {
	if t.lanes == nil {
		return t.adopt(ctx, s)
	}
	over, err := t.claimed(ctx, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	asked := time.Now()
	_, heard := t.heard[over.Lane]
	stale := !heard && asked.Sub(time.UnixMicro(over.Version)) >= Kept // what there was then is gone
	taken := !over.Lane.IsZero() && over.Lane != t.lane && t.alive(over.Lane, asked) && !stale
	if taken {
		t.taken[s] = holding{over.Lane, asked.Add(takenRest)}
	}
	t.mu.Unlock()
	if taken {
		return nil
	}
	writing, cancel := context.WithTimeout(ctx, t.times.Write)
	err = t.lanes.Claim(writing, s, t.lane, over)
	cancel()
	if err != nil {
		return fmt.Errorf("relay: claim: %w", err)
	}
	select {
	case <-time.After(t.times.Settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	now, err := t.claimed(ctx, s)
	if err != nil || now.Lane != t.lane {
		return err
	}
	return t.adopt(ctx, s)
}

func (t *takeover) claimed(ctx context.Context, s Segment) (Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, t.times.Write)
	defer cancel()
	c, err := t.lanes.Claimed(ctx, s)
	if err != nil {
		return c, fmt.Errorf("relay: who has claimed: %w", err)
	}
	return c, nil
}

// adopt works on a segment from now on.
func (t *takeover) adopt(ctx context.Context, s Segment) error {
	if !t.lease.Valid() {
		return ErrLease
	}
	now := time.Now()
	t.mu.Lock()
	e := t.dead[s.Lane]
	t.adopted[s] = &adoption{since: now, ordered: e != nil && e.ordered, checked: now}
	t.mu.Unlock()
	t.log.Info("segment adopted", "lane", s.Lane, "segment", s.ID)
	return t.read(ctx, s)
}

// read has the worker read a segment, for the first time or again.
func (t *takeover) read(ctx context.Context, s Segment) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := t.worker.Resume(ctx, s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.adopted[s]; a != nil && err == nil {
		if a.loaded {
			a.scans++ // one that failed has seen nothing that came late
		}
		a.loaded = true
	}
	return err
}

// keep looks after what was adopted: gives back what is another's, reads again what may
// have come late, and forgets what is done. What was adopted by order is read again as long
// as its events are kept, and never closed: the data centre that is taken for dead may have
// mail on its disks which nobody has read, and would lose it by that.
func (t *takeover) keep(ctx context.Context, claims *sync.WaitGroup, room chan struct{}) {
	now := time.Now()
	for _, s := range t.all() {
		t.mu.Lock()
		a := *t.adopted[s]
		busy := t.claiming[s]
		t.mu.Unlock()
		if busy || t.lanes != nil && now.Sub(a.checked) >= t.restOf(s, a, now) && !t.stands(ctx, s, now) {
			continue
		}
		at, more := againAfter(a.scans, a.ordered)
		more = more && t.lanes != nil
		left, known := t.worker.Left(s)
		switch done := known && left == 0; {
		case !a.loaded, more && now.Sub(a.since) >= at:
			t.readAgain(ctx, claims, room, s)
		case !more && done && a.ordered:
			t.letBe(s)
		case !more && done:
			t.forget(ctx, s)
		}
	}
}

// restOf is how long after the last look at a claim of ours the next is due.
func (t *takeover) restOf(s Segment, a adoption, now time.Time) time.Duration {
	if now.Sub(a.since) < claimSettled {
		return claimInterval
	}
	at, more := againAfter(a.scans, a.ordered)
	if left, known := t.worker.Left(s); known && left == 0 && more && a.scans >= len(again) {
		return at - a.checked.Sub(a.since) // nothing is done for it until it is read again
	}
	return claimRest
}

func (t *takeover) all() []Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Segment, 0, len(t.adopted))
	for s := range t.adopted {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Segment) int { return a.ID.Compare(b.ID) })
	return all
}

// stands reports whether a claim of ours is still there, and else gives the segment up.
func (t *takeover) stands(ctx context.Context, s Segment, now time.Time) bool {
	c, err := t.claimed(ctx, s)
	if err != nil {
		return true // nobody says otherwise
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.Lane == t.lane {
		t.adopted[s].checked = now
		return true
	}
	delete(t.adopted, s)
	t.worker.Abandon(s)
	t.log.Info("segment left to another", "lane", s.Lane, "segment", s.ID, "to", c.Lane)
	return false
}

// readAgain is read beside the watch, when there is room.
func (t *takeover) readAgain(ctx context.Context, claims *sync.WaitGroup, room chan struct{}, s Segment) {
	select {
	case room <- struct{}{}:
	default:
		return
	}
	t.mu.Lock()
	t.claiming[s] = true
	t.mu.Unlock()
	claims.Go(func() {
		defer func() { <-room }()
		err := t.read(ctx, s)
		t.mu.Lock()
		delete(t.claiming, s)
		t.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			t.log.Warn("adopted segment not read", "lane", s.Lane, "segment", s.ID, "err", err)
		}
	})
}

// forget closes a segment in which nothing is left to do.
func (t *takeover) forget(ctx context.Context, s Segment) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if err := t.journal.Close(ctx, s); err != nil {
		t.log.Warn("adopted segment not closed yet", "lane", s.Lane, "segment", s.ID, "err", err)
		return
	}
	t.worker.Abandon(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.adopted, s)
	t.log.Info("adopted segment done", "lane", s.Lane, "segment", s.ID)
}

// letBe leaves a segment alone of which nothing is kept by now, but what was read.
func (t *takeover) letBe(s Segment) {
	t.worker.Abandon(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.adopted, s)
	t.log.Info("adopted segment done, and not closed", "lane", s.Lane, "segment", s.ID)
}

// living is how many lanes of this data centre live, the own among them.
func (t *takeover) living() int {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 1
	for lane := range t.heard {
		if lane != t.lane && t.alive(lane, now) {
			n++
		}
	}
	return n
}

// ErrAlone is what adopting a data centre fails with where the store has no other.
var ErrAlone = errors.New("relay: one process has this store, and no other data centre")

// reach is how much later than an order what it is about may have been opened, by clocks
// that differ. It has an end, so that a data centre whose processes were cut off and have
// not been started anew has its mail for itself again.
const reach = 10 * time.Minute

// declareDead has all lanes of a data centre be adopted, whether they live or not. It
// returns how many there are. To each process of this data centre, however often it starts
// anew, the order is a beat among those here: the one before the first, so that a lane
// which does beat here is not touched.
func (t *takeover) declareDead(ctx context.Context, datacenter string) (int, error) {
	if t.lanes == nil {
		return 0, ErrAlone
	}
	listing, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	lanes, err := t.journal.Lanes(listing, datacenter)
	if err != nil {
		return 0, fmt.Errorf("relay: lanes of %s: %w", datacenter, err)
	}
	order := Beat{Node: datacenter, Data: []byte(time.Now().UTC().Format(time.RFC3339))}
	for _, order.Lane = range lanes {
		if err := t.order(ctx, order); err != nil {
			return 0, err
		}
	}
	return len(lanes), nil
}

func (t *takeover) order(ctx context.Context, order Beat) error {
	ctx, cancel := context.WithTimeout(ctx, t.times.Write)
	defer cancel()
	if err := t.lanes.Beat(ctx, order); err != nil {
		return fmt.Errorf("relay: order to adopt lane %s: %w", order.Lane, err)
	}
	return nil
}

// orderedUntil is zero where the order cannot be read: better twice than never.
func orderedUntil(order Beat) time.Time {
	given, err := time.Parse(time.RFC3339, string(order.Data))
	if err != nil {
		return time.Time{}
	}
	return given.Add(reach)
}

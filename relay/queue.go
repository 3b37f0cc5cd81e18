package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/mailbox"
)

// Options configures a [Queue]. Where a field says so, zero is a default.
type Options struct {
	Lane     mailbox.MessageID // of this process; zero: minted
	Journal  Journal
	Contents mailbox.Contents
	Pool     Pool
	IDs      *mailbox.MessageIDs

	// Lease says whether the lane is still this process's: nobody takes over its
	// segments as long as that is so. Nil: always, as where no other has the store.
	Lease interface{ Valid() bool }

	// Notifier tells senders; see [Notifier].
	Notifier interface {
		Notify(ctx context.Context, n Notice) error
	}

	Policies    *Policies     // nil: DefaultPolicies
	Concurrency int           // attempts at a time; 0: 64
	Recipients  int           // of one transaction; 0: 50; at most MaxBatch
	Most        int           // entries that may wait before Submit refuses more; 0: 2,000,000
	OpenHold    time.Duration // before an attempt is repeated whose process died in it, at least; 0: 10 s
	Grace       time.Duration // for attempts that run when Run has to end; 0: 10 s
	Write       time.Duration // the most that one call of the journal takes; 0: 2 s

	// Clock is what other processes on the store take for the time: no mail expires
	// before it says so too. Nil: Now, as it is set at that moment.
	Clock func() (time.Time, error)

	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

func (o Options) withDefaults() (Options, error) {
	o.Concurrency = cmp.Or(o.Concurrency, 64)
	o.Recipients = cmp.Or(o.Recipients, 50)
	o.Most = cmp.Or(o.Most, 2_000_000)
	o.OpenHold = cmp.Or(o.OpenHold, 10*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.Write = cmp.Or(o.Write, 2*time.Second)
	if o.Policies == nil {
		p := DefaultPolicies()
		o.Policies = &p
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = func() (time.Time, error) { return o.Now(), nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Lease == nil {
		o.Lease = always{}
	}
	if o.Lane.IsZero() {
		o.Lane = o.IDs.Next()
	}
	switch {
	case o.Concurrency < 1, o.Most < 1, o.Recipients < 1, o.Recipients > MaxBatch:
		return o, errors.New("relay: a limit of the queue is out of range")
	case o.OpenHold < 0, o.Grace < 0, o.Write < 0:
		return o, errors.New("relay: a time of the queue is negative")
	}
	for i := range o.Policies {
		if err := o.Policies[i].check(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// always is the lease of the only process that has the store.
type always struct{}

func (always) Valid() bool { return true }

// A Queue sends what was submitted. It is safe for concurrent use.
type Queue struct {
	options Options
	metrics *metrics
	started time.Time     // what the clock is read against, so that setting it does no harm
	opening chan struct{} // has room for who opens a segment
	kick    chan struct{} // has room; the dispatcher looks again

	mu       sync.Mutex
	running  bool
	free     int // attempts that may begin
	segments map[Segment]*segment
	current  *segment          // which new messages go to; nil: none is open
	next     mailbox.MessageID // of the segment that is opened next
	shut     stamp             // no segment is opened before, as that failed
	hold     stamp             // no attempt begins before, as the journal failed
	waiting  timers
	ready    lines
	chores   fifo // messages of whose delay or end the sender is to hear
	pending  int  // entries that something is left to do for
	hints    map[mailbox.MessageID]string
	said     map[packedSaying]packedSaying // shared by entries that came to the same
	untold   map[mailbox.MessageID]stamp   // when a sender is told of a delay who could not be
	spared   map[mailbox.MessageID]stamp   // until when a message goes on that has expired by this clock alone
	fresh    fresh

	leftovers *leftovers // shared with the other lives of the process
	rules     rules
}

// rules are what a test switches off, to see that it is missed.
type rules struct {
	noAttempt     bool // nothing is written before a message is handed over
	forgetSuccess bool // nothing is written after
	noLease       bool // nobody asks for the lease
}

// New returns a queue that sends nothing before [Queue.Run].
func New(o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &Queue{
		options: o, started: o.Now(), free: o.Concurrency,
		opening: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		segments: make(map[Segment]*segment), hints: make(map[mailbox.MessageID]string),
		said: make(map[packedSaying]packedSaying), untold: make(map[mailbox.MessageID]stamp), ready: newLines(),
		spared: make(map[mailbox.MessageID]stamp),
		fresh:  fresh{of: make(map[mailbox.MessageID][]byte)}, leftovers: newLeftovers(),
	}
	q.metrics = newMetrics(q)
	if o.Registerer != nil {
		for _, c := range q.metrics.all() {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("relay: register metrics: %w", err)
			}
		}
	}
	return q, nil
}

// A stamp is a time in milliseconds since 1970.
type stamp int64

func stampOf(t time.Time) stamp { return stamp(t.UnixMilli()) }

func (s stamp) time() time.Time { return time.UnixMilli(int64(s)).UTC() }

func (s stamp) add(d time.Duration) stamp { return s + stamp(d.Milliseconds()) }

// now is the time as it goes by here: a clock that is set does not make mail expire.
func (q *Queue) now() stamp { return stampOf(q.started.Add(q.options.Now().Sub(q.started))) }

// ours reports whether the lane is still this process's.
func (q *Queue) ours() bool { return q.rules.noLease || q.options.Lease.Valid() }

// Run sends until the context ends, and for as long as attempts that run then take, at
// most for the grace. It is called once. Before and after, Submit fails.
func (q *Queue) Run(ctx context.Context) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	q.setRunning(true)
	var tasks, chores sync.WaitGroup
	chores.Go(func() { q.tidy(ctx) })
	q.dispatch(ctx, func(task func(context.Context)) {
		tasks.Go(func() { task(work) })
	})
	q.setRunning(false)
	end := time.AfterFunc(q.options.Grace, stop)
	defer end.Stop()
	tasks.Wait()
	chores.Wait()
	q.withdrawAgain(work) // nobody but the next life knows of these
	q.releaseAgain(work)
}

func (q *Queue) setRunning(running bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = running
}

const (
	// How long an attempt waits after the journal failed.
	journalRest = time.Second
	// How often the dispatcher looks for the lease while it has none.
	leaseRest = 250 * time.Millisecond
	// How often it asks the pool again of which it has heard nothing.
	poolRest = 5 * time.Second
)

// dispatch starts what is due while there is room for it, until the context ends.
func (q *Queue) dispatch(ctx context.Context, start func(task func(context.Context))) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var changed <-chan struct{}
	for {
		if changed == nil {
			changed = q.options.Pool.Changed() // before anything is picked, so that no change is missed
		}
		timer.Reset(q.startDue(start))
		select {
		case <-ctx.Done():
			return
		case <-q.kick:
		case <-changed:
			changed = nil
			q.unblock()
		case <-timer.C:
			q.unblock() // cheap, and right even where a change was not told
		}
	}
}

// look makes the dispatcher look again.
func (q *Queue) look() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

func (q *Queue) unblock() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready.unblock()
}

// startDue starts what is due, and says how long nothing else can be.
func (q *Queue) startDue(start func(task func(context.Context))) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.free > 0 {
		now := q.now()
		q.wake(now)
		if !q.ours() {
			return leaseRest
		}
		if now < q.hold {
			return time.Duration(q.hold-now) * time.Millisecond
		}
		if m := q.chores.pop(); m != nil {
			q.begin(start, func(ctx context.Context) { q.chore(ctx, m) })
			continue
		}
		m, line := q.ready.take()
		if m == nil {
			break
		}
		if m.state != isReady {
			continue // it was worked on since
		}
		q.pick(m, line, now, start)
	}
	if next := q.waiting.next(); next != nil && q.free > 0 {
		return min(poolRest, max(0, time.Duration(next.wake-q.now())*time.Millisecond))
	}
	return poolRest
}

// wake takes those whose time has come.
func (q *Queue) wake(now stamp) {
	for next := q.waiting.next(); next != nil && next.wake <= now; next = q.waiting.next() {
		q.waiting.remove(next)
		due := next.due(now)
		switch {
		case now >= q.ends(next), due == nil, next.state == isReady:
			next.state = isBusy
			q.chores.push(next)
		default:
			q.line(next)
		}
	}
}

// line puts a message among those that are ready. It stays among those that wait, for
// the sender is to hear when it is there too long.
func (q *Queue) line(m *message) {
	m.state = isReady
	q.ready.push(m)
	q.waiting.add(m, q.calls(m))
}

// calls is when the sender is to hear of a message that nobody takes, or of what he could
// not be told. The caller holds the lock.
func (q *Queue) calls(m *message) stamp {
	at := q.ends(m)
	if !m.warned {
		at = min(at, q.warns(m))
	}
	for i := range m.entries {
		if e := &m.entries[i]; e.kind == givenUp {
			at = min(at, e.due)
		}
	}
	return at
}

// warns is when the sender is to hear of the delay of a message, which he has not. The
// caller holds the lock.
func (q *Queue) warns(m *message) stamp {
	if again, failed := q.untold[m.id]; failed {
		return again
	}
	return stampOf(m.accepted().Add(q.options.Policies.of(m.class).Delay))
}

// ends is when the time of a message is over, as far as is known: see [Queue.expired]. The
// caller holds the lock.
func (q *Queue) ends(m *message) stamp { return max(m.expires(), q.spared[m.id]) }

// place puts a message that nobody works on where it belongs, to wake at a time at the
// earliest.
func (q *Queue) place(m *message, earliest stamp) {
	now := q.now()
	if m.due(max(now, earliest)) != nil && earliest <= now && now < q.ends(m) {
		q.line(m)
	} else {
		m.state = isWaiting
		q.waiting.add(m, max(earliest, min(q.calls(m), m.earliest(q.ends(m)))))
	}
	q.look()
}

// begin starts a task that has one of the rooms. The caller holds the lock.
func (q *Queue) begin(start func(task func(context.Context)), task func(context.Context)) {
	q.free--
	start(func(ctx context.Context) {
		task(ctx)
		q.mu.Lock()
		q.free++
		q.mu.Unlock()
		q.look()
	})
}

// pick chooses a service for a message that is due and starts the attempt, or has it
// wait for the pool. The caller holds the lock, and has it again when this returns.
func (q *Queue) pick(m *message, line *line, now stamp, start func(task func(context.Context))) {
	m.state = isBusy
	q.waiting.remove(m)
	due := m.group(now, q.options.Policies.of(m.class), q.options.Recipients)
	hint := q.hints[m.id]
	q.mu.Unlock()
	r := q.round(m, due, hint)
	picked, err := q.options.Pool.Pick(r.want())
	q.mu.Lock()
	switch {
	case m.state == isGone:
		if err == nil {
			picked.Release()
		}
	case err == nil:
		delete(q.hints, m.id)
		q.begin(start, func(ctx context.Context) { r.run(ctx, picked) })
	case errors.Is(err, ErrUnfit):
		q.begin(start, func(ctx context.Context) { r.unfit(ctx, err) })
	case errors.Is(err, ErrResting):
		q.place(m, now.add(asideFor(now.time().Sub(m.accepted())))) // others of its line may be taken
	default:
		m.state = isReady
		q.waiting.add(m, q.calls(m))
		q.ready.block(line, m)
	}
}

// asideFor is how long a message of an age does not ask again for which all services rest
// that take it: so that many cost little, however long that lasts.
func asideFor(age time.Duration) time.Duration {
	return min(max(age/16, time.Second), time.Minute)
}

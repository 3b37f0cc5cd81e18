package cassandra

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"restante/mailbox"
)

// RoundOptions say how to go through the tables, as Sweep and Repair do.
type RoundOptions struct {
	// Age is how old a message is before anything is decided about it, by the time
	// in its id; 0 means a day. It has to be more than a delivery can take from its
	// beginning to its answer, so that less than an hour is refused.
	Age time.Duration

	// Rate is how many rows are read in a second; 0 means 5,000.
	Rate int

	// Memory is how much there is for the ids of messages, in octets; 0 means 16 MiB
	// for a sweep and 64 MiB for a repair.
	Memory int

	// Restart begins from the start what was stopped half-way before. So does a round a
	// day after that.
	Restart bool

	// Repaired says that the replicas have what they should, after a change of the
	// replication of the keyspace. Without it nothing is changed that is found then.
	Repaired bool

	// Report hears how far it is, up to five times a second, one call after the
	// other. It may be nil.
	Report func(Progress)

	pause *pause
}

const (
	roundAge    = 24 * time.Hour
	minRoundAge = time.Hour
	roundRate   = 5000
)

// check refuses what would lose mail.
func (o RoundOptions) check() error {
	if o.Age != 0 && o.Age < minRoundAge {
		return fmt.Errorf("an age of %s: a delivery may take that long, at least %s is needed", o.Age, minRoundAge)
	}
	return nil
}

// Progress is how far a sweep or a repair is.
type Progress struct {
	Step, Steps int
	Table       string       // that the step reads
	Ring        float64      // how much of the ring the step has been round, 0 to 1
	Rows        int64        // read in all steps
	Rate        float64      // rows a second, of late
	Found       fmt.Stringer // so far
}

// ErrReplication is why a sweep or repair does not begin: the keyspace is replicated
// in another way than the last time. Where replicas were added, a majority of them may
// not have the old mail yet, and would say that it is nowhere.
var ErrReplication = errors.New("the replication of the keyspace has changed")

// ErrRunning is why a sweep or repair does not begin: there is one already.
var ErrRunning = errors.New("one is running already")

// A pause is how long a round waits for what. Tests have less patience.
type pause struct {
	claim  time.Duration // to see whether another process begins at the same time
	retry  time.Duration // after the first error
	settle time.Duration // until the content of what was just removed is released, too
	beat   time.Duration // between two signs of life
	report time.Duration // between two reports
}

var usualPause = &pause{
	claim:  time.Second,
	retry:  time.Second,
	settle: 30 * time.Second,
	beat:   20 * time.Second,
	report: 200 * time.Millisecond,
}

// silentBeats is how many signs of life may be missing until a round counts as one
// of a process that died.
const silentBeats = 6

// The ends of the ring. No partition is at the first one.
const (
	firstToken = math.MinInt64
	lastToken  = math.MaxInt64
)

// The table progress has a row for each kind of round, which says that one is
// running, or when the last one ended; while there is one that did not end, a row for
// each table that it has begun; and a row about the replication of the keyspace.
var (
	selectProgress = &statement{
		name: "progress select",
		cql:  `SELECT "token", started, updated, WRITETIME("token") FROM progress WHERE task = ?`,
	}
	insertProgress = &statement{
		name: "progress insert",
		cql:  `INSERT INTO progress (task, "token", started, updated) VALUES (?, ?, ?, ?)`,
	}
	deleteProgress = &statement{
		name: "progress delete",
		cql:  "DELETE FROM progress WHERE task = ?",
	}
)

// A task is a row of progress.
type task struct {
	token            int64 // everything up to it is done
	started, updated time.Time
}

// A ledger keeps tasks. Of two writes to a task the later one holds, whatever the
// clocks say, if it knew of the other.
type ledger struct {
	*session
	writes succession
}

// look asks every data centre, so that it also finds out whether all are there.
func (l *ledger) look(ctx context.Context, name string) (task, bool, error) {
	return l.lookAt(ctx, EachQuorum, name)
}

func (l *ledger) lookAt(ctx context.Context, level Consistency, name string) (t task, found bool, err error) {
	var written int64
	found, err = l.read(ctx, selectProgress, level, name).one(&t.token, &t.started, &t.updated, &written)
	l.writes.saw(writeTime(written))
	return t, found, err
}

func (l *ledger) now() writeTime { return l.writes.after(l.options.Now(), 0) }

func (l *ledger) note(ctx context.Context, name string, t task) error {
	return l.write(ctx, insertProgress, LocalQuorum, l.now(), name, t.token, t.started, t.updated)
}

func (l *ledger) forget(ctx context.Context, name string) error {
	return l.write(ctx, deleteProgress, LocalQuorum, l.now(), name)
}

// A round is one sweep or repair by this process. It belongs to one goroutine.
type round struct {
	*session
	name    string
	options RoundOptions
	pause   pause
	found   fmt.Stringer
	ledger  *ledger
	limiter *rate.Limiter
	metrics *roundMetrics

	began  time.Time
	cutoff time.Time // what is younger is left alone
	mark   int64     // of this round in the ledger

	replication string // of the keyspace; empty where nothing is changed
	beats       sync.WaitGroup
	rest        context.CancelFunc // ends them

	steps, step int
	table       string
	keeps       bool     // progress has how far the table was read
	reached     int64    // so far
	tables      []string // that progress has
	saved       time.Time

	left     atomic.Int64 // questions that not every replica answered
	rows     int64
	waited   time.Duration // for the limiter
	ring     float64
	reported time.Time
	lately   []sample
}

// A sample is how many rows had been read at a time.
type sample struct {
	at   time.Time
	rows int64
}

// begin starts a round of so many steps, or fails with ErrRunning where there is one
// of this name, or of another that does not get on with it. The caller ends it.
//
// A round that changes nothing has no others, and may see what it likes.
func (s *session) begin(ctx context.Context, name string, steps int, o RoundOptions, found fmt.Stringer, others ...string) (*round, error) {
	if o.Age == 0 {
		o.Age = roundAge
	}
	if o.Rate <= 0 {
		o.Rate = roundRate
	}
	if o.pause == nil {
		o.pause = usualPause
	}
	r := &round{
		session: s,
		name:    name,
		options: o,
		pause:   *o.pause,
		found:   found,
		ledger:  &ledger{session: s},
		limiter: rate.NewLimiter(rate.Limit(o.Rate), max(o.Rate/10, 1)),
		metrics: roundMetricsOf(s.options.Registerer),
		steps:   steps,
		mark:    rand.Int64N(lastToken),
	}
	if err := r.claim(ctx, others); err != nil {
		return nil, err
	}
	beating, rest := context.WithCancel(ctx)
	r.rest = rest
	r.beats.Go(func() { r.beat(beating) })
	return r, nil
}

// claim begins, unless somebody else has. Two that begin at the same time see each
// other after a while, and one of them or both give way. Were there still two at
// once, they would do the same work twice, and no harm.
func (r *round) claim(ctx context.Context, others []string) error {
	if err := r.checkClock(); err != nil { // which says how old a message is
		return err
	}
	r.began = r.session.options.Now()
	r.cutoff = r.began.Add(-r.options.Age)
	for _, name := range append(others, r.name) {
		if err := r.alone(ctx, name); err != nil {
			return err
		}
	}
	if len(others) > 0 {
		if err := r.checkReplication(ctx); err != nil {
			return err
		}
	}
	if err := r.ledger.note(ctx, r.name, r.running()); err != nil {
		return err
	}
	err := wait(ctx, r.pause.claim)
	if err == nil {
		mine, found, looked := r.ledger.look(ctx, r.name)
		if looked == nil && (!found || mine.token != r.mark) {
			return fmt.Errorf("%s: %w", r.name, ErrRunning)
		}
		err = looked
	}
	for _, name := range others {
		if err == nil {
			err = r.alone(ctx, name)
		}
	}
	if err != nil {
		r.giveUp(ctx)
	}
	return err
}

// giveUp makes place for another round.
func (r *round) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := r.ledger.forget(ctx, r.name); err != nil {
		r.session.options.Log.Debug("progress not kept", "task", r.name, "err", err)
	}
}

// replicationTask is the row that has, in the place of a token, a number that stands
// for the replication of the keyspace.
const replicationTask = "replication"

// checkReplication fails with ErrReplication where the keyspace is replicated in
// another way than when something was last changed, unless it was repaired since. The
// row about that may be missing where the old mail is: before this is the first time,
// every replica has to say so.
func (r *round) checkReplication(ctx context.Context) (err error) {
	if r.replication, err = r.replicated(ctx); err != nil {
		return err
	}
	hash := fnv.New64a()
	hash.Write([]byte(r.replication))
	now := r.session.options.Now()
	is := task{token: int64(hash.Sum64()), started: now, updated: now}

	was, found, err := r.ledger.look(ctx, replicationTask)
	if err == nil && !found {
		was, found, err = r.ledger.lookAt(ctx, everyReplica, replicationTask)
	}
	switch {
	case err != nil:
		return err
	case found && was.token == is.token:
		return nil
	case found && !r.options.Repaired:
		return fmt.Errorf("%w since %s, it is %s now: where replicas were added, a majority of them may not have the old mail yet; run nodetool repair on their nodes, or rebuild, and then say so (--repaired)",
			ErrReplication, was.updated.Format(time.DateTime), r.replication)
	}
	return r.ledger.note(ctx, replicationTask, is)
}

// replicated is how the keyspace is.
func (r *round) replicated(ctx context.Context) (string, error) {
	options := make(map[string]string)
	if _, err := r.read(ctx, replicationRead, LocalQuorum, r.session.options.Keyspace).one(&options); err != nil {
		return "", err
	}
	var parts []string
	for name, value := range options {
		if name == "class" {
			value = value[strings.LastIndexByte(value, '.')+1:]
		}
		parts = append(parts, name+":"+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, " "), nil
}

// sure fails where it is not certain any more that what was found may be changed: the
// age of messages is told by the clock, and what is nowhere by the replicas.
func (r *round) sure(ctx context.Context) error {
	if err := r.checkClock(); err != nil || r.replication == "" {
		return err
	}
	is, err := r.replicated(ctx)
	if err == nil && is != r.replication {
		err = fmt.Errorf("%w meanwhile, from %s to %s", ErrReplication, r.replication, is)
	}
	return err
}

// alone fails with ErrRunning where a round of a name is running.
func (r *round) alone(ctx context.Context, name string) error {
	t, found, err := r.ledger.look(ctx, name)
	if err != nil || !found || t.token == lastToken {
		return err
	}
	dead := t.updated.Add(silentBeats * r.pause.beat)
	if !r.session.options.Now().Before(dead) {
		return nil
	}
	return fmt.Errorf("%s: %w: it began at %s and gave the last sign of life at %s; if its process died, wait until %s",
		name, ErrRunning, t.started.Format(time.DateTime), t.updated.Format(time.TimeOnly), dead.Format(time.TimeOnly))
}

// running is the task of a round that did not end. In the place of a token it has a
// number of its own.
func (r *round) running() task {
	return task{token: r.mark, started: r.began, updated: r.session.options.Now()}
}

// beat gives signs of life.
func (r *round) beat(ctx context.Context) {
	tick := time.NewTicker(r.pause.beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.ledger.note(ctx, r.name, r.running()); err != nil && ctx.Err() == nil {
			r.session.options.Log.Debug("progress not kept", "task", r.name, "err", err)
		}
	}
}

// endTimeout is how long it may take to write how far a round came.
const endTimeout = 5 * time.Second

// end notes how far the round came, also after the end of the context, and says what
// stopped it. It is called whatever that was.
func (r *round) end(ctx context.Context, err error) error {
	r.rest()
	r.beats.Wait()
	r.report(true)
	if n := r.left.Load(); n > 0 {
		r.session.options.Log.Warn("some is left as it is: not every replica could be asked", "task", r.name, "questions", n)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err == nil {
		for _, table := range r.tables {
			err = errors.Join(err, r.ledger.forget(ctx, r.taskOf(table)))
		}
		last := r.running()
		last.token = lastToken
		r.metrics.finish(r.name, last.updated)
		return errors.Join(err, r.ledger.note(ctx, r.name, last))
	}
	if r.keeps {
		r.save(ctx)
	}
	r.giveUp(ctx)
	return stopped(err)
}

// stopped says what to do about an error that ended a round.
func stopped(err error) error {
	var f *failure
	if errors.As(err, &f) && slices.Contains([]outcome{unavailable, timedOut, overloaded}, f.outcome) {
		return fmt.Errorf("nothing is decided without a majority of the replicas in every data centre, which cannot be had now: %w", err)
	}
	return err
}

func (r *round) taskOf(table string) string { return r.name + " " + table }

// enter begins a step: to read a table, from where the last round was stopped if it
// was not to its end, and not long ago. It is logged as a warning, so that also who gives
// the command hears that not all is looked at.
func (r *round) enter(ctx context.Context, table string) (from int64, err error) {
	t, err := r.progress(ctx, table)
	if err != nil {
		return firstToken, err
	}
	if from = t.token; from > firstToken {
		r.session.options.Log.Warn("goes on where it was stopped", "task", r.name, "table", table,
			"skipped", fmt.Sprintf("%.0f%%", 100*ringAt(from)), "stopped", t.updated)
	}
	r.pass(table)
	r.reached, r.keeps = from, true
	r.tables = append(r.tables, table)
	return from, nil
}

// pass begins a step that is always a whole one.
func (r *round) pass(table string) {
	r.step++
	r.table, r.keeps, r.ring = table, false, 0
}

// goesOn is how long after a round was stopped another one goes on where it was. What was
// looked at before that may be another by then.
const goesOn = 24 * time.Hour

// progress is how far a round that did not end came with a table.
func (r *round) progress(ctx context.Context, table string) (task, error) {
	t, found, err := task{}, false, error(nil)
	if !r.options.Restart {
		t, found, err = r.ledger.look(ctx, r.taskOf(table))
	}
	if err != nil || !found || t.updated.Before(r.began.Add(-goesOn)) {
		return task{token: firstToken}, err
	}
	return t, nil
}

// saveInterval is how often at most it is written how far a round came.
const saveInterval = 5 * time.Second

// reach says that everything up to a token is settled.
func (r *round) reach(ctx context.Context, token int64) {
	if !r.keeps || token <= r.reached {
		return
	}
	r.reached = token
	if token == lastToken || time.Since(r.saved) >= saveInterval {
		r.save(ctx)
	}
}

// save writes how far the round came. Where that fails, some of the work will be
// done once more.
func (r *round) save(ctx context.Context) {
	r.saved = time.Now()
	t := task{token: r.reached, started: r.began, updated: r.session.options.Now()}
	if err := r.ledger.note(ctx, r.taskOf(r.table), t); err != nil {
		r.session.options.Log.Debug("progress not kept", "task", r.taskOf(r.table), "err", err)
	}
}

// row counts one that was read at a place of the ring, and waits for its turn.
func (r *round) row(ctx context.Context, token int64) error {
	began := time.Now()
	if err := r.limiter.Wait(ctx); err != nil {
		return unlessEnded(ctx, err)
	}
	r.waited += time.Since(began)
	r.rows++
	r.ring = ringAt(token)
	r.report(false)
	return nil
}

// ringAt is how much of the ring lies before a token.
func ringAt(token int64) float64 {
	return float64(uint64(token)-1<<63) / (1 << 64)
}

// lateness is what "of late" means.
const lateness = 5 * time.Second

// report tells how far the round is, if that is due.
func (r *round) report(now bool) {
	if !now && time.Since(r.reported) < r.pause.report {
		return
	}
	r.reported = time.Now()
	r.lately = append(r.lately, sample{r.reported, r.rows})
	for len(r.lately) > 2 && r.reported.Sub(r.lately[1].at) > lateness {
		r.lately = r.lately[1:]
	}
	r.metrics.ring.WithLabelValues(r.name).Set((float64(r.step-1) + r.ring) / float64(r.steps))
	if r.options.Report == nil {
		return
	}
	p := Progress{Step: r.step, Steps: r.steps, Table: r.table, Ring: r.ring, Rows: r.rows, Found: r.found}
	if first := r.lately[0]; r.reported.After(first.at) {
		p.Rate = float64(r.rows-first.rows) / r.reported.Sub(first.at).Seconds()
	}
	r.options.Report(p)
}

// patiently does something again, a few times, where that may help.
func (r *round) patiently(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == maxTries || !errors.Is(err, mailbox.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if wait(ctx, r.pause.retry<<(try-1)) != nil {
			return err
		}
	}
}

// maxTries is how often something is tried before the round is stopped.
const maxTries = 5

// wait waits, or fails when the context ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, context.Cause(ctx))
	}
}

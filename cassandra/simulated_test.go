package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

// A simulatedCluster is two data centres as the code of maildrops sees them, in virtual
// time. What a statement at LOCAL_QUORUM does in its data centre is seen by every
// later one there, and reaches the other data centre after a while, or after a cut.
type simulatedCluster struct {
	seed    uint64
	start   time.Time
	cuts    []cut
	centres [2]*simulatedDatacenter
	pending sync.WaitGroup // writes on their way
}

// A cut is a time during which nothing passes between the data centres. What was
// written then is handed over within five seconds of its end, in any order.
type cut struct{ begin, end time.Duration }

// A simulatedDatacenter keeps, of two writes to the same cell, the one with the later write
// timestamp, in whichever order they come; of two with the same, the delete, or the
// larger value.
type simulatedDatacenter struct {
	mu    sync.Mutex
	lanes map[laneKey]*simulatedLane
}

type laneKey struct {
	drop mailbox.MaildropID
	lane mailbox.MessageID
}

type simulatedLane struct {
	lines         map[int64]simulatedLine
	ranges        ranges              // of lines, and of contents
	contents      map[int64]writeTime // that are kept with lines
	torn          bool                // a line was read without its content, or the other way round
	register      []byte
	registerAt    writeTime
	registerUntil time.Time // and its timestamp is kept
}

type simulatedLine struct {
	message mailbox.Message
	at      writeTime
}

type simulatedRange struct {
	run
	at writeTime
}

// ranges are what was deleted, none within one that is as late.
type ranges []simulatedRange

func newCluster(seed uint64, cuts ...cut) *simulatedCluster {
	c := &simulatedCluster{seed: seed, start: time.Now(), cuts: cuts}
	for i := range c.centres {
		c.centres[i] = &simulatedDatacenter{lanes: make(map[laneKey]*simulatedLane)}
	}
	return c
}

// dice makes up what happens on one occasion, the same in each run with the seed.
func (c *simulatedCluster) dice(occasion ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, time.Since(c.start), occasion)
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// A mutation is a write to one partition, which a data centre has whole or not.
type mutation struct {
	drop     mailbox.MaildropID
	line     *simulatedLine
	removals []removal
	written  time.Time
}

func (m mutation) String() string {
	if m.line != nil {
		return fmt.Sprint("insert", m.drop, m.line.message.Place.Ord)
	}
	return fmt.Sprint("remove", m.drop, m.removals[0].ranges)
}

func (d *simulatedDatacenter) lane(key laneKey) *simulatedLane {
	l := d.lanes[key]
	if l == nil {
		l = &simulatedLane{lines: make(map[int64]simulatedLine), contents: make(map[int64]writeTime)}
		d.lanes[key] = l
	}
	return l
}

func (d *simulatedDatacenter) apply(m mutation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.line != nil {
		l := d.lane(laneKey{m.drop, m.line.message.Place.Lane})
		ord := m.line.message.Place.Ord
		if old, ok := l.lines[ord]; !ok || m.line.later(old) {
			l.lines[ord] = *m.line
		}
		if m.line.message.Inline != "" {
			l.contents[ord] = max(l.contents[ord], m.line.at)
		}
	}
	for _, r := range m.removals {
		l := d.lane(laneKey{m.drop, r.lane})
		for _, gone := range r.ranges {
			l.ranges.add(simulatedRange{gone, r.at})
		}
		if r.register != nil && (r.registerAt > l.registerAt || r.registerAt == l.registerAt && bytes.Compare(r.register, l.register) > 0) {
			l.register, l.registerAt, l.registerUntil = r.register, r.registerAt, m.written.Add(r.registerLife)
		}
	}
}

func (l simulatedLine) later(old simulatedLine) bool {
	return l.at > old.at || l.at == old.at && bytes.Compare(l.message.ID[:], old.message.ID[:]) > 0
}

func (all *ranges) add(r simulatedRange) {
	within := func(a, b simulatedRange) bool { return b.first <= a.first && a.last <= b.last && a.at <= b.at }
	if slices.ContainsFunc(*all, func(old simulatedRange) bool { return within(r, old) }) {
		return
	}
	*all = append(slices.DeleteFunc(*all, func(old simulatedRange) bool { return within(old, r) }), r)
}

// cover reports whether what was written at a time to an ordinal is deleted.
func (all ranges) cover(ord int64, at writeTime) bool {
	return slices.ContainsFunc(all, func(r simulatedRange) bool { return r.first <= ord && ord <= r.last && at <= r.at })
}

// live are the lines that are not deleted.
func (l *simulatedLane) live() (lines []mailbox.Message) {
	for ord, line := range l.lines {
		if !l.ranges.cover(ord, line.at) {
			line.message.Inline = ""
			lines = append(lines, line.message)
		}
	}
	slices.SortFunc(lines, func(a, b mailbox.Message) int { return int(a.Place.Ord - b.Place.Ord) })
	return lines
}

// look is live, and notes whether there are just the contents of those.
func (l *simulatedLane) look() []mailbox.Message {
	lines, left := l.live(), 0
	for ord, at := range l.contents {
		if !l.ranges.cover(ord, at) {
			left++
		}
	}
	for _, m := range lines {
		if !m.Place.HasContent() {
			continue
		}
		left--
		if at, ok := l.contents[m.Place.Ord]; !ok || l.ranges.cover(m.Place.Ord, at) {
			l.torn = true
		}
	}
	l.torn = l.torn || left != 0
	return lines
}

// tombstones is how many of them a read of the whole lane passes: one where a
// deleted range begins, where it ends, and where the timestamp changes within it.
func (l *simulatedLane) tombstones() (markers int) {
	deletedAt := func(ord int64) (at writeTime) {
		for _, r := range l.ranges {
			if r.first <= ord && ord <= r.last {
				at = max(at, r.at)
			}
		}
		return at
	}
	var edges []int64
	for _, r := range l.ranges {
		edges = append(edges, r.first, r.last+1)
	}
	slices.Sort(edges)
	for _, ord := range slices.Compact(edges) {
		if deletedAt(ord) != deletedAt(ord-1) {
			markers++
		}
	}
	return markers
}

// A simulatedClient is the way of one process to its data centre. It is a projection.
type simulatedClient struct {
	*simulatedCluster
	centre int
}

var errSimulated = fmt.Errorf("no answer: %w", mailbox.ErrUnavailable)

// pause waits for what is usual, and now and then for longer.
func (c *simulatedClient) pause(ctx context.Context, dice *rand.Rand) error {
	d := time.Duration(dice.ExpFloat64() * float64(2*time.Millisecond))
	if dice.IntN(50) == 0 {
		d += time.Duration(dice.IntN(1000)) * time.Millisecond
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(errSimulated, ctx.Err())
	}
}

// write has a mutation carried out. One write in ten fails: it was carried out all
// the same, or will be later, or never.
func (c *simulatedClient) write(ctx context.Context, m mutation) error {
	dice := c.dice(c.centre, m)
	if err := c.pause(ctx, dice); err != nil {
		return err
	}
	switch dice.IntN(30) {
	case 0:
		return errSimulated
	case 1:
		c.carryOut(m, dice)
		return errSimulated
	case 2:
		c.pending.Go(func() {
			time.Sleep(time.Duration(dice.IntN(30_000)) * time.Millisecond)
			c.carryOut(m, dice)
		})
		return errSimulated
	}
	c.carryOut(m, dice)
	return c.pause(ctx, dice)
}

func (c *simulatedClient) carryOut(m mutation, dice *rand.Rand) {
	m.written = time.Now()
	c.centres[c.centre].apply(m)
	arrives := time.Since(c.start) + time.Duration(dice.ExpFloat64()*float64(30*time.Millisecond))
	for _, cut := range c.cuts {
		if cut.begin <= arrives && arrives < cut.end {
			arrives = cut.end + time.Duration(dice.IntN(5000))*time.Millisecond
		}
	}
	c.pending.Go(func() {
		time.Sleep(time.Until(c.start.Add(arrives)))
		c.centres[1-c.centre].apply(m)
	})
}

// read looks at the lanes of a maildrop at one moment.
func (c *simulatedClient) read(ctx context.Context, what string, drop mailbox.MaildropID, look func(mailbox.MessageID, *simulatedLane)) error {
	dice := c.dice(c.centre, what, drop)
	if err := c.pause(ctx, dice); err != nil {
		return err
	}
	if dice.IntN(50) == 0 {
		return errSimulated
	}
	d := c.centres[c.centre]
	d.mu.Lock()
	for key, l := range d.lanes {
		if key.drop == drop {
			look(key.lane, l)
		}
	}
	d.mu.Unlock()
	return c.pause(ctx, dice)
}

func (c *simulatedClient) insert(ctx context.Context, e mailbox.Entry, at writeTime, _ time.Duration) error {
	return c.write(ctx, mutation{drop: e.Maildrop, line: &simulatedLine{e.Message, at}})
}

func (c *simulatedClient) list(ctx context.Context, drop mailbox.MaildropID, prune pruning) (lines []mailbox.Message, err error) {
	err = c.read(ctx, "list", drop, func(_ mailbox.MessageID, l *simulatedLane) { lines = append(prune(lines), l.look()...) })
	return lines, err
}

func (c *simulatedClient) registers(ctx context.Context, drop mailbox.MaildropID, lanes []mailbox.MessageID) (map[mailbox.MessageID][]byte, error) {
	found := make(map[mailbox.MessageID][]byte)
	err := c.read(ctx, "registers", drop, func(lane mailbox.MessageID, l *simulatedLane) {
		if time.Now().Before(l.registerUntil) && slices.Contains(lanes, lane) {
			found[lane] = l.register
		}
	})
	return found, err
}

func (c *simulatedClient) remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error {
	return c.write(ctx, mutation{drop: drop, removals: removals})
}

// atRest is a data centre alone, without delays and failures.
type atRest struct{ *simulatedDatacenter }

func (d atRest) list(ctx context.Context, drop mailbox.MaildropID, prune pruning) (lines []mailbox.Message, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, l := range d.lanes {
		if key.drop == drop {
			lines = append(prune(lines), l.look()...)
		}
	}
	return lines, ctx.Err()
}

func (d atRest) registers(ctx context.Context, drop mailbox.MaildropID, lanes []mailbox.MessageID) (map[mailbox.MessageID][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := make(map[mailbox.MessageID][]byte)
	for _, lane := range lanes {
		if l := d.lanes[laneKey{drop, lane}]; l != nil && time.Now().Before(l.registerUntil) {
			found[lane] = l.register
		}
	}
	return found, ctx.Err()
}

func (d atRest) insert(ctx context.Context, e mailbox.Entry, at writeTime, _ time.Duration) error {
	if ctx.Err() == nil {
		d.apply(mutation{drop: e.Maildrop, line: &simulatedLine{e.Message, at}})
	}
	return ctx.Err()
}

func (d atRest) remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error {
	if ctx.Err() == nil {
		d.apply(mutation{drop: drop, removals: removals, written: time.Now()})
	}
	return ctx.Err()
}

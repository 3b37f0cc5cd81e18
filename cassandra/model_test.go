package cassandra

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
)

var modelRuns = flag.Int("model.runs", 20, "how many histories the model of lanes makes up for each setting")

// A setting is what a history is made up of.
type setting struct {
	skew time.Duration // how far the clock of a process may be off, either way

	// A fault is put between the code and the table, or into the process, to see
	// that the model notices.
	fault   func(p *process, table projection) projection
	mint    func(p *process) mailbox.MessageID // of lanes
	refused func(p *process, e *mailbox.Entry) // after an addition failed
	forgets bool                               // what is delivered again has lost its place
}

// A history is what happened in two minutes to two maildrops that several processes
// in two data centres deliver to and read, and what each was told.
type history struct {
	setting
	*simulatedCluster
	rand      *rand.Rand // of what happens, when and where
	drops     [2]mailbox.MaildropID
	processes []*process

	mu       sync.Mutex
	lines    map[lineKey]*lineHistory
	findings []string
}

type lineKey struct {
	drop mailbox.MaildropID
	id   mailbox.MessageID
}

// A lineHistory is what was said about one message in one maildrop. The times are
// those of the answer, by data centre, and zero where there was none.
type lineHistory struct {
	message  mailbox.Message
	accepted [2]time.Time
	asked    bool // somebody has begun to remove it
	removed  [2]time.Time
}

// A process delivers and reads in one data centre, by a clock of its own.
type process struct {
	*history
	n      int
	client *simulatedClient
	skew   time.Duration
	ids    mailbox.MessageIDs
	store  atomic.Pointer[maildrops]
}

func (p *process) now() time.Time { return time.Now().Add(p.skew) }

// restart is a new life of the process: nothing is remembered of its lanes.
func (p *process) restart() {
	mint := p.ids.Next
	if p.mint != nil {
		mint = func() mailbox.MessageID { return p.mint(p) }
	}
	var table projection = p.client
	if p.fault != nil {
		table = p.fault(p, table)
	}
	p.store.Store(&maildrops{table: table, writer: newWriter(mint, maxLanes), now: p.now})
}

const modelTime = 2 * time.Minute

// newHistory lets it happen, and waits until everything that was written is
// everywhere. Call it in a bubble.
func newHistory(s setting, seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 0))
	begin := time.Duration(10+r.IntN(50)) * time.Second
	h := &history{
		setting:          s,
		simulatedCluster: newCluster(seed, cut{begin, begin + time.Duration(5+r.IntN(35))*time.Second}),
		rand:             r,
		drops:            [2]mailbox.MaildropID{{1}, {2}},
		lines:            make(map[lineKey]*lineHistory),
	}
	for n := range 4 {
		p := &process{history: h, n: n, client: &simulatedClient{h.simulatedCluster, n / 2}}
		p.skew = time.Duration((2*r.Float64() - 1) * float64(s.skew))
		p.ids.Now = p.now
		p.restart()
		h.processes = append(h.processes, p)
	}
	var all sync.WaitGroup
	every := func(mean time.Duration, what func(p *process, dice *rand.Rand)) {
		all.Go(func() {
			for n := 0; ; n++ {
				dice := h.dice("every", mean, n)
				time.Sleep(time.Duration(dice.ExpFloat64() * float64(mean)))
				if time.Since(h.start) > modelTime {
					return
				}
				all.Go(func() { what(h.processes[dice.IntN(len(h.processes))], dice) })
			}
		})
	}
	every(time.Second/6, (*process).deliver)
	every(2*time.Second, (*process).session)
	every(8*time.Second, func(p *process, _ *rand.Rand) { p.restart() })
	all.Wait()
	h.pending.Wait()
	h.check()
	return h
}

func (h *history) find(format string, args ...any) {
	h.findings = append(h.findings, fmt.Sprintf(format, args...))
}

// deliver adds a message to one maildrop or to both, some time after its id was
// made, as the content is written in between. What fails is withdrawn, as a rule,
// and what succeeds is now and then added once more.
func (p *process) deliver(dice *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	store := p.store.Load()
	message := mailbox.Message{ID: p.ids.Next(), Octets: int64(dice.IntN(1 << 20)), Recipients: 1}
	var entries []mailbox.Entry
	for i, drop := range p.drops {
		if i == 0 || dice.IntN(8) == 0 {
			entries = append(entries, mailbox.Entry{Maildrop: drop, Message: message})
		}
	}
	if len(entries) == 1 && dice.IntN(2) == 0 {
		entries[0].Message.Inline = "a content"
	}
	time.Sleep([]time.Duration{2 * time.Millisecond, 10 * time.Millisecond, 200 * time.Millisecond, time.Second}[dice.IntN(4)])
	for _, e := range entries {
		p.told(e, func(*lineHistory) {}) // from here on it may be listed
	}
	if err := store.Add(ctx, entries); err != nil {
		for _, e := range entries {
			if p.refused != nil {
				p.refused(p, &e)
			}
			if dice.IntN(10) > 0 {
				p.remove(store, e.Maildrop, e.Message)
			}
		}
		return
	}
	for _, e := range entries {
		p.told(e, func(l *lineHistory) { l.accepted[p.client.centre] = time.Now() })
	}
	if dice.IntN(20) == 0 {
		time.Sleep(time.Duration(500+dice.IntN(30_000)) * time.Millisecond)
		if p.forgets {
			for i := range entries {
				entries[i].Message.Place = mailbox.Place{}
			}
		}
		again, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = store.Add(again, entries) // the first was promised already
	}
}

// told notes what was said about a line.
func (h *history) told(e mailbox.Entry, what func(*lineHistory)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := lineKey{e.Maildrop, e.Message.ID}
	if h.lines[key] == nil {
		h.lines[key] = &lineHistory{message: e.Message}
	}
	what(h.lines[key])
}

// session lists a maildrop, looks at it for a while and removes all of it, or some.
func (p *process) session(dice *rand.Rand) {
	store, drop := p.store.Load(), p.drops[min(1, dice.IntN(4))^1]
	list, err := p.listChecked(store, drop)
	if err != nil {
		return
	}
	think := time.Duration(50+dice.IntN(2000)) * time.Millisecond
	if dice.IntN(10) == 0 {
		think = time.Duration(dice.IntN(30)) * time.Second
	}
	time.Sleep(think)
	if dice.IntN(5) == 0 {
		list = slices.DeleteFunc(slices.Clone(list), func(mailbox.Message) bool { return dice.IntN(3) == 0 })
	}
	if dice.IntN(10) == 0 {
		for i := range list {
			list[i].Place = mailbox.Place{}
		}
	}
	p.remove(store, drop, list...)
}

// remove removes messages, and tries once more where that fails.
func (p *process) remove(store *maildrops, drop mailbox.MaildropID, messages ...mailbox.Message) {
	for _, m := range messages {
		p.told(mailbox.Entry{Maildrop: drop, Message: m}, func(l *lineHistory) { l.asked = true })
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := store.Remove(ctx, drop, messages...)
		cancel()
		if err != nil {
			continue
		}
		for _, m := range messages {
			p.told(mailbox.Entry{Maildrop: drop, Message: m}, func(l *lineHistory) { l.removed[p.client.centre] = time.Now() })
		}
		return
	}
}

// listChecked is a listing of which everything is right that was known before.
func (p *process) listChecked(store *maildrops, drop mailbox.MaildropID) ([]mailbox.Message, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := store.List(ctx, drop)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkList(list, drop, p.client.centre, began)
	return list, nil
}

// checkList compares a listing with what was said in its data centre before it
// began: what was accepted is there unless somebody has asked to remove it, and
// what was removed is not.
func (h *history) checkList(list []mailbox.Message, drop mailbox.MaildropID, centre int, began time.Time) {
	listed := make(map[mailbox.MessageID]bool)
	for i, m := range list {
		listed[m.ID] = true
		if i > 0 && list[i-1].ID.Compare(m.ID) >= 0 {
			h.find("out of order: %v", m)
		}
		l := h.lines[lineKey{drop, m.ID}]
		if l != nil && (m.Octets != l.message.Octets || m.Recipients != l.message.Recipients) {
			h.find("listed otherwise than it was added: %v", m)
		}
		if l != nil && before(l.removed[centre], began) {
			h.find("back after it was removed: %v", m)
		}
	}
	for key, l := range h.lines {
		if key.drop == drop && before(l.accepted[centre], began) && !l.asked && !listed[key.id] {
			h.find("accepted and not listed: %v", l.message)
		}
	}
}

func before(a, b time.Time) bool { return !a.IsZero() && a.Before(b) }

// check looks at the end, when nothing is on its way any more.
func (h *history) check() {
	for centre := range h.centres {
		reader := &maildrops{table: atRest{h.centres[centre]}, now: time.Now}
		for _, drop := range h.drops {
			list, err := reader.List(context.Background(), drop)
			if err != nil {
				panic(err)
			}
			// What was said in one data centre holds in both.
			for other := range h.centres {
				h.checkList(list, drop, other, time.Now())
			}
			for _, l := range list {
				if h.lines[lineKey{drop, l.ID}] == nil {
					h.find("listed and never added: %v", l)
				}
			}
		}
	}
	for key, l := range h.centres[0].lanes {
		other := h.centres[1].lane(key)
		if !slices.Equal(l.live(), other.live()) || string(l.register) != string(other.register) {
			h.find("the data centres differ")
		}
		if l.torn || other.torn {
			h.find("a line without its content, or the other way round")
		}
	}
}

// A tally adds up histories.
type tally struct {
	histories, accepted, removed int

	// What is in the table in the end: ranges that are deleted, the tombstones that
	// they are for a listing, and registers.
	ranges, tombstones, registers int

	findings []string
}

// play lets a number of histories of a setting happen, fewer where stop says so.
func play(t *testing.T, s setting, runs int, stop func(tally) bool) (sum tally) {
	for seed := range uint64(runs) {
		synctest.Test(t, func(*testing.T) {
			h := newHistory(s, seed)
			sum.histories++
			for _, l := range h.lines {
				if l.accepted != [2]time.Time{} {
					sum.accepted++
				}
				if l.removed != [2]time.Time{} {
					sum.removed++
				}
			}
			for _, l := range h.centres[0].lanes {
				sum.ranges += len(l.ranges)
				sum.tombstones += l.tombstones()
				if l.register != nil {
					sum.registers++
				}
			}
			for _, f := range h.findings {
				sum.findings = append(sum.findings, fmt.Sprintf("history %d: %s", seed, f))
			}
		})
		if stop(sum) {
			break
		}
	}
	return sum
}

func toTheEnd(tally) bool { return false }

func found(sum tally) bool { return len(sum.findings) > 0 }

// settings are the clocks that every history has to cope with.
var settings = map[string]setting{
	"clocks 0.3 s off": {skew: 300 * time.Millisecond},
	"clocks 10 s off":  {skew: 10 * time.Second},
	"registers that are forgotten after 10 s": {skew: 300 * time.Millisecond, fault: removals(func(_ *process, r removal) removal {
		r.registerLife = 10 * time.Second
		return r
	})},
}

// TestNothingAcceptedIsLostAndNothingRemovedComesBack lets the code of lanes run on
// two simulated data centres: with writes that fail, come late or twice, a link that
// is cut, sessions that overlap and leave mail behind, processes that start again
// and clocks that are off.
func TestNothingAcceptedIsLostAndNothingRemovedComesBack(t *testing.T) {
	for name, s := range settings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum := play(t, s, *modelRuns, found)
			for _, f := range sum.findings[:min(10, len(sum.findings))] {
				t.Error(f)
			}
			t.Logf("%d histories: %d accepted, %d removed", sum.histories, sum.accepted, sum.removed)
		})
	}
}

func TestAHistoryOfTheModelCanBeRepeated(t *testing.T) {
	t.Parallel()
	first, second := play(t, settings["clocks 0.3 s off"], 3, toTheEnd), play(t, settings["clocks 0.3 s off"], 3, toTheEnd)
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("the same seeds made %v and %v", first, second)
	}
}

// A change is put between the code of lanes and the table.
type change struct {
	projection
	insertAt func(at writeTime) writeTime
	removal  func(r removal) removal
}

func (c change) insert(ctx context.Context, e mailbox.Entry, at writeTime, life time.Duration) error {
	if c.insertAt != nil {
		at = c.insertAt(at)
	}
	return c.projection.insert(ctx, e, at, life)
}

func (c change) remove(ctx context.Context, drop mailbox.MaildropID, removals []removal) error {
	changed := slices.Clone(removals)
	for i, r := range removals {
		if c.removal != nil {
			changed[i] = c.removal(r)
		}
	}
	return c.projection.remove(ctx, drop, changed)
}

// removals is a fault of removals.
func removals(f func(p *process, r removal) removal) func(*process, projection) projection {
	return func(p *process, table projection) projection {
		return change{table, nil, func(r removal) removal { return f(p, r) }}
	}
}

// lineFirst writes a line and its content one after the other.
type lineFirst struct{ projection }

func (f lineFirst) insert(ctx context.Context, e mailbox.Entry, at writeTime, life time.Duration) error {
	alone := e
	alone.Message.Inline = ""
	if err := f.projection.insert(ctx, alone, at, life); err != nil || e.Message.Inline == "" {
		return err
	}
	return f.projection.insert(ctx, e, at, life)
}

func clockTime(p *process) writeTime { return writeTime(p.now().UnixMicro()) }

// faults are what the rules of lanes are there to prevent.
var faults = map[string]setting{
	"a range goes down to the first ordinal, seen or not": {fault: removals(func(_ *process, r removal) removal {
		r.ranges = runs{{0, r.ranges[len(r.ranges)-1].last}}
		return r
	})},
	"a range goes across what was left between": {fault: removals(func(_ *process, r removal) removal {
		r.ranges = runs{{r.ranges[0].first, r.ranges[len(r.ranges)-1].last}}
		return r
	})},
	"a register names what was not seen": {fault: removals(func(_ *process, r removal) removal {
		dead := runs{{0, r.ranges[len(r.ranges)-1].last}}
		r.register, r.registerAt = dead.encode(), registeredAt(r.lane, dead)
		return r
	})},
	"a register is there and the delete is not": {fault: removals(func(_ *process, r removal) removal {
		r.ranges = r.ranges[:len(r.ranges)-1]
		return r
	})},
	"a delete has the time of the clock": {fault: removals(func(p *process, r removal) removal {
		r.at = clockTime(p)
		return r
	})},
	"an insert has the time of its arrival": {fault: func(p *process, table projection) projection {
		return change{table, func(writeTime) writeTime { return clockTime(p) }, nil}
	}},
	"a line is there before its content":          {fault: func(_ *process, table projection) projection { return lineFirst{table} }},
	"all processes write to one lane":             {mint: func(*process) mailbox.MessageID { return laneOne(0) }},
	"a process goes on in its lane after a start": {mint: func(p *process) mailbox.MessageID { return laneOne(p.n) }},
	"an ordinal is used again after a failure": {refused: func(p *process, e *mailbox.Entry) {
		w := p.store.Load().writer
		w.mu.Lock()
		defer w.mu.Unlock()
		if open, ok := w.open[e.Maildrop]; ok && open.Value.(*lane).id == e.Message.Place.Lane {
			open.Value.(*lane).next = e.Message.Place.Ord
		}
	}},
	"what is added again has lost its place": {forgets: true},
	"what was refused is searched for":       {refused: func(_ *process, e *mailbox.Entry) { e.Message.Place = mailbox.Place{} }},
}

func laneOne(n int) mailbox.MessageID {
	return mailbox.MessageID{6: 0x10, 8: 0x80, 15: byte(n)}
}

func TestTheModelNoticesEachFault(t *testing.T) {
	for name, s := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.skew = 300 * time.Millisecond
			sum := play(t, s, 40, found)
			if !found(sum) {
				t.Fatalf("%d histories, and nothing was found", sum.histories)
			}
			t.Logf("%d findings in history %d, such as %s", len(sum.findings), sum.histories, sum.findings[0])
		})
	}
}

// waysToRemove are lanes and what they might be without.
var waysToRemove = []struct {
	name string
	setting
}{
	{"each message by itself", setting{fault: removals(func(_ *process, r removal) removal {
		var single runs
		for _, gone := range r.ranges {
			for ord := gone.first; ord <= gone.last; ord++ {
				single = append(single, run{ord, ord})
			}
		}
		r.ranges, r.register = single, nil
		return r
	})}},
	{"runs without a register", setting{fault: removals(func(_ *process, r removal) removal {
		r.register = nil
		return r
	})}},
	{"runs, the last register wins", setting{fault: removals(func(p *process, r removal) removal {
		r.registerAt = clockTime(p)
		return r
	})}},
	{"runs, registers", setting{}},
}

// TestRunsLeaveFewTombstones counts what a listing has to pass, in all of these ways:
// none of them loses a message.
func TestRunsLeaveFewTombstones(t *testing.T) {
	t.Parallel()
	counts := make([]tally, len(waysToRemove))
	var all sync.WaitGroup
	for i, way := range waysToRemove {
		all.Go(func() {
			way.skew = 300 * time.Millisecond
			counts[i] = play(t, way.setting, *modelRuns, toTheEnd)
		})
	}
	all.Wait()
	for i, way := range waysToRemove {
		sum := counts[i]
		t.Logf("%-29s %d accepted, %d removed; %d ranges are %d tombstones; %d registers",
			way.name, sum.accepted, sum.removed, sum.ranges, sum.tombstones, sum.registers)
		if found(sum) {
			t.Errorf("%s: %s", way.name, sum.findings[0])
		}
	}
	rows, lanes := counts[0], counts[len(counts)-1]
	if rows.ranges < rows.removed*9/10 || lanes.ranges > rows.ranges/10 {
		t.Errorf("lanes leave %d ranges of %d messages removed", lanes.ranges, rows.ranges)
	}
}

package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// impatient is the pause of a round in a test.
var impatient = &pause{
	claim:  20 * time.Millisecond,
	retry:  20 * time.Millisecond,
	settle: 10 * time.Millisecond,
	beat:   50 * time.Millisecond,
}

// A pile is a keyspace of its own with what crashes leave behind. What is made with
// the old ids is 30 hours old, with the young ones an hour.
type pile struct {
	*Store
	t          *testing.T
	cluster    *cassandratest.Cluster
	old, young *mailbox.MessageIDs
}

// The subtests share a keyspace and come one after the other, each on an empty one.
func TestSweep(t *testing.T) {
	p := newPile(t)
	p.run(t, "deletes what nobody can reach once it is old", (*pile).deletesWhatNobodyCanReach)
	p.run(t, "goes on where it was stopped", (*pile).goesOn)
	p.run(t, "goes on for a day after it was stopped", (*pile).goesOnForADay)
	p.run(t, "does not run beside another", (*pile).doesNotRunTwice)
	p.run(t, "of several that begin at once at most one runs", (*pile).beginsOnce)
	p.run(t, "stops where a majority is not there", (*pile).stopsWithoutMajority)
	p.run(t, "awaits repair after a change of the replication", (*pile).awaitsRepair)
	p.run(t, "shows what it does", (*pile).showsWhatItDoes)
	p.run(t, "loses nothing of what is delivered and removed meanwhile", (*pile).losesNothing)
}

func newPile(t *testing.T) *pile {
	t.Helper()
	c := cassandratest.Start(t)
	keyspace := c.Keyspace(t)
	if err := createTables(c, keyspace); err != nil {
		t.Fatal(err)
	}
	return &pile{
		Store:   openStore(t, optionsFor(c, c.Datacenters()[0], keyspace)),
		t:       t,
		cluster: c,
		old:     idsAgo(30 * time.Hour),
		young:   idsAgo(time.Hour),
	}
}

func (p *pile) run(t *testing.T, name string, test func(*pile)) {
	t.Run(name, func(t *testing.T) {
		p := *p
		p.t = t
		p.clear()
		test(&p)
	})
}

// clear deletes what earlier tests have made.
func (p *pile) clear() {
	p.t.Helper()
	db := p.cluster.Session(p.t, p.session.options.Datacenter, p.session.options.Keyspace)
	for table, key := range map[string]string{"message": "id", "message_done": "id", "maildrop": "maildrop", "maildrop_content": "maildrop", "maildrop_temp": "maildrop", "progress": "task"} {
		keys, err := db.Query("SELECT DISTINCT " + key + " FROM " + table).Iter().SliceMap()
		if err != nil {
			p.t.Fatal(err)
		}
		for _, row := range keys {
			if err := db.Query("DELETE FROM "+table+" WHERE "+key+" = ?", row[key]).Exec(); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// idsAgo mints ids as they were some time ago.
func idsAgo(ago time.Duration) *mailbox.MessageIDs {
	return &mailbox.MessageIDs{Now: func() time.Time { return time.Now().Add(-ago) }}
}

var smallLetter = []byte("Subject: hello\r\n\r\nworld\r\n")

// content puts a content and lists it nowhere.
func (p *pile) content(id mailbox.MessageID, drops ...mailbox.MaildropID) mailbox.MessageID {
	p.t.Helper()
	keep(p.t, p.Store, mailbox.Content{ID: id, Maildrops: drops}, smallLetter)
	return id
}

// torn is a content that was never committed.
func (p *pile) torn(id mailbox.MessageID) mailbox.MessageID {
	p.t.Helper()
	p.write(&permanentContents.insertPart, insertedAt(id), id, 0, smallLetter, 0)
	return id
}

func (p *pile) write(st *statement, at writeTime, args ...any) {
	p.t.Helper()
	if err := p.session.write(p.t.Context(), st, LocalQuorum, at, args...); err != nil {
		p.t.Fatal(err)
	}
}

// list lists a message, and returns it with its place.
func (p *pile) list(id mailbox.MessageID, drop mailbox.MaildropID) mailbox.Message {
	p.t.Helper()
	entries := []mailbox.Entry{{Maildrop: drop, Message: mailbox.Message{ID: id, Octets: int64(len(smallLetter)), Recipients: 1}}}
	if err := p.Store.Maildrops().Add(p.t.Context(), entries); err != nil {
		p.t.Fatal(err)
	}
	return entries[0].Message
}

// delivered is a message that is kept and listed as it should be.
func (p *pile) delivered(id mailbox.MessageID, drops ...mailbox.MaildropID) mailbox.MessageID {
	p.t.Helper()
	p.content(id, drops...)
	for _, drop := range drops {
		p.list(id, drop)
	}
	return id
}

// done notes that maildrops released a content.
func (p *pile) done(id mailbox.MessageID, drops ...mailbox.MaildropID) {
	p.t.Helper()
	for _, drop := range drops {
		p.write(insertDone, insertedAt(id), id, drop)
	}
}

// partitions is how many a table has.
func (p *pile) partitions(table string) (n int) {
	p.t.Helper()
	rows := p.session.read(p.t.Context(), &statement{name: "test partitions", cql: "SELECT DISTINCT id FROM " + table}, LocalQuorum)
	for rows.scan(nil) {
		n++
	}
	if err := rows.err(); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *pile) has(id mailbox.MessageID) bool {
	p.t.Helper()
	found, err := p.session.read(p.t.Context(), &statement{name: "test content", cql: "SELECT id FROM message WHERE id = ? LIMIT 1"}, LocalQuorum, id).one(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// check says whether contents are there.
func (p *pile) check(want bool, ids ...mailbox.MessageID) {
	p.t.Helper()
	for i, id := range ids {
		if p.has(id) != want {
			p.t.Errorf("content %d: there %t, want %t", i, !want, want)
		}
	}
}

// checkSweep sweeps, and compares the stats.
func (p *pile) checkSweep(o SweepOptions, want SweepStats) {
	p.t.Helper()
	o.pause = impatient
	if got, err := p.Sweep(p.t.Context(), o); err != nil || got != want {
		p.t.Errorf("swept %+v, %v; want %+v", got, err, want)
	}
}

func (p *pile) deletesWhatNobodyCanReach() {
	var kept, gone []mailbox.MessageID
	both := func(make func(mailbox.MessageID) mailbox.MessageID) {
		gone, kept = append(gone, make(p.old.Next())), append(kept, make(p.young.Next()))
	}
	const n = 3 // of each kind
	for range n {
		both(p.torn)
		both(func(id mailbox.MessageID) mailbox.MessageID { return p.content(id, aDrop()) })
		both(func(id mailbox.MessageID) mailbox.MessageID { // some are done, the others have lost it
			drops := someDrops(3)
			p.done(id, drops[0])
			return p.content(id, drops...)
		})
		both(func(id mailbox.MessageID) mailbox.MessageID { // released by everyone, and still listed
			drops := someDrops(2)
			p.done(id, drops...)
			return p.delivered(id, drops...)
		})
		both(func(id mailbox.MessageID) mailbox.MessageID { // for the outside too, and somebody has lost it
			return p.content(id, aDrop(), mailbox.Outbound)
		})
		both(func(id mailbox.MessageID) mailbox.MessageID { // for a temporary address, which has ended
			return p.content(id, aDrop(), aTemporaryDrop())
		})
		p.done(p.old.Next(), aDrop())
		p.done(p.young.Next(), aDrop())
		// On its way to the outside, for longer than it is tried and for less.
		gone = append(gone, p.content(idsAgo(mailbox.OutboundKept+time.Minute).Next(), mailbox.Outbound))
		kept = append(kept, p.content(idsAgo(mailbox.OutboundKept-time.Hour).Next(), mailbox.Outbound))

		drops := someDrops(3)
		shared := p.content(p.old.Next(), drops...)
		p.done(shared, drops[:2]...)
		p.list(shared, drops[2])
		// Its only line is in a table that the sweep does not go round.
		temporary := aTemporaryDrop()
		mixed := p.content(p.old.Next(), aDrop(), temporary)
		p.list(mixed, temporary)
		kept = append(kept, shared, mixed, p.delivered(p.old.Next(), aDrop()), p.delivered(p.young.Next(), aDrop()))
	}
	short := p.shortEntry(p.old.Next(), aDrop())
	add(p.t, p.Store.Maildrops(), []mailbox.Entry{short})
	found := SweepStats{Uncommitted: n, Released: n, Unlisted: 5 * n, Leftovers: n}
	all := append(append([]mailbox.MessageID(nil), gone...), kept...)

	p.checkSweep(SweepOptions{DryRun: true}, found)
	p.check(true, all...)
	p.checkSweep(SweepOptions{RoundOptions: RoundOptions{Age: mailbox.OutboundKept + time.Hour}}, SweepStats{})
	p.check(true, all...)
	p.checkSweep(SweepOptions{}, found)
	p.check(false, gone...)
	p.check(true, kept...)
	short.Message.Inline = ""
	if octets, err := contentOf(p.t.Context(), p.Store, short.Message); err != nil || string(octets) != string(smallLetter) {
		p.t.Errorf("the content beside its line: %q, %v", octets, err)
	}
	// Of the young: those that some or all recipients have released, and leftovers.
	// Of the old: the one that somebody still lists.
	if got, want := p.partitions("message_done"), 3*n+n; got != want {
		p.t.Errorf("message_done has %d partitions, want %d", got, want)
	}
	// Only what was not seen listed is looked for in maildrops.
	did := statements(p.t, p.Store, func() { p.checkSweep(SweepOptions{}, SweepStats{}) })
	if did["maildrop select ids"] != n || did["maildrop_temp select ids"] != n {
		p.t.Errorf("to find nothing took %v", did)
	}
}

func (p *pile) goesOn() {
	const n = 60
	for range n {
		p.torn(p.old.Next())
		p.done(p.old.Next(), aDrop())
	}
	stopped := func(table string, o SweepOptions) (SweepStats, float64) {
		p.t.Helper()
		ctx, cancel := context.WithCancel(p.t.Context())
		defer cancel()
		first := math.NaN()
		o.pause = impatient
		o.Report = func(pr Progress) {
			if pr.Table == table && math.IsNaN(first) {
				first = pr.Ring
			}
			if pr.Table == table && pr.Ring > 0.5 {
				cancel()
			}
		}
		stats, err := p.Sweep(ctx, o)
		if !errors.Is(err, context.Canceled) {
			p.t.Errorf("stopped with %v", err)
		}
		return stats, first
	}
	some := func(what string, got int) {
		p.t.Helper()
		if got < n/5 || got > n-n/5 {
			p.t.Errorf("until it was stopped it found %d of %d %s", got, n, what)
		}
	}
	a, _ := stopped("message_done", SweepOptions{})
	some("leftovers", a.Leftovers)
	b, first := stopped("message", SweepOptions{})
	if a.Leftovers+b.Leftovers != n || first > 0.1 {
		p.t.Errorf("of %d leftovers it found %d and then %d; the next table began at %.2f of the ring", n, a.Leftovers, b.Leftovers, first)
	}
	some("torn contents", b.Uncommitted)
	c, first := stopped("message", SweepOptions{})
	if c.Leftovers != 0 || first < 0.4 {
		p.t.Errorf("it found %+v and went on at %.2f of the ring", c, first)
	}
	// From the start, nothing is found twice.
	d, first := stopped("message", SweepOptions{RoundOptions: RoundOptions{Restart: true}})
	if d.Leftovers != 0 || first > 0.1 {
		p.t.Errorf("from the start it found %+v and began at %.2f of the ring", d, first)
	}
	p.checkSweep(SweepOptions{}, SweepStats{Uncommitted: n - b.Uncommitted - c.Uncommitted - d.Uncommitted})
	if got := p.partitions("message") + p.partitions("message_done"); got != 0 {
		p.t.Errorf("%d partitions are left", got)
	}
	// A sweep that came to its end is no reason to begin the next one half-way.
	p.torn(p.old.Next())
	p.checkSweep(SweepOptions{}, SweepStats{Uncommitted: 1})
}

func (p *pile) goesOnForADay() {
	const n = 40
	for range n {
		p.torn(p.old.Next())
	}
	var log bytes.Buffer
	o := optionsFor(p.cluster, p.session.options.Datacenter, p.session.options.Keyspace)
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := openStore(p.t, o)
	for _, c := range []struct {
		ago time.Duration
		all bool
	}{{25 * time.Hour, true}, {23 * time.Hour, false}} {
		log.Reset()
		at := time.Now().Add(-c.ago)
		if err := (&ledger{session: s.session}).note(p.t.Context(), sweepDryTask+" message", task{token: 0, started: at, updated: at}); err != nil {
			p.t.Fatal(err)
		}
		o := SweepOptions{DryRun: true}
		o.pause = impatient
		stats, err := s.Sweep(p.t.Context(), o)
		if got := stats.Uncommitted; err != nil || got == 0 || got == n != c.all {
			p.t.Errorf("stopped half-way %v ago: it found %d of %d, %v", c.ago, got, n, err)
		}
		if goes := strings.Contains(log.String(), "goes on where it was stopped"); goes == c.all || goes && !strings.Contains(log.String(), "skipped=50%") {
			p.t.Errorf("stopped half-way %v ago: the log has %s", c.ago, &log)
		}
	}
}

func (p *pile) doesNotRunTwice() {
	p.torn(p.old.Next())
	begun := false
	o := SweepOptions{}
	o.pause = impatient
	busy := o
	busy.Report = func(pr Progress) {
		if begun {
			return
		}
		begun = true
		if _, err := p.Sweep(p.t.Context(), o); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "sign of life") {
			p.t.Errorf("another sweep: %v", err)
		}
		daily := o
		daily.Unless = time.Hour
		if stats, err := p.Sweep(p.t.Context(), daily); !stats.Idle || err != nil {
			p.t.Errorf("a daily sweep: %+v, %v", stats, err)
		}
		mend := RepairOptions{Apply: true}
		mend.pause = impatient
		if _, err := p.Repair(p.t.Context(), mend); !errors.Is(err, ErrRunning) {
			p.t.Errorf("a repair: %v", err)
		}
		mend.Apply = false
		if _, err := p.Repair(p.t.Context(), mend); err != nil {
			p.t.Errorf("the dry run of a repair: %v", err)
		}
	}
	if stats, err := p.Sweep(p.t.Context(), busy); err != nil || stats.Uncommitted != 1 || !begun {
		p.t.Errorf("the sweep itself: %+v, %v", stats, err)
	}
	p.torn(p.old.Next())
	p.checkSweep(SweepOptions{Unless: time.Hour}, SweepStats{Idle: true})
	p.checkSweep(SweepOptions{Unless: time.Nanosecond}, SweepStats{Uncommitted: 1})

	// One whose process died a while ago, and one that has just.
	p.torn(p.old.Next())
	l := &ledger{session: p.session}
	for ago, want := range map[time.Duration]error{silentBeats * impatient.beat: nil, 0: ErrRunning} {
		at := time.Now().Add(-ago)
		if _, _, err := l.look(p.t.Context(), sweepTask); err != nil {
			p.t.Fatal(err)
		}
		if err := l.note(p.t.Context(), sweepTask, task{token: firstToken, started: at, updated: at}); err != nil {
			p.t.Fatal(err)
		}
		if _, err := p.Sweep(p.t.Context(), o); !errors.Is(err, want) {
			p.t.Errorf("after one that gave no sign of life for %s: %v, want %v", ago, err, want)
		}
		<-time.After(silentBeats * impatient.beat)
	}
}

func (p *pile) beginsOnce() {
	o := SweepOptions{}
	slow := *impatient
	slow.claim = 500 * time.Millisecond
	o.pause = &slow
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { _, errs[i] = p.Sweep(p.t.Context(), o) })
	}
	all.Wait()
	ran := 0
	for _, err := range errs {
		switch {
		case err == nil:
			ran++
		case !errors.Is(err, ErrRunning):
			p.t.Error(err)
		}
	}
	if ran > 1 {
		p.t.Errorf("%d ran", ran)
	}
}

func (p *pile) stopsWithoutMajority() {
	id := p.torn(p.old.Next())
	p.replicate(3)
	o := SweepOptions{}
	o.pause = impatient
	stats, err := p.Sweep(p.t.Context(), o)
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.Contains(err.Error(), "every data centre") || stats != (SweepStats{}) {
		p.t.Errorf("swept %+v, %v", stats, err)
	}
	p.replicate(1)
	p.check(true, id)
}

func (p *pile) awaitsRepair() {
	o := SweepOptions{}
	p.checkSweep(o, SweepStats{})
	id := p.torn(p.old.Next())
	p.replicateAs("'class': 'SimpleStrategy', 'replication_factor': 1")
	mend := RepairOptions{Apply: true}
	o.pause, mend.pause = impatient, impatient
	stats, err := p.Sweep(p.t.Context(), o)
	if !errors.Is(err, ErrReplication) || !strings.Contains(err.Error(), "it is class:SimpleStrategy replication_factor:1 now") {
		p.t.Errorf("swept %v, %v", stats, err)
	}
	if stats, err := p.Repair(p.t.Context(), mend); !errors.Is(err, ErrReplication) {
		p.t.Errorf("repaired %v, %v", stats, err)
	}
	p.check(true, id)
	p.checkSweep(SweepOptions{DryRun: true}, SweepStats{Uncommitted: 1})
	p.checkSweep(SweepOptions{RoundOptions: RoundOptions{Repaired: true}}, SweepStats{Uncommitted: 1})
	p.checkSweep(o, SweepStats{})

	// While it sweeps.
	id = p.torn(p.old.Next())
	var back sync.Once
	o.Report = func(Progress) { back.Do(func() { p.replicate(1) }) }
	if stats, err := p.Sweep(p.t.Context(), o); !errors.Is(err, ErrReplication) || stats != (SweepStats{}) {
		p.t.Errorf("swept %v, %v", stats, err)
	}
	p.check(true, id)
	p.checkSweep(SweepOptions{RoundOptions: RoundOptions{Repaired: true}}, SweepStats{Uncommitted: 1})
}

// replicate sets how many copies of a row there should be.
func (p *pile) replicate(n int) {
	p.t.Helper()
	p.replicateAs(fmt.Sprintf("'class': 'NetworkTopologyStrategy', '%s': %d", p.session.options.Datacenter, n))
}

func (p *pile) replicateAs(options string) {
	p.t.Helper()
	o := p.session.options
	alter := fmt.Sprintf("ALTER KEYSPACE %s WITH replication = {%s}", o.Keyspace, options)
	if err := p.cluster.Session(p.t, o.Datacenter, o.Keyspace).Query(alter).Exec(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pile) showsWhatItDoes() {
	registry := prometheus.NewRegistry()
	o := p.session.options
	o.Registerer = registry
	p.Store = openStore(p.t, o)
	for range 2 { // the second time the metrics are there already
		p.torn(p.old.Next())
		p.delivered(p.old.Next(), aDrop())
		var reports []Progress
		p.checkSweep(SweepOptions{RoundOptions: RoundOptions{Report: func(pr Progress) { reports = append(reports, pr) }}}, SweepStats{Uncommitted: 1})
		last := reports[len(reports)-1]
		if last.Step != 3 || last.Steps != 3 || last.Table != "message" || last.Ring != 1 || last.Rows < 2 || !strings.HasPrefix(last.Found.String(), "1 uncommitted") {
			p.t.Errorf("the last report is %+v", last)
		}
	}
	values := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"restante_cassandra_round_rows_total":  8, // a line and two contents, then two and three
		"restante_cassandra_round_found_total": 2,
		"restante_cassandra_round_progress":    1,
	} {
		if values[name] != want {
			p.t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	const finished = "restante_cassandra_round_finished_timestamp_seconds"
	if at := values[finished]; math.Abs(at-float64(time.Now().Unix())) > 60 {
		p.t.Errorf("finished at %v", at)
	}
	// Another server, which has nothing to do yet, knows that somebody swept.
	other := prometheus.NewRegistry()
	o.Registerer = other
	p.Store = openStore(p.t, o)
	p.checkSweep(SweepOptions{Unless: time.Hour}, SweepStats{Idle: true})
	if at := gathered(p.t, other, finished)["task="+sweepTask+" "]; at != values[finished] {
		p.t.Errorf("another server shows that a sweep ended at %v, want %v", at, values[finished])
	}
}

// sweptFromAfar has content in both data centres of which only dc1 knows that it is
// needed, and sweeps from dc2. TestTwoDatacenters calls it.
func (p *pair) sweptFromAfar(t *testing.T) {
	one := &pile{Store: p.one, t: t, cluster: p.cluster, old: idsAgo(30 * time.Hour)}
	two := &pile{Store: p.two, t: t, cluster: p.cluster, old: one.old}
	one.clear()
	drops := someDrops(2)
	listed, shared := one.content(one.old.Next(), drops[0]), one.content(one.old.Next(), drops...)
	committed := one.torn(one.old.Next())
	done := one.old.Next()
	one.done(done, drops[0])
	p.onlyInOne(t, func() {
		one.list(listed, drops[0])
		one.list(shared, drops[0])
		one.list(shared, drops[1])
		one.content(committed, drops[0])
		one.list(committed, drops[0])
		one.content(done, drops...)
		one.list(done, drops[1])
	})
	for _, drop := range drops {
		if list, err := p.two.Maildrops().List(t.Context(), drop); err != nil || len(list) != 0 {
			t.Fatalf("dc2 knows already: %v, %v", list, err)
		}
	}
	gone := one.content(one.old.Next(), drops[0])
	two.checkSweep(SweepOptions{DryRun: true}, SweepStats{Unlisted: 1})

	p.cluster.Node(1, 1).Freeze(t)
	o := SweepOptions{}
	o.pause = impatient
	stats, err := p.two.Sweep(t.Context(), o)
	p.cluster.Node(1, 1).Thaw(t)
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.Contains(err.Error(), "every data centre") || stats != (SweepStats{}) {
		t.Errorf("while dc1 is away it swept %v, %v", stats, err)
	}
	two.check(true, gone)

	err = onceAvailable(func() error { stats, err = p.two.Sweep(t.Context(), o); return err })
	if want := (SweepStats{Unlisted: 1}); err != nil || stats != want {
		t.Errorf("it swept %v, %v; want %v", stats, err, want)
	}
	two.check(false, gone)
	two.checkRepair(RepairOptions{})
	for _, id := range []mailbox.MessageID{listed, shared, committed, done} {
		if _, err := contentOf(t.Context(), p.two, mailbox.Message{ID: id}); err != nil {
			t.Error(err)
		}
	}
}

// A traffic is deliveries to some maildrops and removals, which crash now and then.
type traffic struct {
	*pile
	deliveries *mailbox.Deliveries
	drops      []mailbox.MaildropID

	mu       sync.Mutex
	accepted map[mailbox.MessageID][]mailbox.MaildropID
	asked    map[mailbox.MessageID]map[mailbox.MaildropID]bool // to be removed
	removed  map[mailbox.MessageID]map[mailbox.MaildropID]bool
}

// A sweep with an age of seconds, of which the messages are no younger, runs again and
// again.
func (p *pile) losesNothing() {
	const age, lasts = 3 * time.Second, 8 * time.Second
	f := &traffic{
		pile:       p,
		deliveries: mailboxtest.Stores{Contents: p.Contents(), Maildrops: p.Maildrops()}.Deliveries(),
		drops:      someDrops(5),
		accepted:   make(map[mailbox.MessageID][]mailbox.MaildropID),
		asked:      make(map[mailbox.MessageID]map[mailbox.MaildropID]bool),
		removed:    make(map[mailbox.MessageID]map[mailbox.MaildropID]bool),
	}
	project := f.deliveries.Project
	f.deliveries.Project = mailbox.ListenerFunc(func(ctx context.Context, ev mailbox.Event) error {
		<-time.After(time.Duration(rand.IntN(500)) * time.Millisecond)
		return project.Handle(ctx, ev)
	})
	o := SweepOptions{RoundOptions: RoundOptions{Age: age, Rate: 1 << 20, pause: impatient}}
	end := time.Now().Add(lasts)
	var all sync.WaitGroup
	every := func(d time.Duration, do func(*rand.Rand)) {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(d)))
			for tick := time.NewTicker(d); time.Now().Before(end); <-tick.C {
				do(dice)
			}
		})
	}
	for n := range 16 {
		every(10*time.Millisecond+time.Duration(n), f.deliver)
	}
	every(40*time.Millisecond, f.remove)
	every(50*time.Millisecond, f.remove)
	every(60*time.Millisecond, f.crash)
	var found SweepStats
	every(time.Millisecond, func(*rand.Rand) {
		stats, err := p.session.sweep(p.t.Context(), o)
		if err != nil {
			p.t.Error(err)
		}
		found.Uncommitted += stats.Uncommitted
		found.Unlisted += stats.Unlisted
		found.Released += stats.Released
		found.Leftovers += stats.Leftovers
	})
	all.Wait()
	<-time.After(age)
	if _, err := p.session.sweep(p.t.Context(), o); err != nil {
		p.t.Error(err)
	}
	f.compare()
	if found.Uncommitted == 0 || found.Unlisted == 0 || found.Leftovers == 0 {
		p.t.Errorf("it found too little to tell: %v", found)
	}
	p.t.Logf("%d accepted; found meanwhile: %v", len(f.accepted), found)
}

func (f *traffic) deliver(dice *rand.Rand) {
	var to mailbox.Envelope
	for _, i := range dice.Perm(len(f.drops))[:1+dice.IntN(3)] {
		to.Recipients = append(to.Recipients, mailbox.Recipient{Maildrop: f.drops[i]})
	}
	// Half of it comes later, and some time passes until it is listed.
	letter := bytes.Repeat([]byte("x"), dice.IntN(2*partSize))
	half, pause := len(letter)/2, time.Duration(dice.IntN(800))*time.Millisecond
	content := io.MultiReader(bytes.NewReader(letter[:half]), after(pause), bytes.NewReader(letter[half:]))
	// What takes longer is not accepted: an age is more than a delivery can take.
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
	defer cancel()
	m, err := f.deliveries.Deliver(ctx, to, content)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		return // nothing was promised
	}
	for _, r := range to.Recipients {
		f.accepted[m.ID] = append(f.accepted[m.ID], r.Maildrop)
	}
}

// after is a reader that takes a while to be empty.
type after time.Duration

func (d after) Read([]byte) (int, error) {
	<-time.After(time.Duration(d))
	return 0, io.EOF
}

// remove takes some of a maildrop.
func (f *traffic) remove(dice *rand.Rand) {
	drop := f.drops[dice.IntN(len(f.drops))]
	list, err := f.Maildrops().List(f.t.Context(), drop)
	if err != nil {
		return
	}
	list = slices.DeleteFunc(slices.Clone(list), func(mailbox.Message) bool { return dice.IntN(3) == 0 })
	f.note(f.asked, drop, list)
	if f.deliveries.Expunge(f.t.Context(), drop, list...) == nil {
		f.note(f.removed, drop, list)
	}
}

func (f *traffic) note(in map[mailbox.MessageID]map[mailbox.MaildropID]bool, drop mailbox.MaildropID, list []mailbox.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range list {
		if in[m.ID] == nil {
			in[m.ID] = make(map[mailbox.MaildropID]bool)
		}
		in[m.ID][drop] = true
	}
}

// crash leaves something half done.
func (f *traffic) crash(dice *rand.Rand) {
	drop := f.drops[dice.IntN(len(f.drops))]
	switch dice.IntN(4) {
	case 0:
		f.torn(ids.Next())
	case 1:
		f.content(ids.Next(), drop)
	case 2:
		f.done(ids.Next(), drop)
	case 3: // taken off the listing and not released
		list, err := f.Maildrops().List(f.t.Context(), drop)
		if err != nil || len(list) == 0 {
			return
		}
		f.note(f.asked, drop, list[:1])
		if f.Maildrops().Remove(f.t.Context(), drop, list[0]) == nil {
			f.note(f.removed, drop, list[:1])
		}
	}
}

// compare looks whether what is there is what was promised, and nothing else.
func (f *traffic) compare() {
	listed := make(map[mailbox.MessageID]map[mailbox.MaildropID]bool)
	contents := make(map[mailbox.MessageID]bool)
	for _, drop := range f.drops {
		list, err := f.Maildrops().List(f.t.Context(), drop)
		if err != nil {
			f.t.Fatal(err)
		}
		f.note(listed, drop, list)
		for _, m := range list {
			contents[m.ID] = true
			if _, err := contentOf(f.t.Context(), f.Store, m); err != nil {
				f.t.Errorf("%s is listed and cannot be read: %v", m.ID, err)
			}
			if f.removed[m.ID][drop] {
				f.t.Errorf("%s was removed and is listed", m.ID)
			}
		}
	}
	for id, drops := range f.accepted {
		for _, drop := range drops {
			if !listed[id][drop] && !f.asked[id][drop] {
				f.t.Errorf("%s was accepted and is not listed", id)
			}
		}
	}
	if n := f.partitions("message"); n != len(contents) {
		f.t.Errorf("there are %d contents, and %d are listed", n, len(contents))
	}
}

func TestAnAgeThatADeliveryCanTakeIsRefused(t *testing.T) {
	var s Store // is not asked
	for _, age := range []time.Duration{time.Hour - 1, time.Second, -time.Hour} {
		o := RoundOptions{Age: age}
		if _, err := s.Sweep(t.Context(), SweepOptions{RoundOptions: o}); err == nil || !strings.Contains(err.Error(), "1h0m0s is needed") {
			t.Errorf("sweep with an age of %s: %v", age, err)
		}
		if _, err := s.Repair(t.Context(), RepairOptions{RoundOptions: o}); err == nil {
			t.Errorf("repair with an age of %s: no error", age)
		}
	}
}

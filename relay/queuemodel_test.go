package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// A queueHistory is what happens to a queue and its successors: lives that end at any moment
// with all that was in memory, on a journal and with services that fail.
type queueHistory struct {
	seed      uint64
	lives     []time.Duration // how long each lives; the last one goes on to the end
	heirs     int             // queues in the last life, that share the segments
	messages  int             // submitted in each life
	faults    int             // of a hundred calls of the journal
	failures  int             // of a hundred answers
	ambiguous int             // of a hundred answers, though the mail was taken
	pauses    bool            // a life that is over goes on, without a lease
	rule      string          // that is switched off
}

func drawQueueHistory(t *rapid.T) queueHistory {
	return queueHistory{
		seed:      rapid.Uint64().Draw(t, "seed"),
		lives:     rapid.SliceOfN(rapid.OneOf(drawMilliseconds(20_000), drawMilliseconds(3*60*60*1000)), 1, 4).Draw(t, "lives"),
		heirs:     rapid.IntRange(1, 3).Draw(t, "heirs"),
		messages:  rapid.IntRange(1, 25).Draw(t, "messages"),
		faults:    rapid.IntRange(0, 30).Draw(t, "faults"),
		failures:  rapid.IntRange(0, 60).Draw(t, "failures"),
		ambiguous: rapid.IntRange(0, 10).Draw(t, "ambiguous"),
		pauses:    rapid.Bool().Draw(t, "pauses"),
	}
}

func drawMilliseconds(most int) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.IntRange(1, most), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
}

func TestNoMailIsLostWhenTheQueueDies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := drawQueueHistory(rt)
		if faults := h.play(t); len(faults) > 0 {
			rt.Fatalf("%+v:\n%s", h, strings.Join(faults, "\n"))
		}
	})
}

func TestTheModelOfTheQueueMissesARuleThatIsOff(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"no attempt is written", "success is forgotten", "the lease is not looked at"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				h := queueHistory{
					seed: seed, lives: []time.Duration{700 * time.Millisecond, 900 * time.Millisecond, 1100 * time.Millisecond},
					messages: 20, failures: 20, pauses: true, rule: rule,
				}
				if faults := h.play(t); len(faults) > 0 {
					t.Logf("missed: %s", faults[0])
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// play plays a queueHistory and says what was wrong.
func (h queueHistory) play(t *testing.T) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		w := &queueWorld{
			queueHistory: h, journal: relaytest.NewMemory(), contents: mailboxtest.Memory().Contents, ids: new(mailbox.MessageIDs),
			random: rand.New(rand.NewPCG(h.seed, 0)), mails: make(map[relay.EntryID]*queueMail), told: make(map[relay.EntryID]int),
		}
		for _, lives := range h.lives {
			w.live(t, lives, false)
		}
		w.live(t, 2*time.Hour, true)
		w.ghosts.Wait()
		faults = w.judge()
	})
	return faults
}

// A queueWorld is what outlives a queue.
type queueWorld struct {
	queueHistory
	journal  *relaytest.Memory
	contents mailbox.Contents
	ids      *mailbox.MessageIDs
	ghosts   sync.WaitGroup

	mu      sync.Mutex
	random  *rand.Rand
	mails   map[relay.EntryID]*queueMail
	told    map[relay.EntryID]int // notices of failure
	excused int                   // copies that no rule can prevent: in flight when a life ended, or an answer lost
	wrong   []string
}

// A mail is one that was accepted, or may have been, for one recipient.
type queueMail struct {
	accepted bool // somebody was told so
	bad      bool // the recipient does not exist
	taken    int  // how often, by services
}

// An queueLife is one life of a queue, and what it sees of the queueWorld. When it is over,
// it sees nothing any more, or nothing but that its lease is over.
type queueLife struct {
	*queueWorld
	*relaytest.Memory
	mu       sync.Mutex
	over     bool                   // dead
	lapsed   bool                   // without a lease
	last     bool                   // nothing fails any more
	inFlight map[relay.EntryID]bool // handed over, and perhaps taken
}

var errQueueDead = fmt.Errorf("this process is dead: %w", mailbox.ErrUnavailable)

func (w *queueWorld) live(t *testing.T, lives time.Duration, last bool) {
	x := &queueLife{queueWorld: w, Memory: w.journal.Process(""), last: last, inFlight: make(map[relay.EntryID]bool)}
	if !last {
		x.Inject(func(relaytest.Call) relaytest.Fault { return w.fault() })
	}
	ctx, cancel := context.WithCancel(context.Background())
	queues := make([]*relay.Queue, 1)
	if last {
		queues = make([]*relay.Queue, max(1, w.heirs))
	}
	for i := range queues {
		q, err := relay.New(relay.Options{
			Journal: x, Contents: w.contents, Pool: x, Lease: x, IDs: w.ids, Notifier: x, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		q.Mutate(w.rule)
		queues[i] = q
		w.ghosts.Go(func() { q.Run(ctx) })
	}
	q := queues[0]
	synctest.Wait()
	w.resume(ctx, queues)
	var submitting sync.WaitGroup
	if !last {
		for i := range w.messages {
			submitting.Go(func() {
				time.Sleep(time.Duration(i) * lives / time.Duration(w.messages))
				x.submit(ctx, q, i)
			})
		}
	}
	if last {
		time.Sleep(time.Minute)
		w.resume(ctx, queues) // what arrived late
	}
	time.Sleep(lives)
	x.end()
	if w.pauses && !last {
		time.AfterFunc(time.Minute, cancel) // it goes on, beside who takes over
		time.Sleep(15 * time.Second)
	} else {
		cancel()
	}
	submitting.Wait()
}

// resume has queues take over all that is there, each segment the same one.
func (w *queueWorld) resume(ctx context.Context, queues []*relay.Queue) {
	for _, s := range w.segments() {
		q := queues[int(s.ID[3])%len(queues)]
		for done := false; !done; time.Sleep(10 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			done = q.Resume(ctx, s) == nil
			cancel()
		}
	}
}

// segments are all that are open, by a store that is well.
func (w *queueWorld) segments() (all []relay.Segment) {
	store, ctx := w.journal.Process(""), context.Background()
	lanes, _ := store.Lanes(ctx, "")
	for _, lane := range lanes {
		segments, _ := store.Segments(ctx, lane)
		all = append(all, segments...)
	}
	return all
}

// end is the end of a life: of its process, or of its lease only.
func (x *queueLife) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lapsed = true
	x.over = !x.pauses
	x.queueWorld.mu.Lock()
	defer x.queueWorld.mu.Unlock()
	unwritten := 0
	written := x.written()
	for id := range x.inFlight {
		if !written[id] {
			unwritten++
		}
	}
	x.excused += unwritten
	if most := 64 * 3; unwritten > most {
		x.wrong = append(x.wrong, fmt.Sprintf("%d are in flight, at most %d may be", unwritten, most))
	}
}

// written are the entries whose delivery is in the journal.
func (w *queueWorld) written() map[relay.EntryID]bool {
	written := make(map[relay.EntryID]bool)
	for _, s := range w.segments() {
		for e := range w.journal.Process("").Load(context.Background(), s) {
			if e.Kind == relay.Delivered {
				written[e.Entry] = true
			}
		}
	}
	return written
}

func (x *queueLife) isOver() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over
}

func (x *queueLife) Valid() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.lapsed
}

func (w *queueWorld) chance(percent int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(100) < percent
}

// fault is what becomes of a call of the journal.
func (w *queueWorld) fault() relaytest.Fault {
	if !w.chance(w.faults) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return []relaytest.Fault{
		relaytest.Fail, relaytest.Lie, relaytest.Late(time.Second), relaytest.Hang, relaytest.Delay(500 * time.Millisecond),
	}[w.random.IntN(5)]
}

// Append is of a journal that nothing reaches which comes from a dead process.
func (x *queueLife) Append(ctx context.Context, s relay.Segment, events ...relay.Event) error {
	if x.isOver() {
		return errQueueDead
	}
	err := x.Memory.Append(ctx, s, events...)
	if x.isOver() {
		return errQueueDead
	}
	return err
}

func (x *queueLife) Content(ctx context.Context, s relay.Segment, message mailbox.MessageID) ([]byte, error) {
	if x.isOver() {
		return nil, errQueueDead
	}
	return x.Memory.Content(ctx, s, message)
}

func (x *queueLife) Close(ctx context.Context, s relay.Segment) error {
	if x.isOver() {
		return errQueueDead
	}
	return x.Memory.Close(ctx, s)
}

func (x *queueLife) submit(ctx context.Context, q *relay.Queue, i int) {
	to, body := []string{"one", "two", "three"}[:1+i%3], content
	if i%2 > 0 {
		body = longContent
	}
	id, err := q.Submit(ctx, submission(relay.Submission{}, to...), strings.NewReader(body))
	if err != nil {
		return
	}
	x.queueWorld.mu.Lock()
	defer x.queueWorld.mu.Unlock()
	for n := range to {
		x.mail(relay.EntryID{Message: id, Recipient: n}).accepted = true
	}
}

// mail is what is known of an entry. The caller holds the lock of the queueWorld.
func (w *queueWorld) mail(id relay.EntryID) *queueMail {
	m := w.mails[id]
	if m == nil {
		m = &queueMail{bad: id.Recipient == 2}
		w.mails[id] = m
	}
	return m
}

// Notify counts what senders hear. A failure that is told twice is one message.
func (x *queueLife) Notify(_ context.Context, n relay.Notice) error {
	if x.isOver() {
		return errQueueDead
	}
	if !x.last && x.chance(x.faults) {
		return errors.New("not now")
	}
	x.queueWorld.mu.Lock()
	defer x.queueWorld.mu.Unlock()
	if n.Action == relay.ActionFailed {
		for _, f := range n.Recipients {
			x.told[relay.EntryID{Message: n.Message, Recipient: f.Recipient}]++
		}
	}
	return nil
}

func (x *queueLife) Changed() <-chan struct{} { return nil }

func (x *queueLife) Pick(w relay.Want) (relay.Picked, error) {
	if len(w.Tried) > 1 {
		return nil, relay.ErrTried
	}
	return x, nil
}

func (x *queueLife) Name() string { return "service" }

func (x *queueLife) Release() {}

// Send is a service that takes a while, and does not always answer what it did.
func (x *queueLife) Send(ctx context.Context, m relay.Mail) (outcomes []relay.Outcome) {
	for range m.Recipients {
		outcomes = append(outcomes, relay.Outcome{Result: relay.Transport})
	}
	if x.isOver() {
		return outcomes
	}
	x.hand(m)
	defer func() { x.done(m, outcomes) }()
	body, err := m.Open(ctx)
	if err != nil {
		return outcomes
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != content && string(got) != longContent {
		return outcomes
	}
	x.wait()
	if x.isOver() || m.Commit() != nil {
		return outcomes
	}
	leased := x.Valid()
	x.wait()
	return x.take(m, leased)
}

func (x *queueLife) wait() {
	x.queueWorld.mu.Lock()
	d := time.Duration(x.random.IntN(400)) * time.Millisecond
	x.queueWorld.mu.Unlock()
	time.Sleep(d)
}

// hand notes that a mail is handed over, and that the journal says so.
func (x *queueLife) hand(m relay.Mail) {
	attempts := x.attempts(m.Message)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queueWorld.mu.Lock()
	defer x.queueWorld.mu.Unlock()
	for _, i := range m.Recipients {
		id := relay.EntryID{Message: m.Message, Recipient: i}
		x.inFlight[id] = true
		if attempts[i] == 0 {
			x.wrong = append(x.wrong, fmt.Sprintf("%v is handed over, and the journal does not say so", id))
		}
	}
}

// attempts are how many each recipient of a message has in the journal.
func (w *queueWorld) attempts(id mailbox.MessageID) map[int]int {
	attempts := make(map[int]int)
	for _, s := range w.segments() {
		for e := range w.journal.Process("").Load(context.Background(), s) {
			if e.Entry.Message == id && e.Kind == relay.Attempt {
				attempts[e.Entry.Recipient]++
			}
		}
	}
	return attempts
}

// done notes what did not arrive, so that it is in flight no more.
func (x *queueLife) done(m relay.Mail, outcomes []relay.Outcome) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n, i := range m.Recipients {
		if outcomes[n].Result != relay.Success {
			delete(x.inFlight, relay.EntryID{Message: m.Message, Recipient: i})
		}
	}
}

// take decides about each recipient.
func (x *queueLife) take(m relay.Mail, leased bool) (outcomes []relay.Outcome) {
	x.queueWorld.mu.Lock()
	defer x.queueWorld.mu.Unlock()
	if !leased {
		x.wrong = append(x.wrong, fmt.Sprintf("%v is handed over without a lease", m.Message))
	}
	for _, i := range m.Recipients {
		to := x.mail(relay.EntryID{Message: m.Message, Recipient: i})
		o := relay.Outcome{Result: relay.Success}
		switch n := x.random.IntN(100); {
		case to.bad:
			o.Result = relay.BadRecipient
		case !x.last && n < x.failures:
			o.Result = []relay.Result{relay.Temporary, relay.Throttled, relay.AccountFault, relay.Transport}[n%4]
		case !x.last && n < x.failures+x.ambiguous:
			o.Result = relay.Ambiguous
			x.excused++
			to.taken++
		default:
			to.taken++
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// judge says what was wrong in the end.
func (w *queueWorld) judge() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong, copies := w.wrong, 0
	for id, m := range w.mails {
		switch {
		case !m.accepted:
			// refused, or the sender never heard: it may arrive or not
		case m.bad && w.told[id] == 0:
			wrong = append(wrong, fmt.Sprintf("%v failed, and nobody was told", id))
		case !m.bad && m.taken == 0 && w.told[id] == 0:
			wrong = append(wrong, fmt.Sprintf("%v is lost", id))
		case m.taken > 0 && w.told[id] > 0:
			wrong = append(wrong, fmt.Sprintf("%v was taken, and the sender heard that it failed", id))
		}
		copies += max(0, m.taken-1)
	}
	if copies > w.excused {
		wrong = append(wrong, fmt.Sprintf("%d copies, of which %d are excused", copies, w.excused))
	}
	for _, s := range w.open() {
		wrong = append(wrong, fmt.Sprintf("segment %v has something left", s))
	}
	return wrong
}

// open are the segments in which something is left.
func (w *queueWorld) open() (open []relay.Segment) {
	for _, s := range w.segments() {
		folded, err := relay.Fold(w.journal.Process("").Load(context.Background(), s))
		if err != nil {
			return append(open, s)
		}
		for _, m := range folded.Messages {
			for _, e := range m.States {
				if !e.Kind.Terminal() {
					open = append(open, s)
				}
			}
		}
	}
	return open
}

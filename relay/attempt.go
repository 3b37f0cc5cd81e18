package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// How many services are asked in one attempt.
	servicesAtOnce = 3
	// How long an attempt waits for room at the next service.
	roomTimeout = 30 * time.Second
	// How often at most an attempt that reached nobody does not count. A message at which
	// each service breaks down looks the same.
	mostUnreached = 10
	// How long the sender's notification may take, and when one that failed is repeated.
	noticeTimeout = 30 * time.Second
	noticeRest    = 5 * time.Minute
	// When the store is asked again whether a message has expired.
	spareRest = 5 * time.Minute
	// When a content is looked for again that cannot be read, and how old a message is
	// when one that is not there is given up: until then it may be on its way from
	// another data centre.
	contentRest = time.Minute
	contentLate = time.Hour
	// The pauses between tries to write what came of an attempt.
	firstInsist, lastInsist = 100 * time.Millisecond, 5 * time.Second
)

// A round is one attempt for some recipients of a message.
type round struct {
	queue   *Queue
	message *message
	s       *Submission
	hint    string // the service that the operator wishes for

	open    []int // recipients of which nothing is settled
	tried   []string
	asked   int          // services that were not only known to refuse
	refused map[int]bool // recipients for whom a service refused the content
	later   map[int]bool // recipients for whom a service may take it another time
	reached map[int]bool // recipients of whom a service heard
	said    map[int]saying
}

func (q *Queue) round(m *message, due []int, hint string) *round {
	return &round{
		queue: q, message: m, s: unpack(m.packed), open: due, hint: hint,
		refused: make(map[int]bool), later: make(map[int]bool), reached: make(map[int]bool), said: make(map[int]saying),
	}
}

// senderDomain is by what a service may be bound to senders.
func senderDomain(s *Submission) string {
	if s.From.IsZero() {
		return s.Account.Domain
	}
	return s.From.Domain
}

func (r *round) want() Want {
	w := Want{
		Domain: senderDomain(r.s), Octets: r.s.Octets, Recipients: len(r.open), UTF8: r.s.UTF8,
		Signed: r.s.Signed, Class: r.message.class, Tried: slices.Clone(r.tried), Prefer: r.hint,
	}
	if w.Prefer == "" {
		w.Prefer = r.entry(r.open[0]).prefers(r.policy())
	}
	return w
}

// entry is one of those of the message. Nobody else changes it while it is worked on.
func (r *round) entry(recipient int) *entry { return &r.message.entries[recipient] }

func (r *round) policy() *Policy { return r.queue.options.Policies.of(r.message.class) }

// run makes the attempt.
func (r *round) run(ctx context.Context, picked Picked) {
	content, err := r.content(ctx)
	if err != nil {
		picked.Release()
		r.unreadable(ctx, err)
		return
	}
	defer content.close()
	if err := r.announce(picked.Name()); err != nil {
		picked.Release()
		r.queue.journalFailed("attempt not begun", err)
		r.queue.putBack(r.message, 0)
		return
	}
	written, others := true, true
	for picked != nil && written {
		r.tried = append(r.tried, picked.Name())
		outcomes := picked.Send(ctx, Mail{
			Message: r.message.id, Submission: r.s, Recipients: slices.Clone(r.open),
			Open: content.take, Commit: r.commit,
		})
		written = r.settle(ctx, picked.Name(), outcomes)
		picked = nil
		if written && len(r.open) > 0 {
			picked, others = r.another(ctx)
		}
	}
	if !written || !r.putOff(ctx, others) {
		return // the queue ends; who has the segment next finds an attempt that is open
	}
	r.queue.putBack(r.message, 0)
}

// commit is Mail.Commit.
func (r *round) commit() error {
	if !r.queue.ours() {
		return ErrLease
	}
	return nil
}

// announce writes that the attempt begins.
func (r *round) announce(service string) error {
	data, err := Encode(AttemptData{Service: service})
	if err != nil {
		return err
	}
	events := make([]Event, len(r.open))
	for n, i := range r.open {
		events[n] = r.queue.event(r.message.id, i, Attempt, int(r.entry(i).seq)+1, data)
	}
	if !r.queue.rules.noAttempt {
		if err := r.message.segment.writer.append(events...); err != nil {
			return err
		}
	}
	now := uint32(r.queue.now() / 1000)
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	for _, i := range r.open {
		e := r.entry(i)
		e.seq, e.kind, e.tried = e.seq+1, Attempt, now
	}
	return nil
}

// settle writes what came of asking a service where that is the end of it, and leaves
// the other recipients open. It reports whether that could be written.
func (r *round) settle(ctx context.Context, service string, outcomes []Outcome) bool {
	var delivered, failed, unsure, open []int
	asked := false
	for n, i := range r.open {
		o := Outcome{Result: Ambiguous, Text: "the service did not say what became of it"}
		if n < len(outcomes) {
			o = outcomes[n]
		}
		r.queue.metrics.outcomes.WithLabelValues(o.Result.String()).Inc()
		r.said[i] = saying{service, o}
		asked = asked || !o.Unasked
		r.reached[i] = r.reached[i] || o.Result != Transport && !o.Unasked
		switch {
		case o.Result == Success, o.Result == Ambiguous && r.policy().Ambiguous == AssumeSent:
			delivered = append(delivered, i)
		case o.Result == Ambiguous:
			unsure = append(unsure, i)
		case o.Result == BadRecipient, o.Result == BadMessage && !o.Unasked && r.refused[i]:
			failed = append(failed, i)
		default:
			r.refused[i] = r.refused[i] || o.Result == BadMessage && !o.Unasked
			r.later[i] = r.later[i] || o.Result != BadMessage
			open = append(open, i)
		}
	}
	r.open = open
	if asked {
		r.asked++
	}
	hold := r.queue.now().add(r.policy().hold(r.most((*entry).attempts, unsure)))
	return r.deliver(ctx, delivered) && r.put(ctx, unsure, hold) && r.fail(ctx, failed, false)
}

// another picks the next service, or is nil where there is none in time. It reports
// whether others are left that may be asked another time.
func (r *round) another(ctx context.Context) (next Picked, others bool) {
	ctx, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	for r.asked < servicesAtOnce && ctx.Err() == nil && r.queue.ours() {
		changed := r.queue.options.Pool.Changed()
		w := r.want()
		w.Prefer = ""
		picked, err := r.queue.options.Pool.Pick(w)
		switch {
		case err == nil:
			return picked, true
		case !errors.Is(err, ErrBusy):
			return nil, !errors.Is(err, ErrTried) && !errors.Is(err, ErrUnfit)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil, true
}

// putOff defers those that are still open, but fails those whose content was refused at
// the last, unless others may take it. Where no service has uttered the refusal, one that
// failed otherwise may too. Where nobody was reached the attempt does not count, as if no
// service had been up.
func (r *round) putOff(ctx context.Context, others bool) bool {
	var later, unreached, refused []int
	for _, i := range r.open {
		switch {
		case r.said[i].outcome.Result == BadMessage && !others && (r.refused[i] || !r.later[i]):
			refused = append(refused, i)
		case !r.reached[i] && r.entry(i).unreached < mostUnreached:
			unreached = append(unreached, i)
		default:
			later = append(later, i)
		}
	}
	r.uncount(unreached)
	now := r.queue.now()
	next, soon := now.add(r.policy().pause(r.most((*entry).attempts, later))), now.add(r.policy().soon(r.most((*entry).vain, unreached)))
	if ctx.Err() != nil || !r.queue.ours() {
		next, soon = now, now // it was us who broke off
	}
	return r.fail(ctx, refused, false) && r.put(ctx, later, next) && r.put(ctx, unreached, soon)
}

// uncount has the attempt that was just made not count.
func (r *round) uncount(recipients []int) {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	for _, i := range recipients {
		r.entry(i).unreached++
	}
}

// most is the highest of a number that entries have.
func (r *round) most(number func(*entry) int, recipients []int) (n int) {
	for _, i := range recipients {
		n = max(n, number(r.entry(i)))
	}
	return n
}

// unfit defers what no service takes as it is, without an attempt.
func (r *round) unfit(ctx context.Context, why error) {
	for _, i := range r.open {
		r.said[i] = saying{"", Outcome{Result: Temporary, Enhanced: "4.3.5", Text: why.Error()}}
		r.queue.mu.Lock()
		r.entry(i).seq++
		r.queue.mu.Unlock()
	}
	if r.put(ctx, r.open, r.queue.now().add(r.policy().pause(r.most((*entry).attempts, r.open)))) {
		r.queue.putBack(r.message, 0)
	}
}

// unreadable waits for a content, or gives it up.
func (r *round) unreadable(ctx context.Context, err error) {
	q, m := r.queue, r.message
	if errors.Is(err, mailbox.ErrNotFound) && q.past(stampOf(m.accepted().Add(contentLate))) {
		err = r.readAgain(ctx)
	}
	if err != nil {
		q.options.Log.Warn("content cannot be read yet", "message", m.id, "err", err)
		q.putBack(m, q.now().add(contentRest))
		return
	}
	if len(r.open) > 0 {
		q.options.Log.Error("content is not there", "message", m.id)
	}
	for _, i := range r.open {
		r.said[i] = saying{"", Outcome{Result: BadMessage, Enhanced: "5.3.0", Text: "the content was lost"}}
	}
	if r.fail(ctx, r.open, false) {
		q.putBack(m, 0)
	}
}

// readAgain takes recipients out of the attempt whose end is in the journal. The last
// event of a process that died may come to light when its segment was taken over, and the
// content is gone by it.
func (r *round) readAgain(ctx context.Context) error {
	q, m := r.queue, r.message
	folded, err := Fold(q.options.Journal.Load(ctx, m.segment.Segment))
	if err != nil {
		return err
	}
	found, ok := folded.Messages[m.id]
	if !ok {
		return fmt.Errorf("relay: segment %s has no message %s", m.segment.ID, m.id)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var open []int
	for _, i := range r.open {
		if state := found.States[i]; state.Kind.Terminal() {
			r.entry(i).kind = state.Kind
		} else {
			open = append(open, i)
		}
	}
	if m.state != isGone {
		q.unreserve(m.segment, len(r.open)-len(open))
	}
	r.open = open
	return nil
}

// deliver writes that a next hop took responsibility.
func (r *round) deliver(ctx context.Context, recipients []int) bool {
	if !r.write(ctx, recipients, Delivered, 0, func(_ *entry, s saying) ([]byte, error) {
		return Encode(DeliveredData{Service: s.service, Outcome: s.outcome})
	}) {
		return false
	}
	asked := slices.DeleteFunc(slices.Clone(recipients), func(i int) bool { return r.s.notify(i)&NotifySuccess == 0 })
	if err := r.notify(ctx, asked, ActionRelayed, false); err != nil {
		r.queue.options.Log.Warn("sender not told of success", "message", r.message.id, "err", err)
	}
	return true
}

// fail tells the sender and then writes that recipients are given up. Where the sender
// cannot be told, that is repeated, and not the attempt.
func (r *round) fail(ctx context.Context, recipients []int, expired bool) bool {
	if err := r.notify(ctx, recipients, ActionFailed, expired); err != nil {
		r.queue.options.Log.Warn("sender not told of failure yet", "message", r.message.id, "err", err)
		return expired || r.tellLater(ctx, recipients) // that they have expired is seen again
	}
	return r.write(ctx, recipients, Failed, 0, func(_ *entry, s saying) ([]byte, error) {
		return Encode(FailedData{Service: s.service, Outcome: s.outcome, Expired: expired})
	})
}

// tellLater remembers that recipients are given up as soon as the sender can be told.
func (r *round) tellLater(ctx context.Context, recipients []int) bool {
	next := r.queue.now().add(noticeRest)
	fresh := slices.DeleteFunc(slices.Clone(recipients), func(i int) bool { return r.entry(i).kind == givenUp })
	if !r.write(ctx, fresh, Deferred, next, func(e *entry, s saying) ([]byte, error) {
		return Encode(DeferredData{
			Next: next.time(), Service: s.service, Outcome: s.outcome, Warned: r.message.warned, Unreached: e.vain(), Untold: true,
		})
	}) {
		return false
	}
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	for _, i := range recipients {
		r.entry(i).kind, r.entry(i).due = givenUp, next
	}
	return true
}

// notify tells the sender of recipients, if there are any.
func (r *round) notify(ctx context.Context, recipients []int, action Action, expired bool) error {
	if len(recipients) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	n := Notice{Message: r.message.id, Action: action, Submission: r.s, Expired: expired, Open: r.openContent}
	for _, i := range recipients {
		said := r.said[i]
		f := Fate{Recipient: i, Service: said.service, Outcome: said.outcome}
		if tried := r.entry(i).tried; tried > 0 {
			f.Attempted = time.Unix(int64(tried), 0).UTC()
		}
		n.Recipients = append(n.Recipients, f)
	}
	return r.queue.options.Notifier.Notify(ctx, n)
}

// put writes when recipients are due again.
func (r *round) put(ctx context.Context, recipients []int, next stamp) bool {
	warned := r.message.warned
	if end := r.message.expires(); end > r.queue.now() {
		next = min(next, end)
	} // else it goes on, as it has not expired by the clock of the store
	return r.write(ctx, recipients, Deferred, next, func(e *entry, s saying) ([]byte, error) {
		return Encode(DeferredData{Next: next.time(), Service: s.service, Outcome: s.outcome, Warned: warned, Unreached: e.vain()})
	})
}

// write writes one kind of event for recipients until it is written, and changes the
// entries. It reports false where the queue ended before.
func (r *round) write(ctx context.Context, recipients []int, kind Kind, next stamp, data func(*entry, saying) ([]byte, error)) bool {
	if len(recipients) == 0 {
		return true
	}
	events := make([]Event, 0, len(recipients))
	for _, i := range recipients {
		d, err := data(r.entry(i), r.said[i])
		if err != nil {
			r.queue.options.Log.Error("outcome not written", "message", r.message.id, "err", err)
			return false
		}
		events = append(events, r.queue.event(r.message.id, i, kind, int(r.entry(i).seq), d))
	}
	events[len(events)-1].Last = kind.Terminal() && r.message.left() == len(recipients) && !r.toldLater(recipients, kind)
	forget := r.queue.rules.forgetSuccess && kind == Delivered
	if !forget && !r.queue.insist(ctx, r.message.segment, events) {
		return false
	}
	r.take(recipients, kind, next)
	for _, i := range recipients {
		r.log(i, kind, next)
	}
	return true
}

// toldLater reports whether the sender is told of this kind of event after it was written,
// and perhaps sent the content with it.
func (r *round) toldLater(recipients []int, kind Kind) bool {
	return kind == Delivered && slices.ContainsFunc(recipients, func(i int) bool { return r.s.notify(i)&NotifySuccess != 0 })
}

// take changes entries as it was written.
func (r *round) take(recipients []int, kind Kind, next stamp) {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	if kind.Terminal() && r.message.state != isGone {
		r.queue.unreserve(r.message.segment, len(recipients))
	}
	for _, i := range recipients {
		e := r.entry(i)
		e.kind, e.due, e.said = kind, next, r.queue.share(r.said[i])
	}
	r.queue.metrics.events.WithLabelValues(eventNames[kind]).Add(float64(len(recipients)))
}

// logged are the lines of the log about entries: what users ask a postmaster for.
var logged = map[Kind]string{Delivered: "mail handed over", Deferred: "mail deferred", Failed: "mail given up"}

// log tells what became of an entry.
func (r *round) log(recipient int, kind Kind, next stamp) {
	said, now := r.said[recipient], r.queue.now()
	about := []any{
		"message", r.message.id, "to", r.s.Recipients[recipient].String(), "service", said.service,
		"result", said.outcome.Result.String(), "code", said.outcome.Code, "enhanced", said.outcome.Enhanced, "text", said.outcome.Text,
		"attempts", r.entry(recipient).attempts(), "age", now.time().Sub(r.message.accepted()).Round(time.Millisecond),
	}
	if kind == Deferred {
		about = append(about, "next", next.time())
	}
	r.queue.options.Log.Info(logged[kind], about...)
}

// insist appends until that is done. It reports false where the context ended before.
func (q *Queue) insist(ctx context.Context, in *segment, events []Event) bool {
	for pause := firstInsist; ; pause = min(2*pause, lastInsist) {
		err := in.writer.appendMany(events)
		if err == nil {
			return true
		}
		q.journalFailed("event not written yet", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// journalFailed has no attempt begin for a while.
func (q *Queue) journalFailed(what string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if now >= q.hold {
		q.options.Log.Warn(what, "err", err) // once in a while
	}
	q.hold = now.add(journalRest)
}

// putBack ends the work on a message. What is left of it is tried at a time at the
// earliest.
func (q *Queue) putBack(m *message, earliest stamp) {
	if q.putAway(m, earliest) && !m.journalled {
		q.release(m.id)
	}
}

// putAway is putBack in memory. It reports whether nothing is left to do.
func (q *Queue) putAway(m *message, earliest stamp) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case m.state == isGone:
		return false
	case m.left() > 0:
		q.fresh.forget(m.id)
		q.place(m, earliest)
		return false
	}
	q.forget(m)
	m.segment.finish(m.id)
	return true
}

// forget takes a message out of memory. The caller holds the lock.
func (q *Queue) forget(m *message) {
	m.state = isGone
	q.waiting.remove(m)
	delete(m.segment.messages, m.id)
	delete(q.hints, m.id)
	delete(q.untold, m.id)
	delete(q.spared, m.id)
	q.fresh.forget(m.id)
}

// nobodyYet is what is said of a recipient whom no service was asked about.
var nobodyYet = Outcome{Result: Temporary, Enhanced: "4.4.0", Text: "no service has taken it"}

// chore tells the sender that a message waits for long, that its time is over, or what he
// could not be told before.
func (q *Queue) chore(ctx context.Context, m *message) {
	r, now := q.round(m, nil, ""), q.now()
	var failed []int
	for i := range m.entries {
		e := &m.entries[i]
		if r.said[i] = e.said.unpack(); e.said == "" {
			r.said[i] = saying{"", nobodyYet}
		}
		switch {
		case e.kind == givenUp && e.due <= now:
			failed = append(failed, i)
		case e.kind != givenUp && e.left():
			r.open = append(r.open, i)
		}
	}
	if !r.fail(ctx, failed, false) {
		return
	}
	q.mu.Lock()
	over := now >= q.ends(m)
	q.mu.Unlock()
	switch {
	case over && !q.expired(m):
		q.putBack(m, 0)
	case over:
		if !r.fail(ctx, r.open, true) {
			return
		}
		q.putBack(m, now.add(noticeRest)) // where the sender could not be told
	default:
		if !q.warn(ctx, r, now) {
			return
		}
		q.putBack(m, 0)
	}
}

// expired reports whether the time of a message is over by another clock too. If it is not,
// the message goes on for a while as if its time were not over here either.
func (q *Queue) expired(m *message) bool {
	if q.past(m.expires()) {
		return true
	}
	now := q.now()
	q.options.Log.Warn("message has expired by the clock of this server alone, and goes on", "message", m.id, "now", now.time())
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spared[m.id] = now.add(spareRest)
	return false
}

// past reports whether a time is over both by the clock here and by that of the store. This
// process may have begun with one that was days ahead, and then taken over what others have
// accepted.
func (q *Queue) past(at stamp) bool {
	if q.now() < at {
		return false
	}
	now, err := q.options.Clock()
	return err == nil && stampOf(now) >= at
}

// warn tells the sender of a delay, if it is time, and then writes that he was told. It
// reports false where the queue ended before.
func (q *Queue) warn(ctx context.Context, r *round, now stamp) bool {
	m := r.message
	q.mu.Lock()
	due := !m.warned && now >= q.warns(m)
	q.mu.Unlock()
	if !due {
		return true
	}
	if err := r.notify(ctx, r.open, ActionDelayed, false); err != nil {
		q.options.Log.Warn("sender not told of delay yet", "message", m.id, "err", err)
		q.mu.Lock()
		defer q.mu.Unlock()
		if m.state != isGone {
			q.untold[m.id] = now.add(noticeRest)
		}
		return true
	}
	// For those of whom there is no other event it says when they are due: at once.
	data, err := Encode(DeferredData{Next: now.time(), Outcome: nobodyYet, Warned: true})
	if err != nil {
		return false
	}
	written := q.insist(ctx, m.segment, []Event{q.event(m.id, Whole, Deferred, 0, data)})
	q.mu.Lock()
	defer q.mu.Unlock()
	m.warned = true
	delete(q.untold, m.id)
	return written
}

// A content is that of a message in an attempt. It is opened before the attempt begins,
// so that one that cannot be read is no attempt, and no fault of the service's.
type content struct {
	open func(ctx context.Context) (io.ReadCloser, error)

	mu    sync.Mutex
	first io.ReadCloser // nil: taken
}

// take is the content from its first octet.
func (c *content) take(ctx context.Context) (io.ReadCloser, error) {
	c.mu.Lock()
	first := c.first
	c.first = nil
	c.mu.Unlock()
	if first != nil {
		return first, nil
	}
	return c.open(ctx)
}

func (c *content) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first != nil {
		c.first.Close() //nolint:errcheck // nothing was read
	}
}

func (r *round) content(ctx context.Context) (*content, error) {
	c := &content{open: r.openContent}
	var err error
	c.first, err = c.open(ctx)
	return c, err
}

func (r *round) openContent(ctx context.Context) (content io.ReadCloser, err error) {
	if r.s.Journalled {
		content, err = r.openJournalled(ctx)
	} else {
		m := mailbox.Message{ID: r.message.id, Octets: r.s.Octets, Recipients: 1}
		content, err = r.queue.options.Contents.Open(ctx, m)
	}
	if err != nil {
		return nil, fmt.Errorf("relay: open content of %s: %w", r.message.id, err)
	}
	return content, nil
}

// openJournalled opens a content that was written with its event.
func (r *round) openJournalled(ctx context.Context) (io.ReadCloser, error) {
	q := r.queue
	q.mu.Lock()
	octets, known := q.fresh.of[r.message.id]
	q.mu.Unlock()
	if !known {
		ctx, cancel := context.WithTimeout(ctx, q.options.Write)
		defer cancel()
		var err error
		if octets, err = q.options.Journal.Content(ctx, r.message.segment.Segment, r.message.id); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(bytes.NewReader(octets)), nil
}

// mostFresh is how much of fresh contents is held, in octets.
const mostFresh = 16 << 20

// fresh are contents of messages of which no attempt has ended yet: most need not be read
// from the store. They are under the lock of the queue.
type fresh struct {
	of     map[mailbox.MessageID][]byte
	octets int
}

// keep holds a content, unless there is too much already.
func (f *fresh) keep(id mailbox.MessageID, content []byte) {
	if f.octets+len(content) <= mostFresh {
		f.of[id] = content
		f.octets += len(content)
	}
}

func (f *fresh) forget(id mailbox.MessageID) {
	f.octets -= len(f.of[id])
	delete(f.of, id)
}

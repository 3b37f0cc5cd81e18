package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"restante/mailbox"
)

// A Queued is an entry that something is left to do for, as the operator sees it.
type Queued struct {
	Entry     EntryID
	Segment   Segment
	Account   mailbox.Address
	From      mailbox.Address
	Recipient mailbox.Address
	Octets    int64
	Class     Class
	State     QueueState
	Accepted  time.Time
	Expires   time.Time
	Next      time.Time // when the next attempt is due; zero: it is ready, or under way
	Attempts  int       // without those that reached nobody
	Service   string    // that was asked last; empty: none
	Outcome   Outcome   // what it said
}

// A QueueState says what an entry waits for.
type QueueState uint8

const (
	QueueAny      QueueState = iota // in a [Filter]: whatever it is
	QueueReady                      // for a service
	QueueSending                    // for the end of an attempt
	QueueDeferred                   // for its time
	QueueHeld                       // the same, because nobody knows whether the last attempt succeeded
)

var queueStates = []string{"any", "ready", "sending", "deferred", "held"}

func (s QueueState) String() string { return queueStates[s] }

// A Filter chooses entries. The zero filter chooses all.
type Filter struct {
	State  QueueState
	Domain string        // of the recipient
	Sender string        // domain of the sender
	Age    time.Duration // since it was accepted, at least
}

// A Place is where a page of the listing ended: it goes on after that entry.
type Place struct {
	Segment Segment
	Entry   EntryID
}

// ErrNotQueued is what steering fails with where nothing is left to do for an entry, or
// it is another process that does it.
var ErrNotQueued = errors.New("relay: not in this queue")

// ErrSending is what Cancel fails with while an attempt is under way.
var ErrSending = errors.New("relay: an attempt is under way")

// List is up to n entries after a place; the zero place is the beginning. The order is
// that of segments and messages. What comes or ends meanwhile may be in it or not.
func (q *Queue) List(f Filter, after Place, n int) []Queued {
	var page []Queued
	for _, s := range q.segmentsFrom(after.Segment) {
		if len(page) >= n {
			break
		}
		page = q.listSegment(page, s, f, after, n)
	}
	return page
}

func compareSegments(a, b Segment) int {
	return cmp.Or(a.Lane.Compare(b.Lane), a.ID.Compare(b.ID))
}

// segmentsFrom are the segments from one on, in their order.
func (q *Queue) segmentsFrom(from Segment) []*segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	var segments []*segment
	for id, s := range q.segments {
		if compareSegments(id, from) >= 0 {
			segments = append(segments, s)
		}
	}
	slices.SortFunc(segments, func(a, b *segment) int { return compareSegments(a.Segment, b.Segment) })
	return segments
}

func (q *Queue) listSegment(page []Queued, s *segment, f Filter, after Place, n int) []Queued {
	q.mu.Lock()
	messages := make([]*message, 0, len(s.messages))
	for _, m := range s.messages {
		if s.Segment != after.Segment || m.id.Compare(after.Entry.Message) >= 0 {
			messages = append(messages, m)
		}
	}
	q.mu.Unlock()
	slices.SortFunc(messages, func(a, b *message) int { return a.id.Compare(b.id) })
	for len(messages) > 0 && len(page) < n {
		some := messages[:min(len(messages), 256)] // so that others have a turn
		messages = messages[len(some):]
		page = q.listSome(page, some, s, f, after, n)
	}
	return page
}

func (q *Queue) listSome(page []Queued, some []*message, s *segment, f Filter, after Place, n int) []Queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, m := range some {
		if m.state == isGone || m.segment != s || f.Age > 0 && now.time().Sub(m.accepted()) < f.Age {
			continue
		}
		submission := unpack(m.packed)
		if f.Sender != "" && senderDomain(submission) != f.Sender {
			continue
		}
		for i := range m.entries {
			behind := s.Segment != after.Segment || m.id != after.Entry.Message || i > after.Entry.Recipient
			e := &m.entries[i]
			if !behind || !e.left() || len(page) >= n || f.Domain != "" && submission.Recipients[i].Domain != f.Domain {
				continue
			}
			if entry := q.queued(m, i, submission, now); f.State == QueueAny || f.State == entry.State {
				page = append(page, entry)
			}
		}
	}
	return page
}

// queued is an entry as the operator sees it. The caller holds the lock.
func (q *Queue) queued(m *message, i int, s *Submission, now stamp) Queued {
	e := &m.entries[i]
	listed := Queued{
		Entry: EntryID{m.id, i}, Segment: m.segment.Segment, Account: s.Account, From: s.From,
		Recipient: s.Recipients[i], Octets: s.Octets, Class: m.class, State: e.state(m, now),
		Accepted: s.Accepted, Expires: s.Expires, Attempts: e.attempts(),
	}
	said := e.said.unpack()
	listed.Service, listed.Outcome = said.service, said.outcome
	if listed.State == QueueDeferred || listed.State == QueueHeld {
		listed.Next = e.due.time()
	}
	return listed
}

// state is what an entry waits for.
func (e *entry) state(m *message, now stamp) QueueState {
	switch {
	case m.state == isBusy && e.due <= now:
		return QueueSending
	case e.due <= now:
		return QueueReady
	case e.said.result() == Ambiguous:
		return QueueHeld
	}
	return QueueDeferred
}

// Retry has an entry tried at once.
func (q *Queue) Retry(id EntryID) error {
	return q.steer(id, func(m *message, e *entry) error {
		if m.state == isBusy {
			return nil // it is being tried
		}
		e.due = q.now()
		q.waiting.remove(m)
		q.place(m, 0)
		return nil
	})
}

// Reroute has an entry tried at once, and by a service if that can take it. It is a
// wish for the next attempt of the whole message, and forgotten when this process ends.
func (q *Queue) Reroute(id EntryID, service string) error {
	if err := q.steer(id, func(m *message, _ *entry) error {
		q.hints[m.id] = service
		return nil
	}); err != nil {
		return err
	}
	return q.Retry(id)
}

// steer does something about an entry under the lock.
func (q *Queue) steer(id EntryID, do func(m *message, e *entry) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.find(id.Message)
	if m == nil || id.Recipient < 0 || id.Recipient >= len(m.entries) || !m.entries[id.Recipient].left() {
		return fmt.Errorf("%w: %s, recipient %d", ErrNotQueued, id.Message, id.Recipient)
	}
	return do(m, &m.entries[id.Recipient])
}

// Cancel gives an entry up, without word to the sender, and says in the journal who did.
// It fails with ErrSending while an attempt is under way.
func (q *Queue) Cancel(ctx context.Context, id EntryID, by string) error {
	data, err := Encode(CancelledData{By: by})
	if err != nil {
		return err
	}
	var m *message
	cancelled := q.event(id.Message, id.Recipient, Cancelled, 0, data)
	if err := q.steer(id, func(found *message, _ *entry) error {
		if m = found; m.state == isBusy {
			return fmt.Errorf("%w: %s, recipient %d", ErrSending, id.Message, id.Recipient)
		}
		cancelled.Last = m.left() == 1
		m.state = isBusy
		q.waiting.remove(m)
		return nil
	}); err != nil {
		return err
	}
	defer q.putBack(m, 0)
	if err := m.segment.writer.append(cancelled); err != nil {
		return fmt.Errorf("relay: cancel %s: %w", id.Message, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m.entries[id.Recipient].kind = Cancelled
	if m.state != isGone {
		q.unreserve(m.segment, 1)
	}
	q.metrics.events.WithLabelValues(eventNames[Cancelled]).Inc()
	return ctx.Err()
}

// Counts is how many entries wait, by class and for what.
type Counts map[Class]map[QueueState]int

// Count counts the entries, and says when the oldest was accepted; zero: there is none.
func (q *Queue) Count() (counts Counts, oldest time.Time) {
	counts = make(Counts)
	for _, s := range q.segmentsFrom(Segment{}) {
		oldest = q.countSegment(s, counts, oldest)
	}
	return counts, oldest
}

func (q *Queue) countSegment(s *segment, counts Counts, oldest time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, m := range s.messages {
		if at := m.accepted(); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		of := counts[m.class]
		if of == nil {
			of = make(map[QueueState]int)
			counts[m.class] = of
		}
		for i := range m.entries {
			if e := &m.entries[i]; e.left() {
				of[e.state(m, now)]++
			}
		}
	}
	return oldest
}

package relay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// When a segment is full: so many entries, or so old.
	segmentEntries = 20_000
	segmentAge     = 10 * time.Minute
	// From when on what is left of a segment is moved to another, if it is less than one
	// in so many, so that the segment can be forgotten.
	strayAge = time.Hour
	strayOne = 20
	// How often the segments are looked through.
	tidyInterval = 5 * time.Second
	// How long no segment is opened after that failed.
	openRest = time.Second
)

// A segment is one whose mail this process sends.
type segment struct {
	Segment
	writer writer
	since  stamp // when it was opened, or its mail taken over
	own    bool  // of this lane

	// Under the lock of the queue.
	messages map[mailbox.MessageID]*message
	entries  int                            // that were ever in it, as far as is known
	left     int                            // of them, that something is left to do for
	gone     bool                           // somebody else has it
	sealed   bool                           // something in it cannot be read, so it is not forgotten
	loads    int                            // loads under way
	finished map[mailbox.MessageID]struct{} // while loads are under way: what they may bring back

	load sync.Mutex // one at a time
}

func (q *Queue) newSegment(s Segment, own bool) *segment {
	return &segment{
		Segment: s, own: own, since: q.now(), messages: make(map[mailbox.MessageID]*message),
		writer: writer{journal: q.options.Journal, segment: s, timeout: q.options.Write, metrics: q.metrics},
	}
}

// takes reports whether new mail may go to a segment.
func (s *segment) takes(now stamp) bool {
	return s.entries < segmentEntries && now < s.since.add(segmentAge)
}

// reserve is a segment that new mail goes to, with room for so many entries. The caller
// files or cancels them later.
func (q *Queue) reserve(ctx context.Context, entries int) (*segment, error) {
	if s := q.reserveOpen(entries); s != nil {
		return s, nil
	}
	select {
	case q.opening <- struct{}{}:
		defer func() { <-q.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("relay: open a segment: %w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
	if s := q.reserveOpen(entries); s != nil {
		return s, nil // opened meanwhile
	}
	if err := q.open(ctx); err != nil {
		return nil, err
	}
	return q.reserveOpen(entries), nil
}

func (q *Queue) reserveOpen(entries int) *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.current
	if s == nil || !s.takes(q.now()) {
		return nil
	}
	s.entries += entries
	s.left += entries
	q.pending += entries
	return s
}

// open makes a new segment the current one. Where that failed, it is the same segment
// that is opened next, so that none is left behind.
func (q *Queue) open(ctx context.Context) error {
	q.mu.Lock()
	rests := q.now() < q.shut
	if q.next.IsZero() {
		q.next = q.options.IDs.Next()
	}
	s := Segment{Lane: q.options.Lane, ID: q.next}
	q.mu.Unlock()
	if rests {
		return fmt.Errorf("relay: open segment %s: it failed just now: %w", s.ID, mailbox.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, q.options.Write)
	defer cancel()
	err := q.options.Journal.Open(ctx, s)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.shut = q.now().add(openRest)
		return fmt.Errorf("relay: open segment %s: %w: %w", s.ID, mailbox.ErrUnavailable, err)
	}
	q.next = mailbox.MessageID{}
	q.current = q.newSegment(s, true)
	q.segments[s] = q.current
	return nil
}

// unreserve gives room back. The caller holds the lock.
func (q *Queue) unreserve(s *segment, entries int) {
	if s.gone {
		return
	}
	s.left -= entries
	q.pending -= entries
}

// tidy closes segments, moves what is left of old ones, and does again what failed.
func (q *Queue) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		q.withdrawAgain(ctx)
		q.releaseAgain(ctx)
		if !q.ours() {
			continue
		}
		for _, s := range q.strays() {
			q.move(ctx, s)
		}
		for _, s := range q.done() {
			q.close(ctx, s)
		}
	}
}

// done are the own segments in which nothing is left to do. What was another's is closed
// by who took it over.
func (q *Queue) done() []*segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	var done []*segment
	for _, s := range q.segments {
		if !s.own || s.left > 0 || s.loads > 0 || s.sealed || s == q.current && s.takes(now) {
			continue
		}
		if s == q.current {
			q.current = nil // before anybody reserves
		}
		done = append(done, s)
	}
	return done
}

func (q *Queue) close(ctx context.Context, s *segment) {
	ctx, cancel := context.WithTimeout(ctx, q.options.Write)
	defer cancel()
	if err := q.options.Journal.Close(ctx, s.Segment); err != nil {
		q.options.Log.Warn("segment not closed yet", "segment", s.ID, "err", err)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.segments, s.Segment)
}

// strays are the messages that keep old segments open, and nobody works on.
func (q *Queue) strays() []*message {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	var strays []*message
	for _, s := range q.segments {
		if s.takes(now) || s.loads > 0 || now < s.since.add(strayAge) || s.left*strayOne >= s.entries {
			continue
		}
		for _, m := range s.messages {
			if m.state != isBusy {
				strays = append(strays, m)
			}
		}
	}
	return strays
}

// move has a message go on in the current segment.
func (q *Queue) move(ctx context.Context, m *message) {
	q.mu.Lock()
	if m.state != isWaiting && m.state != isReady {
		q.mu.Unlock()
		return
	}
	m.state = isBusy
	q.waiting.remove(m)
	from := m.segment
	q.mu.Unlock()

	to, err := q.moveTo(ctx, m, from)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.options.Log.Warn("message not moved yet", "message", m.id, "err", err)
	} else if m.state == isBusy {
		q.refile(m, from, to)
	}
	if m.state == isBusy {
		q.place(m, 0)
	}
}

// refile is the part of a move in memory. The caller holds the lock.
func (q *Queue) refile(m *message, from, to *segment) {
	left := m.left()
	delete(from.messages, m.id)
	from.finish(m.id)
	from.left -= left
	q.pending -= left // counted when the room was reserved
	to.messages[m.id] = m
	to.left -= len(m.entries) - left
	q.pending -= len(m.entries) - left
	m.segment = to
	q.metrics.moved.Add(float64(left))
}

// finish remembers that nothing is left to do for a message, while a load may say
// otherwise. The caller holds the lock.
func (s *segment) finish(id mailbox.MessageID) {
	if s.loads > 0 {
		s.finished[id] = struct{}{}
	}
}

// moveTo writes the events of a move. Once it has begun, it is repeated until it is
// done: what is in both segments would come to life again with either.
func (q *Queue) moveTo(ctx context.Context, m *message, from *segment) (*segment, error) {
	accepted, err := Encode(*unpack(m.packed))
	if err != nil {
		return nil, err
	}
	begin := []Event{q.event(m.id, Whole, Accepted, 0, accepted)}
	for i := range m.entries {
		if m.entries[i].kind == 0 {
			continue
		}
		e, err := q.restate(m, i)
		if err != nil {
			return nil, err
		}
		begin = append(begin, e)
	}
	to, err := q.reserve(ctx, len(m.entries))
	if err != nil {
		return nil, err
	}
	moved, err := Encode(MovedData{To: to.Segment})
	if err != nil {
		return nil, err
	}
	var end []Event
	for i := range m.entries {
		if m.entries[i].left() {
			end = append(end, q.event(m.id, i, Moved, 0, moved))
		}
	}
	if !q.insist(ctx, to, begin) || !q.insist(ctx, from, end) {
		return nil, context.Cause(ctx) // this queue ends
	}
	return to, nil
}

// restate is the event that says where an entry stands.
func (q *Queue) restate(m *message, recipient int) (Event, error) {
	e := &m.entries[recipient]
	if !e.left() {
		return q.event(m.id, recipient, e.kind, 0, []byte("{}")), nil // the old segment says more
	}
	said := e.said.unpack()
	data, err := Encode(DeferredData{Next: e.due.time(), Service: said.service, Outcome: said.outcome, Warned: m.warned})
	return q.event(m.id, recipient, Deferred, int(e.seq), data), err
}

// event is an event of this lane.
func (q *Queue) event(message mailbox.MessageID, recipient int, kind Kind, seq int, data []byte) Event {
	return Event{
		Entry: EntryID{Message: message, Recipient: recipient}, Kind: kind, Seq: seq,
		Writer: q.options.Lane, At: q.now().time(), Data: data,
	}
}

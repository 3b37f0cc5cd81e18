package relay

import (
	"context"
	"fmt"

	"restante/mailbox"
)

// Resume takes over what is left to do in a segment, its own or another's, as it stands
// in the journal. What is done for it is written to the same segment. Repeating it takes
// in what has come to light since. It fails where the journal does; then nothing is
// taken over that was not before.
//
// A segment of this lane is closed when nothing is left to do in it. Another's is left
// to who called this: see [Queue.Left].
func (q *Queue) Resume(ctx context.Context, id Segment) error {
	s := q.join(id)
	defer q.leave(s)
	s.load.Lock()
	defer s.load.Unlock()
	folded, err := Fold(q.options.Journal.Load(ctx, id))
	if err != nil {
		return fmt.Errorf("relay: resume segment %s: %w", id.ID, err)
	}
	var over []mailbox.MessageID // messages for which nothing is left to do, but perhaps to release their content
	for message, found := range folded.Messages {
		switch m := q.found(message, s, found); {
		case m.left() > 0:
			q.merge(m)
		case q.ended(m) && !m.journalled:
			over = append(over, message)
		}
	}
	q.seal(s, folded)
	for len(over) > 0 {
		n := min(len(over), releaseAtOnce)
		q.release(over[:n]...)
		over = over[n:]
	}
	q.look()
	return nil
}

// join is a segment, known from now on, with one more load under way.
func (q *Queue) join(id Segment) *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.segments[id]
	if s == nil {
		s = q.newSegment(id, id.Lane == q.options.Lane)
		q.segments[id] = s
	}
	if s.loads++; s.finished == nil {
		s.finished = make(map[mailbox.MessageID]struct{})
	}
	return s
}

func (q *Queue) leave(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.loads--; s.loads == 0 {
		s.finished = nil
	}
}

// seal keeps a segment from being forgotten in which there is what cannot be read.
func (q *Queue) seal(s *segment, f Folded) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.sealed = f.Unreadable > 0; s.sealed || f.Damaged > 0 || f.Unknown > 0 {
		q.options.Log.Error("segment has events that cannot be read", "segment", s.ID,
			"messages", f.Unreadable, "damaged", f.Damaged, "unknown", f.Unknown)
	}
}

// openAttempt is what is known of an attempt of which nobody knows how it ended.
var openAttempt = Outcome{Result: Ambiguous, Text: "the process that sent it ended"}

// found is a message as the journal has it.
func (q *Queue) found(id mailbox.MessageID, in *segment, f FoldedMessage) *message {
	m := q.newMessage(id, in, f.Submission)
	p := q.options.Policies.of(m.class)
	now := q.now()
	last := now.add(p.Steps[len(p.Steps)-1] * 2) // by a clock that may have been wrong
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, is := range f.States {
		e := &m.entries[i]
		e.seq = uint16(min(is.Seq, 1<<16-1))
		e.unreached = uint8(max(0, min(is.Unreached, mostUnreached, is.Seq)))
		switch e.kind = is.Kind; e.kind {
		case Accepted:
			e.kind = 0
		case Attempt:
			e.due, e.tried = max(now.add(q.options.OpenHold), min(now, stampOf(is.At)).add(p.reopen(e.attempts()))), uint32(is.At.Unix())
			e.said = q.share(saying{is.Service, openAttempt})
		case Deferred:
			e.due, e.said = min(stampOf(is.Next), last), q.share(saying{is.Service, is.Outcome})
			if is.Seq > 0 {
				e.tried = uint32(is.At.Unix())
			}
			if is.Untold {
				e.kind = givenUp
			}
		}
		m.warned = m.warned || is.Warned
	}
	return m
}

// merge takes a message into the queue.
func (q *Queue) merge(m *message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := m.segment
	_, finished := s.finished[m.id]
	if finished || s.gone || q.leftovers.has(m.id) {
		return
	}
	switch known := s.messages[m.id]; {
	case known == nil:
		s.messages[m.id] = m
		s.entries += len(m.entries)
		s.left += m.left()
		q.pending += m.left()
		q.place(m, 0)
	case known.state == isWaiting || known.state == isReady:
		q.learn(known, m)
	}
}

// ended takes a message out of the queue for which nothing is left to do, as the journal
// has it: another brought it to its end. It reports false where it is being worked on,
// so that its content is still needed.
func (q *Queue) ended(m *message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := m.segment.messages[m.id]
	switch {
	case known == nil:
		return true
	case known.state == isBusy:
		return false
	}
	q.unreserve(known.segment, known.left())
	q.forget(known)
	return true
}

// learn takes over what another wrote about a message. The caller holds the lock.
func (q *Queue) learn(known, found *message) {
	for i := range known.entries {
		old, now := &known.entries[i], &found.entries[i]
		if !old.left() || now.left() && now.seq <= old.seq {
			continue
		}
		if !now.left() {
			q.unreserve(known.segment, 1)
		}
		*old = *now
	}
	known.state = isBusy
	q.place(known, 0)
}

// find is a message that something is left to do for, or nil. The caller holds the lock.
func (q *Queue) find(id mailbox.MessageID) *message {
	for _, s := range q.segments {
		if m := s.messages[id]; m != nil {
			return m
		}
	}
	return nil
}

// Left is how many entries of a segment this queue has yet to bring to an end, and
// whether it has the segment at all. One that must not be closed, because something in
// it cannot be read, has one more.
func (q *Queue) Left(id Segment) (left int, known bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.segments[id]
	if s == nil {
		return 0, false
	}
	if left = s.left; s.sealed {
		left++
	}
	return left, true
}

// Abandon gives up a segment, because somebody else has it or because it was closed.
// Attempts that run go on, and what comes of them is written.
func (q *Queue) Abandon(id Segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.segments[id]
	if s == nil {
		return
	}
	for _, m := range s.messages {
		q.forget(m)
	}
	q.pending -= s.left
	s.gone, s.left = true, 0
	delete(q.segments, id)
	if q.current == s {
		q.current = nil
	}
}

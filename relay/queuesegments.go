package relay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"restante/mailbox"
)

const (
	// When a segment is full: so many entries, so many octets of content, or so old. It
	// stays open until its last entry has come to an end, which may take days. What is left
	// is not moved together into another: in between it would be in two, and two processes
	// might take them over, each of which takes its own for the one that counts.
	segmentEntries = 20_000
	segmentOctets  = 64 << 20
	segmentAge     = time.Hour
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
	octets   int                            // of content that this process put in it
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
	return s.entries < segmentEntries && s.octets < segmentOctets && now < s.since.add(segmentAge)
}

// reserve is a segment that new mail goes to, with room for so many entries and octets of
// content. The caller files or cancels the entries later.
func (q *Queue) reserve(ctx context.Context, entries, octets int) (*segment, error) {
	if s := q.reserveOpen(entries, octets); s != nil {
		return s, nil
	}
	select {
	case q.opening <- struct{}{}:
		defer func() { <-q.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("relay: open a segment: %w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
	for {
		if s := q.reserveOpen(entries, octets); s != nil {
			return s, nil
		}
		if err := q.open(ctx); err != nil { // what it opened others may fill before us
			return nil, err
		}
	}
}

func (q *Queue) reserveOpen(entries, octets int) *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.current
	if s == nil || !s.takes(q.now()) {
		return nil
	}
	s.entries += entries
	s.octets += octets
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

// tidy closes segments, and does again what failed.
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

// finish remembers that nothing is left to do for a message, while a load may say
// otherwise. The caller holds the lock.
func (s *segment) finish(id mailbox.MessageID) {
	if s.loads > 0 {
		s.finished[id] = struct{}{}
	}
}

// event is an event of this lane.
func (q *Queue) event(message mailbox.MessageID, recipient int, kind Kind, seq int, data []byte) Event {
	return Event{
		Entry: EntryID{Message: message, Recipient: recipient}, Kind: kind, Seq: seq,
		Writer: q.options.Lane, At: q.now().time(), Data: data,
	}
}

package relaytest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"restante/mailbox"
	"restante/relay"
)

// withContents are n messages that were accepted, with contents of so many octets and
// nothing else to say.
func withContents(n, size int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		events[i] = newEvent(relay.Accepted)
		events[i].Data, events[i].Content = nil, octets(size, uint64(i+1))
	}
	return events
}

func (s journalSuite) contentComesBack(t *testing.T) {
	for _, size := range []int{0, 1, 256, 4 << 10, relay.MaxContent} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			seg, e := s.opened(t), newEvent(relay.Accepted)
			e.Content = octets(size, 7)
			s.append(t, seg, copyOf(e))
			s.has(t, seg, e)
			s.append(t, seg, newEvent(relay.Attempt), eventAfter(e, relay.Attempt), eventAfter(e, relay.Deferred))
			s.has(t, seg, e)
		})
	}
}

// eventAfter is another event of the same message.
func eventAfter(e relay.Event, k relay.Kind) relay.Event {
	after := newEvent(k)
	after.Entry.Message = e.Entry.Message
	return after
}

func (s journalSuite) contentsTogether(t *testing.T) {
	for _, size := range []int{100, relay.MaxContent} {
		t.Run(fmt.Sprintf("%d octets each", size), func(t *testing.T) {
			seg, events := s.opened(t), withContents(min(relay.MaxBatch, relay.MaxBatchOctets/size), size)
			s.append(t, seg, copiesOf(events)...)
			s.has(t, seg, events...)
			s.holds(t, seg, events...)
		})
	}
}

func (s journalSuite) contentNotLoaded(t *testing.T) {
	seg, events := s.opened(t), withContents(3, 1000)
	events[2].Last = true
	s.append(t, seg, copiesOf(events)...)
	held, err := loaded(t.Context(), s.journal, seg)
	if err != nil || len(held) != len(events) {
		t.Fatalf("%d events, %v", len(held), err)
	}
	for name, e := range held {
		if e.Content != nil || e.Last {
			t.Errorf("%s comes with %d octets of content, last: %v", name, len(e.Content), e.Last)
		}
	}
}

func (s journalSuite) contentMissing(t *testing.T) {
	seg, without, with := s.opened(t), newEvent(relay.Accepted), withContents(1, 100)[0]
	s.append(t, seg, without, with)
	s.hasNot(t, seg, without)
	s.hasNot(t, seg, newEvent(relay.Accepted))
	s.hasNot(t, newSegment(), with)
	s.close(t, seg)
	s.hasNot(t, seg, with)
}

func (s journalSuite) contentsApart(t *testing.T) {
	seg := newSegment()
	segments := []relay.Segment{seg, {Lane: seg.Lane, ID: ids.Next()}, {Lane: ids.Next(), ID: seg.ID}}
	held := make([][]relay.Event, len(segments))
	e := newEvent(relay.Accepted)
	for i, seg := range segments {
		s.open(t, seg)
		e.Content = fmt.Appendf(nil, "in segment %d", i)
		held[i] = append(withContents(3, 500), copyOf(e)) // the last has the same name in each
		s.append(t, seg, copiesOf(held[i])...)
	}
	for i, seg := range segments {
		s.has(t, seg, held[i]...)
	}
	last := eventAfter(e, relay.Delivered)
	last.Last = true
	s.append(t, segments[0], last)
	s.close(t, segments[1])
	s.hasNot(t, segments[0], e)
	s.has(t, segments[0], held[0][:3]...)
	s.hasNot(t, segments[1], held[1]...)
	s.has(t, segments[2], held[2]...)
}

func (s journalSuite) contentAgain(t *testing.T) {
	seg, events := s.opened(t), withContents(4, 300)
	s.append(t, seg, copiesOf(events)...)
	s.append(t, seg, copiesOf(events[1:3])...)
	s.append(t, seg, copyOf(events[3]), copyOf(events[3]))
	s.has(t, seg, events...)
	s.holds(t, seg, events...)
}

func (s journalSuite) contentForgotten(t *testing.T) {
	for _, k := range []relay.Kind{relay.Delivered, relay.Failed, relay.Cancelled} {
		t.Run(fmt.Sprintf("kind %d", k), func(t *testing.T) {
			seg, events := s.opened(t), withContents(3, 300)
			s.append(t, seg, copiesOf(events)...)
			last := eventAfter(events[1], k)
			last.Last = true
			s.append(t, seg, eventAfter(events[0], k), last) // the first has other recipients
			s.hasNot(t, seg, events[1])
			s.append(t, seg, copyOf(events[1])) // which comes late, or again
			s.append(t, seg, last)
			s.hasNot(t, seg, events[1])
			s.has(t, seg, events[0], events[2])
		})
	}
}

func (s journalSuite) contentChanged(t *testing.T) {
	seg, events := s.opened(t), withContents(2, 1000)
	given := copiesOf(events)
	s.append(t, seg, given...)
	clear(given[0].Content)
	s.has(t, seg, events...)
	got, err := s.journal.Content(t.Context(), seg, events[1].Entry.Message)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	_ = append(got, "beyond its end"...)
	s.has(t, seg, events...)
}

// has checks that the contents of messages are there.
func (s journalSuite) has(t *testing.T, seg relay.Segment, events ...relay.Event) {
	t.Helper()
	for _, e := range events {
		got, err := s.journal.Content(t.Context(), seg, e.Entry.Message)
		if err != nil || !bytes.Equal(got, e.Content) {
			t.Errorf("Content of %s = %d octets, %v; want the %d that were appended", e.Entry.Message, len(got), err, len(e.Content))
		}
	}
}

// hasNot checks that they are not.
func (s journalSuite) hasNot(t *testing.T, seg relay.Segment, events ...relay.Event) {
	t.Helper()
	for _, e := range events {
		if got, err := s.journal.Content(t.Context(), seg, e.Entry.Message); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("Content of %s = %d octets, %v; want not found", e.Entry.Message, len(got), err)
		}
	}
}

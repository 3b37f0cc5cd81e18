package relaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// Journal is the suite of the same name with these options.
func (o Options) Journal(t *testing.T, open func(t *testing.T) (relay.Journal, mailbox.Contents)) {
	j, contents := open(t)
	s := journalSuite{o.withDefaults(), j, contents}
	t.Run("every field of an event comes back", s.comesBack)
	t.Run("data of any octets and size comes back", s.anyData)
	t.Run("events that differ in one part of their name are told apart", s.toldApart)
	t.Run("events of one call all come back", s.batch)
	t.Run("an event appended again changes nothing", s.appendedAgain)
	t.Run("an append of nothing is harmless", s.nothing)
	t.Run("a batch may be as large as the limits say", s.largest)
	t.Run("a batch beyond the limits is refused as a whole", s.tooLarge)
	t.Run("thousands of events come back", s.thousands)
	t.Run("large events come back one after the other", s.heavy)
	t.Run("an unknown segment has no events", s.unknown)
	t.Run("segments do not mix", s.apart)
	t.Run("what was given to an append may be changed", s.givenChanged)
	t.Run("what was handed out may be kept and changed", s.handedOut)
	t.Run("a load may be left early", s.leftEarly)
	t.Run("the journal may be used during a load", s.usedWhileLoaded)
	t.Run("writers at the same time lose nothing", s.writersAtOnce)
	t.Run("an event appended by several at the same time is there once", s.sameAtOnce)
	t.Run("a load beside writers has what was acknowledged", s.loadBeside)
	t.Run("content put before is there when an append returns", s.content)
	t.Run("a content comes back as it was", s.contentComesBack)
	t.Run("contents of one call all come back", s.contentsTogether)
	t.Run("a load brings no content", s.contentNotLoaded)
	t.Run("a content that is not there is not found", s.contentMissing)
	t.Run("contents of segments and messages do not mix", s.contentsApart)
	t.Run("a content appended again changes nothing", s.contentAgain)
	t.Run("the last event forgets a content for good", s.contentForgotten)
	t.Run("a content may be changed where it came from and where it went", s.contentChanged)
	t.Run("an open segment is listed under its lane", s.listed)
	t.Run("opening again is harmless", s.openedAgain)
	t.Run("a lane with a segment is listed in its data centre", s.lanes)
	t.Run("a closed segment is forgotten", s.closed)
	t.Run("closing again is harmless", s.closedAgain)
	t.Run("closing takes nothing of other segments", s.closedAlone)
	t.Run("an append after the close lists nothing", s.late)
	t.Run("a close during a load ends it in order", s.closedWhileLoaded)
	t.Run("an ended context fails each call", s.ended)
	t.Run("an append whose context ends is there as a whole or not at all", s.endedMeanwhile)
}

type journalSuite struct {
	Options
	journal  relay.Journal
	contents mailbox.Contents
}

func (s journalSuite) comesBack(t *testing.T) {
	for _, k := range kinds {
		t.Run(fmt.Sprintf("kind %d", k), func(t *testing.T) {
			seg := s.opened(t)
			e := newEvent(k)
			s.append(t, seg, e)
			s.holds(t, seg, e)
		})
	}
	zone := time.FixedZone("elsewhere", -5*3600-1800)
	for name, change := range map[string]func(*relay.Event){
		"the message itself":   func(e *relay.Event) { e.Entry.Recipient = relay.Whole },
		"the first recipient":  func(e *relay.Event) { e.Entry.Recipient = 0 },
		"the last recipient":   func(e *relay.Event) { e.Entry.Recipient = math.MaxInt32 },
		"no attempt":           func(e *relay.Event) { e.Seq = 0 },
		"the last attempt":     func(e *relay.Event) { e.Seq = math.MaxInt32 },
		"a time elsewhere":     func(e *relay.Event) { e.At = e.At.In(zone) },
		"a time before 1970":   func(e *relay.Event) { e.At = time.Date(1969, 12, 31, 23, 59, 59, 1e6, time.UTC) },
		"a time of the future": func(e *relay.Event) { e.At = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			seg, e := s.opened(t), newEvent(relay.Deferred)
			change(&e)
			s.append(t, seg, e)
			s.holds(t, seg, e)
		})
	}
}

func (s journalSuite) anyData(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, data := range map[string][]byte{
		"none":            nil,
		"no octets":       {},
		"one NUL":         {0},
		"every octet":     every,
		"nothing but 255": bytes.Repeat([]byte{255}, 100),
		"1,023 octets":    octets(1023, 1),
		"1,024 octets":    octets(1024, 2),
		"64 KiB":          octets(64<<10, 3),
		"as much as may":  octets(relay.MaxData, 4),
	} {
		t.Run(name, func(t *testing.T) {
			seg, e := s.opened(t), newEvent(relay.Accepted)
			e.Data = data
			s.append(t, seg, e)
			s.holds(t, seg, e)
		})
	}
}

func (s journalSuite) toldApart(t *testing.T) {
	seg, e := s.opened(t), newEvent(relay.Attempt)
	e.Entry.Recipient, e.Seq = 1, 1
	events := []relay.Event{e}
	for _, change := range []func(*relay.Event){
		func(e *relay.Event) { e.Entry.Message = ids.Next() },
		func(e *relay.Event) { e.Entry.Message[0] ^= 0x80 },
		func(e *relay.Event) { e.Entry.Recipient = 0 },
		func(e *relay.Event) { e.Entry.Recipient = relay.Whole },
		func(e *relay.Event) { e.Entry.Recipient = 1 << 8 },
		func(e *relay.Event) { e.Entry.Recipient = 1<<16 + 1 },
		func(e *relay.Event) { e.Kind = relay.Deferred },
		func(e *relay.Event) { e.Seq = 0 },
		func(e *relay.Event) { e.Seq = 2 },
		func(e *relay.Event) { e.Seq = 1 << 8 },
		func(e *relay.Event) { e.Seq = 1<<16 + 1 },
		func(e *relay.Event) { e.Writer = ids.Next() },
		func(e *relay.Event) { e.Writer[15] ^= 0x80 },
	} {
		other := e
		change(&other)
		other.Data = fmt.Appendf(nil, "event %d", len(events))
		events = append(events, other)
	}
	for _, e := range events {
		s.append(t, seg, e)
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) batch(t *testing.T) {
	seg, events := s.opened(t), newEvents(10)
	s.append(t, seg, events[:7]...)
	s.append(t, seg, events[7:]...)
	s.holds(t, seg, events...)
}

func (s journalSuite) appendedAgain(t *testing.T) {
	seg, events := s.opened(t), newEvents(5)
	s.append(t, seg, events...)
	s.append(t, seg, events...)
	s.append(t, seg, events[1])
	s.append(t, seg, events[2], events[2])
	s.holds(t, seg, events...)
}

func (s journalSuite) nothing(t *testing.T) {
	seg, e := s.opened(t), newEvent(relay.Accepted)
	s.append(t, seg)
	s.holds(t, seg)
	s.append(t, seg, e)
	s.append(t, seg)
	s.holds(t, seg, e)
}

// share makes n events whose data are so many octets together.
func share(n, total int) []relay.Event {
	events := newEvents(n)
	for i := range events {
		events[i].Data = octets(total*(i+1)/n-total*i/n, uint64(i))
	}
	return events
}

func (s journalSuite) largest(t *testing.T) {
	for name, events := range map[string][]relay.Event{
		"many events":                share(relay.MaxBatch, relay.MaxBatch*20),
		"many octets":                share(relay.MaxBatch, relay.MaxBatchOctets),
		"many octets in two events":  share(2, relay.MaxBatchOctets),
		"an event with all it may":   share(1, relay.MaxData),
		"and many with nothing else": append(share(1, relay.MaxData), share(relay.MaxBatch-1, 0)...),
	} {
		t.Run(name, func(t *testing.T) {
			seg := s.opened(t)
			s.append(t, seg, events...)
			s.holds(t, seg, events...)
		})
	}
}

func (s journalSuite) tooLarge(t *testing.T) {
	with := func(change func(*relay.Event)) []relay.Event {
		events := newEvents(3)
		change(&events[2])
		return events
	}
	for name, events := range map[string][]relay.Event{
		"an event too many":               newEvents(relay.MaxBatch + 1),
		"an octet too many":               share(relay.MaxBatch, relay.MaxBatchOctets+1),
		"an event with an octet too many": share(1, relay.MaxData+1),
		"a recipient below the first":     with(func(e *relay.Event) { e.Entry.Recipient = relay.Whole - 1 }),
		"a recipient beyond 31 bits":      with(func(e *relay.Event) { e.Entry.Recipient = math.MaxInt32 + 1 }),
		"an attempt below none":           with(func(e *relay.Event) { e.Seq = -1 }),
		"an attempt beyond 31 bits":       with(func(e *relay.Event) { e.Seq = math.MaxInt32 + 1 }),
		"a content with an octet too many": with(func(e *relay.Event) {
			e.Kind, e.Content = relay.Accepted, octets(relay.MaxContent+1, 1)
		}),
		"a content with another event": with(func(e *relay.Event) { e.Kind, e.Content = relay.Attempt, octets(10, 1) }),
		"contents with an octet too many together": func() []relay.Event {
			events := withContents(relay.MaxBatchOctets/relay.MaxContent, relay.MaxContent)
			events[0].Data = []byte{1}
			return events
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			seg := s.opened(t)
			if err := s.journal.Append(t.Context(), seg, events...); !errors.Is(err, relay.ErrBatch) || errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("Append = %v; want ErrBatch, and nothing that trying again may help", err)
			}
			s.holds(t, seg)
		})
	}
}

func (s journalSuite) thousands(t *testing.T) {
	seg, events := s.opened(t), newEvents(s.Many)
	for batch := range slices.Chunk(events, relay.MaxBatch) {
		s.append(t, seg, batch...)
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) heavy(t *testing.T) {
	seg := s.opened(t)
	var events []relay.Event
	for i := range 8 {
		e := newEvent(relay.Accepted)
		e.Data = octets(relay.MaxData, uint64(i))
		s.append(t, seg, e)
		events = append(events, e)
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) unknown(t *testing.T) {
	seg := newSegment()
	s.holds(t, seg)
	s.lists(t, seg.Lane)
	s.open(t, seg)
	s.holds(t, seg)
}

func (s journalSuite) apart(t *testing.T) {
	seg := newSegment()
	segments := []relay.Segment{
		seg,
		{Lane: seg.Lane, ID: ids.Next()},
		{Lane: ids.Next(), ID: seg.ID},
		{Lane: seg.ID, ID: seg.Lane},
	}
	e := newEvent(relay.Attempt)
	held := make([][]relay.Event, len(segments))
	for i, seg := range segments {
		s.open(t, seg)
		e.Data = fmt.Appendf(nil, "in segment %d", i)
		held[i] = append(newEvents(3), copyOf(e)) // the last has the same name in each
		s.append(t, seg, held[i]...)
	}
	for i, seg := range segments {
		s.holds(t, seg, held[i]...)
	}
}

func (s journalSuite) givenChanged(t *testing.T) {
	seg, events := s.opened(t), newEvents(3)
	events[2].Data = octets(5000, 1)
	given := copiesOf(events)
	s.append(t, seg, given...)
	for i := range given {
		clear(given[i].Data)
		given[i] = newEvent(relay.Failed)
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) handedOut(t *testing.T) {
	seg, events := s.opened(t), newEvents(50)
	events[7].Data, events[30].Data = octets(5000, 1), octets(100_000, 2)
	s.append(t, seg, copiesOf(events)...)
	var kept []relay.Event
	for e, err := range s.journal.Load(t.Context(), seg) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, e)
	}
	s.holds(t, seg, events...) // another load, which might write over what was kept
	want := byName(events)
	for _, e := range kept {
		if !sameEvent(e, want[nameOf(e)]) {
			t.Errorf("%s changed after it was handed out", nameOf(e))
		}
		clear(e.Data)
		_ = append(e.Data, "beyond its end"...)
	}
	s.holds(t, seg, events...)
}

func byName(events []relay.Event) map[name]relay.Event {
	m := make(map[name]relay.Event, len(events))
	for _, e := range events {
		m[nameOf(e)] = e
	}
	return m
}

func (s journalSuite) leftEarly(t *testing.T) {
	seg, events := s.opened(t), newEvents(50)
	s.append(t, seg, events...)
	for n := range 3 {
		left := n
		for _, err := range s.journal.Load(t.Context(), seg) {
			if err != nil {
				t.Error(err)
			}
			if left == 0 {
				break
			}
			left--
		}
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) usedWhileLoaded(t *testing.T) {
	seg, events := s.opened(t), newEvents(10)
	s.append(t, seg, events...)
	want := byName(events)
	for e, err := range s.journal.Load(t.Context(), seg) {
		if err != nil {
			t.Fatal(err)
		}
		if _, before := want[nameOf(e)]; !before {
			continue // appended below, which a load may have
		}
		more := newEvent(relay.Delivered)
		s.append(t, seg, more)
		events = append(events, more)
		s.holds(t, seg, events...)
		s.lists(t, seg.Lane, seg)
	}
	s.holds(t, seg, events...)
}

func (s journalSuite) writersAtOnce(t *testing.T) {
	segments := []relay.Segment{s.opened(t), s.opened(t)}
	const appends = 10
	written := make([][]relay.Event, s.Writers)
	var all sync.WaitGroup
	for w := range s.Writers {
		all.Go(func() {
			for n := range appends {
				events := newEvents(1 + n%3)
				s.append(t, segments[w%2], events...)
				written[w] = append(written[w], events...)
			}
		})
	}
	all.Wait()
	for i, seg := range segments {
		var events []relay.Event
		for w := i; w < s.Writers; w += 2 {
			events = append(events, written[w]...)
		}
		s.holds(t, seg, events...)
	}
}

func (s journalSuite) sameAtOnce(t *testing.T) {
	seg, events := s.opened(t), newEvents(10)
	var all sync.WaitGroup
	for range s.Writers {
		all.Go(func() {
			s.append(t, seg, events[:6]...)
			s.append(t, seg, events[4:]...)
		})
	}
	all.Wait()
	s.holds(t, seg, events...)
}

func (s journalSuite) loadBeside(t *testing.T) {
	seg := s.opened(t)
	var mu sync.Mutex
	begun, acknowledged := make(map[name]relay.Event), make(map[name]bool)
	var writers sync.WaitGroup
	for range s.Writers {
		writers.Go(func() {
			for range 20 {
				e := newEvent(relay.Attempt)
				mu.Lock()
				begun[nameOf(e)] = e
				mu.Unlock()
				s.append(t, seg, e)
				mu.Lock()
				acknowledged[nameOf(e)] = true
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		writers.Wait()
	}()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		mu.Lock()
		want := make([]name, 0, len(acknowledged))
		for n := range acknowledged {
			want = append(want, n)
		}
		mu.Unlock()
		got, err := loaded(t.Context(), s.journal, seg)
		if err != nil {
			t.Errorf("Load: %v", err)
			break
		}
		for _, n := range want {
			if _, ok := got[n]; !ok {
				t.Errorf("%s was acknowledged before the load and is not in it", n)
			}
		}
		mu.Lock()
		for n, e := range got {
			if !sameEvent(e, begun[n]) {
				t.Errorf("%s is not what was appended", n)
			}
		}
		mu.Unlock()
	}
	<-done
}

func (s journalSuite) content(t *testing.T) {
	for _, size := range []int{0, 4000, 300 << 10} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			seg, e := s.opened(t), newEvent(relay.Accepted)
			want := octets(size, uint64(size))
			c := mailbox.Content{ID: e.Entry.Message, Maildrops: []mailbox.MaildropID{mailbox.Outbound}}
			if n, err := s.contents.Put(t.Context(), c, bytes.NewReader(want)); err != nil || n != int64(size) {
				t.Fatalf("Put = %d, %v", n, err)
			}
			s.append(t, seg, e)
			r, err := s.contents.Open(t.Context(), mailbox.Message{ID: c.ID, Octets: int64(size), Recipients: 1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d octets, %v; want the %d that were put", len(got), err, size)
			}
			if err := s.contents.Release(t.Context(), mailbox.Outbound, mailbox.Message{ID: c.ID, Recipients: 1}); err != nil {
				t.Errorf("Release: %v", err)
			}
			s.holds(t, seg, e)
		})
	}
}

func (s journalSuite) listed(t *testing.T) {
	lane, other := ids.Next(), ids.Next()
	var segments []relay.Segment
	for range 5 {
		seg := relay.Segment{Lane: lane, ID: ids.Next()}
		s.open(t, seg)
		segments = append(segments, seg)
		s.lists(t, lane, segments...)
	}
	s.open(t, relay.Segment{Lane: other, ID: segments[0].ID})
	s.append(t, segments[1], newEvents(3)...)
	s.lists(t, lane, segments...)
	s.lists(t, other, relay.Segment{Lane: other, ID: segments[0].ID})
	s.lists(t, segments[0].ID)
}

func (s journalSuite) openedAgain(t *testing.T) {
	seg, events := s.opened(t), newEvents(3)
	s.open(t, seg)
	s.append(t, seg, events...)
	s.open(t, seg)
	s.lists(t, seg.Lane, seg)
	s.holds(t, seg, events...)
}

func (s journalSuite) lanes(t *testing.T) {
	var want []mailbox.MessageID
	for range 3 {
		seg := s.opened(t)
		s.open(t, relay.Segment{Lane: seg.Lane, ID: ids.Next()})
		want = append(want, seg.Lane)
	}
	lanes, err := s.journal.Lanes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range want {
		if n := count(lanes, lane); n != 1 {
			t.Errorf("a lane with segments is listed %d times among %d", n, len(lanes))
		}
	}
	if lanes, err := s.journal.Lanes(t.Context(), "a data centre that nobody knows"); err != nil || len(lanes) != 0 {
		t.Errorf("the lanes of an unknown data centre are %v, %v; want none", lanes, err)
	}
}

// count is how often x is in a list.
func count[T comparable](list []T, x T) (n int) {
	for _, y := range list {
		if x == y {
			n++
		}
	}
	return n
}

func (s journalSuite) closed(t *testing.T) {
	for name, events := range map[string][]relay.Event{"empty": nil, "with events": newEvents(100), "with large events": share(5, 500_000)} {
		t.Run(name, func(t *testing.T) {
			seg := s.opened(t)
			for batch := range slices.Chunk(events, relay.MaxBatch) {
				s.append(t, seg, batch...)
			}
			s.close(t, seg)
			s.holds(t, seg)
			s.lists(t, seg.Lane)
		})
	}
}

func (s journalSuite) closedAgain(t *testing.T) {
	seg := s.opened(t)
	s.append(t, seg, newEvents(3)...)
	s.close(t, seg)
	s.close(t, seg)
	s.holds(t, seg)
	s.lists(t, seg.Lane)
	s.close(t, newSegment()) // one that was never opened
}

func (s journalSuite) closedAlone(t *testing.T) {
	seg := s.opened(t)
	sibling := relay.Segment{Lane: seg.Lane, ID: ids.Next()}
	cousin := relay.Segment{Lane: ids.Next(), ID: seg.ID}
	s.open(t, sibling)
	s.open(t, cousin)
	events := newEvents(5)
	for _, each := range []relay.Segment{seg, sibling, cousin} {
		s.append(t, each, events...)
	}
	s.close(t, seg)
	s.holds(t, seg)
	s.holds(t, sibling, events...)
	s.holds(t, cousin, events...)
	s.lists(t, seg.Lane, sibling)
	s.lists(t, cousin.Lane, cousin)
}

func (s journalSuite) late(t *testing.T) {
	seg := s.opened(t)
	s.append(t, seg, newEvents(3)...)
	s.close(t, seg)
	late := newEvents(3)
	// It may fail, and it may be found. Nothing else may come of it.
	_ = s.journal.Append(t.Context(), seg, late...)
	s.lists(t, seg.Lane)
	got, err := loaded(t.Context(), s.journal, seg)
	if err != nil {
		t.Fatal(err)
	}
	for n, e := range got {
		if !sameEvent(e, byName(late)[n]) {
			t.Errorf("%s was closed away and is back", n)
		}
	}
	s.close(t, seg)
	s.lists(t, seg.Lane)
}

func (s journalSuite) closedWhileLoaded(t *testing.T) {
	seg, events := s.opened(t), newEvents(s.Many)
	for batch := range slices.Chunk(events, relay.MaxBatch) {
		s.append(t, seg, batch...)
	}
	want := byName(events)
	n := 0
	for e, err := range s.journal.Load(t.Context(), seg) {
		if err != nil {
			t.Errorf("Load after %d events: %v", n, err)
			break
		}
		if n++; n == 10 {
			s.close(t, seg)
		}
		if !sameEvent(e, want[nameOf(e)]) {
			t.Errorf("%s is not what was appended", nameOf(e))
		}
	}
	if n < 10 || n > s.Many {
		t.Errorf("%d events; want 10 at least and %d at most", n, s.Many)
	}
	s.holds(t, seg)
}

func (s journalSuite) ended(t *testing.T) {
	seg, events := s.opened(t), newEvents(3)
	s.append(t, seg, events...)
	ctx := ended(t)
	if err := s.journal.Open(ctx, newSegment()); err == nil {
		t.Error("Open succeeded")
	}
	more := newEvents(2)
	if err := s.journal.Append(ctx, seg, more...); err == nil {
		t.Error("Append succeeded")
	}
	n, failed := 0, error(nil)
	for _, err := range s.journal.Load(ctx, seg) {
		if n++; err != nil {
			failed = err
		}
	}
	if n != 1 || failed == nil {
		t.Errorf("Load gave %d events, %v; want an error and then the end", n, failed)
	}
	if _, err := s.journal.Content(ctx, seg, events[0].Entry.Message); err == nil || errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Content = %v; want another failure", err)
	}
	if _, err := s.journal.Lanes(ctx, ""); err == nil {
		t.Error("Lanes succeeded")
	}
	if _, err := s.journal.Segments(ctx, seg.Lane); err == nil {
		t.Error("Segments succeeded")
	}
	if err := s.journal.Close(ctx, seg); err == nil {
		t.Error("Close succeeded")
	}
	s.allOrNone(t, seg, events, more)
}

func (s journalSuite) endedMeanwhile(t *testing.T) {
	for range 20 {
		seg, events := s.opened(t), newEvents(relay.MaxBatch)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			cancel()
		}()
		if err := s.journal.Append(ctx, seg, events...); err == nil {
			s.holds(t, seg, events...)
		} else {
			s.allOrNone(t, seg, nil, events)
		}
		<-done
	}
}

// allOrNone checks that a segment has events, and of a batch all or none.
func (s journalSuite) allOrNone(t *testing.T, seg relay.Segment, events, batch []relay.Event) {
	t.Helper()
	got, err := loaded(t.Context(), s.journal, seg)
	if err != nil {
		t.Errorf("Load: %v", err)
		return
	}
	if len(got) != len(events) {
		events = append(slices.Clone(events), batch...)
	}
	s.are(t, got, events)
}

// opened is a new segment that is open.
func (s journalSuite) opened(t *testing.T) relay.Segment {
	t.Helper()
	seg := newSegment()
	s.open(t, seg)
	return seg
}

func (s journalSuite) open(t *testing.T, seg relay.Segment) {
	t.Helper()
	if err := s.journal.Open(t.Context(), seg); err != nil {
		t.Errorf("Open: %v", err)
	}
}

func (s journalSuite) close(t *testing.T, seg relay.Segment) {
	t.Helper()
	if err := s.journal.Close(t.Context(), seg); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (s journalSuite) append(t *testing.T, seg relay.Segment, events ...relay.Event) {
	t.Helper()
	if err := s.journal.Append(t.Context(), seg, events...); err != nil {
		t.Errorf("Append: %v", err)
	}
}

// holds checks that a segment has exactly these events.
func (s journalSuite) holds(t *testing.T, seg relay.Segment, events ...relay.Event) {
	t.Helper()
	got, err := loaded(t.Context(), s.journal, seg)
	if err != nil {
		t.Errorf("Load: %v", err)
		return
	}
	s.are(t, got, events)
}

func (s journalSuite) are(t *testing.T, got map[name]relay.Event, want []relay.Event) {
	t.Helper()
	wrong := 0
	for _, e := range want {
		if g, ok := got[nameOf(e)]; !ok || !sameEvent(g, e) {
			if wrong++; wrong == 1 {
				t.Errorf("%s with %d octets at %v is there: %v, with %d octets at %v", nameOf(e), len(e.Data), e.At, ok, len(g.Data), g.At)
			}
		}
	}
	if wrong > 1 || len(got) != len(want) {
		t.Errorf("%d of %d events are missing or differ; there are %d", wrong, len(want), len(got))
	}
}

// lists checks that a lane has exactly these segments, in any order.
func (s journalSuite) lists(t *testing.T, lane mailbox.MessageID, want ...relay.Segment) {
	t.Helper()
	got, err := s.journal.Segments(t.Context(), lane)
	if err != nil {
		t.Errorf("Segments: %v", err)
		return
	}
	for _, seg := range want {
		if n := count(got, seg); n != 1 {
			t.Errorf("an open segment is listed %d times", n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d segments are listed; want %d", len(got), len(want))
	}
}

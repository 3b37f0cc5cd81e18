package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

func TestJournal(t *testing.T) {
	for name, o := range map[string]func(t *testing.T) Options{
		"in memory":   func(*testing.T) Options { return Options{} },
		"on the disk": func(t *testing.T) Options { return Options{Dir: t.TempDir(), FS: vfs.Default} },
		"with tables": func(*testing.T) Options { return Options{memTableSize: smallMemTable} },
	} {
		t.Run(name, func(t *testing.T) {
			relaytest.Journal(t, func(t *testing.T) (relay.Journal, mailbox.Contents) {
				s := openStore(t, o(t))
				return s.Journal(), s.Contents()
			})
		})
	}
}

// submit journals that a message was accepted, with its content if that is short, which is
// put otherwise.
func submit(ctx context.Context, s *Store, seg relay.Segment, id mailbox.MessageID, content []byte) error {
	accepted := eventOf(seg, id, relay.Accepted)
	if len(content) <= relay.MaxContent {
		accepted.Content = content
		return s.Journal().Append(ctx, seg, accepted)
	}
	c := mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{mailbox.Outbound}}
	if _, err := s.Contents().Put(ctx, c, bytes.NewReader(content)); err != nil {
		return err
	}
	return s.Journal().Append(ctx, seg, accepted)
}

// readsSubmitted checks that a content is as it was submitted.
func readsSubmitted(ctx context.Context, s *Store, seg relay.Segment, id mailbox.MessageID, content []byte) error {
	if len(content) > relay.MaxContent {
		return reads(ctx, s, id, content)
	}
	got, err := s.Journal().Content(ctx, seg, id)
	if err == nil && !bytes.Equal(got, content) {
		err = fmt.Errorf("%d octets; want %d", len(got), len(content))
	}
	return err
}

func eventOf(seg relay.Segment, id mailbox.MessageID, k relay.Kind) relay.Event {
	e := relay.Event{Entry: relay.EntryID{Message: id}, Kind: k, Seq: 1, Writer: seg.Lane, At: id.Time().Truncate(time.Millisecond), Data: []byte("what there is to say"), Last: k == relay.Delivered}
	if k == relay.Accepted {
		e.Entry.Recipient, e.Seq = relay.Whole, 0
	}
	return e
}

// openSegment opens a segment.
func openSegment(t testing.TB, s *Store, ids *mailbox.MessageIDs) relay.Segment {
	t.Helper()
	seg := relay.Segment{Lane: ids.Next(), ID: ids.Next()}
	if err := s.Journal().Open(t.Context(), seg); err != nil {
		t.Fatal(err)
	}
	return seg
}

// kindsIn are the kinds of the events in a segment, in the order of the messages.
func kindsIn(t *testing.T, s *Store, seg relay.Segment) (kinds []relay.Kind) {
	t.Helper()
	for e, err := range s.Journal().Load(t.Context(), seg) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestContentOnItsWayOutIsNotSwept(t *testing.T) {
	for name, size := range sweepSizes {
		t.Run(name, func(t *testing.T) {
			s, clock, ids := sweepable(t)
			seg, id, content := openSegment(t, s, ids), ids.Next(), []byte(strings.Repeat("x", size))
			if err := submit(t.Context(), s, seg, id, content); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				clock.now = clock.now.Add(mailbox.OutboundKept/2 - time.Second)
				sweep(t, s, SweepStats{})
				if err := readsSubmitted(t.Context(), s, seg, id, content); err != nil {
					t.Errorf("after %v: %v", clock.now.Sub(id.Time()), err)
				}
			}
			// By now nobody tries any more, and whoever should have released it is gone.
			clock.now = clock.now.Add(3 * time.Second)
			want := SweepStats{Segments: 1}
			if size > relay.MaxContent {
				want.Unlisted = 1
			}
			sweep(t, s, want)
			if n := allKeys(t, s); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

func TestOfWhatLeftNothingRemains(t *testing.T) {
	s, _, ids := sweepable(t)
	seg := openSegment(t, s, ids)
	for _, size := range sweepSizes {
		id := ids.Next()
		if err := submit(t.Context(), s, seg, id, []byte(strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
		if err := s.Journal().Append(t.Context(), seg, eventOf(seg, id, relay.Delivered)); err != nil {
			t.Fatal(err)
		}
		if err := s.Contents().Release(t.Context(), mailbox.Outbound, mailbox.Message{ID: id, Recipients: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Journal().Close(t.Context(), seg); err != nil {
		t.Fatal(err)
	}
	if n := allKeys(t, s); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestAContentThatStopsHalfWayOutIsSwept(t *testing.T) {
	s, clock, ids := sweepable(t)
	id := ids.Next()
	b := s.batch(0)
	b.set(watchKey(id), nil)
	b.set(partKey(id, 0), []byte("the process ended here"))
	if err := s.commit(b); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(orphanAge + time.Second)
	sweep(t, s, SweepStats{Uncommitted: 1})
	if n := allKeys(t, s); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestSegmentsThatNobodyClosedAreForgotten(t *testing.T) {
	s, clock, ids := sweepable(t)
	ctx := t.Context()
	old := openSegment(t, s, ids)
	empty := openSegment(t, s, ids)
	clock.now = clock.now.Add(relay.Kept - time.Hour)
	young := openSegment(t, s, ids)
	for _, seg := range []relay.Segment{old, young} {
		if err := s.Journal().Append(ctx, seg, eventOf(seg, ids.Next(), relay.Accepted), eventOf(seg, ids.Next(), relay.Attempt)); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, s, SweepStats{})
	if n := len(kindsIn(t, s, old)); n != 2 {
		t.Errorf("%d events before their time; want 2", n)
	}
	clock.now = clock.now.Add(time.Hour + time.Second)
	sweep(t, s, SweepStats{Segments: 2})
	if lanes, err := s.Journal().Lanes(ctx, ""); err != nil || !slices.Equal(lanes, []mailbox.MessageID{young.Lane}) {
		t.Errorf("Lanes = %v, %v; want that of the young one", lanes, err)
	}
	if n := len(kindsIn(t, s, old)) + len(kindsIn(t, s, empty)); n != 0 {
		t.Errorf("%d events of old segments are left", n)
	}
	if n := len(kindsIn(t, s, young)); n != 2 {
		t.Errorf("%d events of the young segment; want 2", n)
	}
}

func TestEventsThatCameAfterTheCloseAreSwept(t *testing.T) {
	s, _, ids := sweepable(t)
	ctx := t.Context()
	var segments []relay.Segment
	for range 5 {
		seg := openSegment(t, s, ids)
		segments = append(segments, seg)
		if err := s.Journal().Append(ctx, seg, eventOf(seg, ids.Next(), relay.Accepted)); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 2, 4} {
		if err := s.Journal().Close(ctx, segments[i]); err != nil {
			t.Fatal(err)
		}
		if err := s.Journal().Append(ctx, segments[i], eventOf(segments[i], ids.Next(), relay.Delivered)); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t, s, SweepStats{})
	if n := keys(t, s, prefixEvent); n != 2 {
		t.Errorf("%d events are left; want the 2 of open segments", n)
	}
}

func TestAFullDiskRefusesSubmissionsAndHearsWhatBecameOfOthers(t *testing.T) {
	fs, ids := vfs.NewMem(), new(mailbox.MessageIDs)
	s := openStore(t, Options{FS: fs, MinFree: 1 << 20})
	seg, id := openSegment(t, s, ids), ids.Next()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1<<20 + 10, TotalBytes: 1 << 30})
	if err := s.Journal().Append(t.Context(), seg, eventOf(seg, id, relay.Accepted)); !errors.Is(err, mailbox.ErrFull) {
		t.Errorf("Append of Accepted = %v; want full", err)
	}
	for _, k := range []relay.Kind{relay.Attempt, relay.Deferred, relay.Failed, relay.Cancelled, relay.Delivered} {
		if err := s.Journal().Append(t.Context(), seg, eventOf(seg, id, k)); err != nil {
			t.Errorf("Append of kind %d: %v", k, err)
		}
	}
	if err := s.Journal().Close(t.Context(), seg); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// unavailableJournal checks that no call writes, and where it must that none reads.
func unavailableJournal(t *testing.T, s *Store, reads bool) {
	t.Helper()
	ids := new(mailbox.MessageIDs)
	seg := relay.Segment{Lane: ids.Next(), ID: ids.Next()}
	calls := map[string]error{
		"Open":   s.Journal().Open(t.Context(), seg),
		"Append": s.Journal().Append(t.Context(), seg, eventOf(seg, ids.Next(), relay.Accepted)),
		"Close":  s.Journal().Close(t.Context(), seg),
	}
	if reads {
		_, calls["Content"] = s.Journal().Content(t.Context(), seg, ids.Next())
		_, calls["Lanes"] = s.Journal().Lanes(t.Context(), "")
		_, calls["Segments"] = s.Journal().Segments(t.Context(), seg.Lane)
		calls["Load"] = failure(s.Journal().Load(t.Context(), seg))
	}
	for call, err := range calls {
		if !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s = %v; want unavailable", call, err)
		}
	}
}

// failure is how a sequence ended.
func failure(events iter.Seq2[relay.Event, error]) error {
	for _, err := range events {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTheJournalEndsWithTheStore(t *testing.T) {
	s := openStore(t, Options{})
	s.guard.stop(errors.New("the disk fails"))
	unavailableJournal(t, s, false)
	s = openStore(t, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unavailableJournal(t, s, true)
}

func TestCorruptEventsAreErrorsAndNotPanics(t *testing.T) {
	ids := new(mailbox.MessageIDs)
	seg := relay.Segment{Lane: ids.Next(), ID: ids.Next()}
	e := eventOf(seg, ids.Next(), relay.Attempt)
	for name, c := range map[string]struct {
		key, value []byte
		use        func(s *Store) error
	}{
		"an event of no form":       {eventKey(seg, e), nil, func(s *Store) error { return failure(s.Journal().Load(t.Context(), seg)) }},
		"an event of another form":  {eventKey(seg, e), []byte{99, 2, 'x'}, func(s *Store) error { return failure(s.Journal().Load(t.Context(), seg)) }},
		"an event without its time": {eventKey(seg, e), []byte{eventForm}, func(s *Store) error { return failure(s.Journal().Load(t.Context(), seg)) }},
		"a key of an event":         {eventKey(seg, e)[:60], nil, func(s *Store) error { return failure(s.Journal().Load(t.Context(), seg)) }},
		"a key that is swept":       {[]byte{prefixEvent, 1}, nil, func(s *Store) error { _, err := s.Sweep(t.Context()); return err }},
		"a segment":                 {segmentKey(seg)[:20], nil, func(s *Store) error { _, err := s.Journal().Segments(t.Context(), seg.Lane); return err }},
		"a lane":                    {[]byte{prefixSegment}, nil, func(s *Store) error { _, err := s.Journal().Lanes(t.Context(), ""); return err }},
		"a segment that is swept":   {append(segmentKey(seg), 1), nil, func(s *Store) error { _, err := s.Sweep(t.Context()); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			b := s.batch(0)
			b.set(c.key, c.value)
			if err := s.commit(b); err != nil {
				t.Fatal(err)
			}
			if err := c.use(s); !errors.Is(err, errCorrupt) {
				t.Errorf("%v; want corrupt", err)
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte{eventForm, 0})
	f.Add(appendEvent(nil, relay.Event{At: time.UnixMilli(1790000000000), Data: []byte("{}")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again relay.Event
		if decodeEvent(b, &e) != nil {
			return
		}
		if err := decodeEvent(appendEvent(nil, e), &again); err != nil || !again.At.Equal(e.At) || !bytes.Equal(again.Data, e.Data) {
			t.Errorf("%x is read as %v, and then as %v, %v", b, e, again, err)
		}
	})
}

func FuzzEventKey(f *testing.F) {
	f.Add(eventKey(relay.Segment{}, relay.Event{Entry: relay.EntryID{Recipient: relay.Whole}}))
	f.Add(segmentKey(relay.Segment{Lane: mailbox.MessageID{1}, ID: mailbox.MessageID{2}}))
	f.Fuzz(func(t *testing.T, key []byte) {
		if seg, e, err := decodeEventKey(key); err == nil && !bytes.Equal(eventKey(seg, e)[1:], key[1:]) {
			t.Errorf("event key %x comes back as another", key)
		}
		if seg, err := decodeSegmentKey(key); err == nil && !bytes.Equal(segmentKey(seg)[1:], key[1:]) {
			t.Errorf("segment key %x comes back as another", key)
		}
	})
}

// BenchmarkJournal is a submission of 4 KiB: its content, and that it was accepted,
// durable when it returns. Beside it a delivery to a maildrop.
func BenchmarkJournal(b *testing.B) {
	content := mailboxtest.Message(smallMail)
	for _, n := range writers {
		b.Run(fmt.Sprintf("submission/writers=%d", n), func(b *testing.B) {
			s, ids := onDisk(b, 0), new(mailbox.MessageIDs)
			seg := openSegment(b, s, ids)
			parallel(b, n, func(int) error { return submit(b.Context(), s, seg, ids.Next(), content) })
		})
		b.Run(fmt.Sprintf("delivery/writers=%d", n), func(b *testing.B) {
			s, ids := onDisk(b, 0), new(mailbox.MessageIDs)
			parallel(b, n, func(writer int) error {
				return put(b.Context(), s, ids.Next(), content, benchDrop(writer))
			})
		})
	}
}

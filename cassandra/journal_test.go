package cassandra

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
	"restante/relay"
)

// aSegment is one of a lane that no other test uses.
func aSegment() relay.Segment { return relay.Segment{Lane: ids.Next(), ID: ids.Next()} }

// someEvents are of one message each, with so many octets of data.
func someEvents(writer mailbox.MessageID, n, octets int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		events[i] = relay.Event{
			Entry:  relay.EntryID{Message: ids.Next(), Recipient: relay.Whole},
			Kind:   relay.Accepted,
			Writer: writer,
			At:     time.Now().UTC().Truncate(time.Millisecond),
			Data:   make([]byte, octets),
		}
		rand.Read(events[i].Data)
	}
	return events
}

// withContents gives events contents of so many octets.
func withContents(events []relay.Event, octets int) []relay.Event {
	for i := range events {
		events[i].Content = make([]byte, octets)
		rand.Read(events[i].Content)
	}
	return events
}

// lastOf is the last event of a message.
func lastOf(e relay.Event) relay.Event {
	return relay.Event{Entry: relay.EntryID{Message: e.Entry.Message}, Kind: relay.Delivered, Seq: 1, Writer: e.Writer, At: e.At, Last: true}
}

// hasContent reports whether the content of a message is in the journal, as it was.
func hasContent(t testing.TB, j relay.Journal, s relay.Segment, e relay.Event) bool {
	t.Helper()
	content, err := j.Content(t.Context(), s, e.Entry.Message)
	if err != nil && !errors.Is(err, mailbox.ErrNotFound) || err == nil && !bytes.Equal(content, e.Content) {
		t.Errorf("the content is %d octets, %v; want the %d that were written, or nothing", len(content), err, len(e.Content))
	}
	return err == nil
}

func sameEvent(a, b relay.Event) bool {
	return a.Entry == b.Entry && a.Kind == b.Kind && a.Seq == b.Seq && a.Writer == b.Writer && a.At.Equal(b.At) && bytes.Equal(a.Data, b.Data)
}

func openSegment(t testing.TB, j relay.Journal, s relay.Segment) {
	t.Helper()
	if err := j.Open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, j relay.Journal, s relay.Segment, events ...relay.Event) {
	t.Helper()
	if err := j.Append(t.Context(), s, events...); err != nil {
		t.Fatal(err)
	}
}

// loaded are the events of a segment in the order of their ids, which is that of the
// partition.
func loaded(t testing.TB, j relay.Journal, s relay.Segment) (events []relay.Event) {
	t.Helper()
	for e, err := range j.Load(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func TestFewStatementsServeTheJournal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	j, segment := s.Journal(), aSegment()
	events, short := someEvents(segment.Lane, relay.MaxBatch, 300), withContents(someEvents(segment.Lane, 3, 300), 4000)
	for _, step := range []struct {
		name string
		do   func()
		want map[string]int
	}{
		{"opening", func() { openSegment(t, j, segment) }, map[string]int{"relay_lane insert": 1, "relay_segment insert": 1}},
		{"nothing", func() { appendTo(t, j, segment) }, map[string]int{}},
		{"one event", func() { appendTo(t, j, segment, events[0]) }, map[string]int{"relay_event insert": 1}},
		{"as many as may be", func() { appendTo(t, j, segment, events...) }, map[string]int{"relay_event insert": 1}},
		{"some with contents", func() { appendTo(t, j, segment, short...) }, map[string]int{"relay_event insert": 1}},
		{"a content", func() { hasContent(t, j, segment, short[0]) }, map[string]int{"relay_content select": 1}},
		{"the last events", func() { appendTo(t, j, segment, lastOf(short[0]), lastOf(short[1])) }, map[string]int{"relay_event insert": 1}},
		{"a content that is nowhere", func() { hasContent(t, j, segment, short[0]) }, map[string]int{"relay_content select": 3}},
		{"loading", func() { loaded(t, j, segment) }, map[string]int{"relay_event select": 1}},
		{"closing", func() {
			if err := j.Close(t.Context(), segment); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"relay_event delete": 1, "relay_segment delete": 1}},
	} {
		if did := statements(t, s, step.do); fmt.Sprint(did) != fmt.Sprint(step.want) {
			t.Errorf("%s takes %v; want %v", step.name, did, step.want)
		}
	}
}

// Cassandra refuses batches of more than 50 KiB, as it comes, unless they are for one
// partition.
func TestAnAppendIsOneWriteHoweverMuchItHas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	j := s.Journal()
	for _, size := range []struct{ events, octets, content int }{
		{1, relay.MaxData, relay.MaxContent},
		{relay.MaxBatch, relay.MaxBatchOctets / relay.MaxBatch, 0},
		{relay.MaxBatchOctets / relay.MaxContent, 0, relay.MaxContent},
		{relay.MaxBatch, 300, 4 << 10},
	} {
		segment := aSegment()
		openSegment(t, j, segment)
		events := withContents(someEvents(segment.Lane, size.events, size.octets), size.content)
		did := statements(t, s, func() { appendTo(t, j, segment, events...) })
		if got := loaded(t, j, segment); !slices.EqualFunc(got, events, sameEvent) {
			t.Errorf("%d of %d events of %d octets are as they were", len(got), size.events, size.octets)
		}
		for _, e := range events {
			if !hasContent(t, j, segment, e) {
				t.Error("a content is not there")
			}
		}
		if did["relay_event insert"] != 1 {
			t.Errorf("%d events took %v", size.events, did)
		}
	}
}

func TestASegmentIsReadPageByPage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	j, segment := s.Journal(), aSegment()
	openSegment(t, j, segment)
	events := someEvents(segment.Lane, 5*eventsAtOnce/2, 100)
	for some := range slices.Chunk(events, relay.MaxBatch) {
		appendTo(t, j, segment, some...)
	}
	did := statements(t, s, func() {
		if got := loaded(t, j, segment); !slices.EqualFunc(got, events, sameEvent) {
			t.Errorf("%d of %d events are as they were", len(got), len(events))
		}
	})
	if did["relay_event select"] != 3 {
		t.Errorf("to load %d events took %v", len(events), did)
	}
	did = statements(t, s, func() {
		for range j.Load(t.Context(), segment) {
			break
		}
	})
	if did["relay_event select"] != 1 {
		t.Errorf("for one event it took %v", did)
	}
}

func TestAPageThatCannotBeHadIsNotTheEndOfASegment(t *testing.T) {
	t.Parallel()
	j, segment := newStore(t).Journal(), aSegment()
	openSegment(t, j, segment)
	for some := range slices.Chunk(someEvents(segment.Lane, 2*eventsAtOnce, 1), relay.MaxBatch) {
		appendTo(t, j, segment, some...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, errs := 0, []error(nil)
	for _, err := range j.Load(ctx, segment) {
		if cancel(); err != nil {
			errs = append(errs, err)
		} else {
			events++
		}
	}
	if events != eventsAtOnce || len(errs) != 1 || !errors.Is(errs[0], mailbox.ErrUnavailable) {
		t.Errorf("%d events, then %v", events, errs)
	}
}

func TestWhatArrivesAfterACloseStaysAwayWhateverTheClocks(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := tableOptions(t)
	o.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	behind := openStore(t, o)
	segment := aSegment()
	openSegment(t, s.Journal(), segment)
	events := withContents(someEvents(segment.Lane, 3, 10), 100)
	events[2].At = events[2].At.Add(time.Hour)
	appendTo(t, s.Journal(), segment, events...)
	if err := behind.Journal().Close(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	openSegment(t, s.Journal(), segment)
	appendTo(t, s.Journal(), segment, events...)
	if got := loaded(t, s.Journal(), segment); len(got) != 0 {
		t.Errorf("%d events are found", len(got))
	}
	if hasContent(t, s.Journal(), segment, events[0]) {
		t.Error("a content is found")
	}
	if open, err := s.Journal().Segments(t.Context(), segment.Lane); err != nil || len(open) != 0 {
		t.Errorf("open are %v, %v", open, err)
	}
}

// The tables say how long in seconds, and the program relies on it.
func TestWhatTheRelayWritesIsKeptAsLongAsItMayBeNeeded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	const kept = int(relay.Kept / time.Second)
	for table, wantGrace := range map[string]int{"relay_event": kept, "relay_content": kept, "relay_segment": kept, "relay_lane": 0, "relay_claim": 0} {
		var life, grace int
		q := db.Query("SELECT default_time_to_live, gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?", s.session.options.Keyspace, table)
		if err := q.Scan(&life, &grace); err != nil {
			t.Fatal(err)
		}
		if life != kept || grace < wantGrace {
			t.Errorf("%s: kept for %d s, and what is deleted for %d s; want %d and %d", table, life, grace, kept, wantGrace)
		}
	}
	// It is not said otherwise with what is written.
	segment := aSegment()
	openSegment(t, s.Journal(), segment)
	appendTo(t, s.Journal(), segment, withContents(someEvents(segment.Lane, 1, 10), 10)...)
	for _, table := range []string{"relay_event", "relay_content"} {
		var at int64
		var ttl int
		if err := db.Query("SELECT WRITETIME(data), TTL(data) FROM "+table+" WHERE lane = ? AND segment = ?", gocql.UUID(segment.Lane), gocql.UUID(segment.ID)).Scan(&at, &ttl); err != nil {
			t.Fatal(err)
		}
		if ttl > kept || ttl < kept-60 || at != segment.ID.Time().UnixMicro() {
			t.Errorf("what is in %s is written at %d and kept for %d s; want %d and %d", table, at, ttl, segment.ID.Time().UnixMicro(), kept)
		}
	}
}

func TestAClosedStoreHasNoJournal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	j, lanes, segment := s.Journal(), s.Lanes(), aSegment()
	for name, do := range map[string]func(context.Context) error{
		"Open":   func(ctx context.Context) error { return j.Open(ctx, segment) },
		"Append": func(ctx context.Context) error { return j.Append(ctx, segment, someEvents(segment.Lane, 1, 1)...) },
		"Load": func(ctx context.Context) error {
			for _, err := range j.Load(ctx, segment) {
				return err
			}
			return nil
		},
		"Content":  func(ctx context.Context) error { _, err := j.Content(ctx, segment, ids.Next()); return err },
		"Close":    func(ctx context.Context) error { return j.Close(ctx, segment) },
		"Lanes":    func(ctx context.Context) error { _, err := j.Lanes(ctx, ""); return err },
		"Segments": func(ctx context.Context) error { _, err := j.Segments(ctx, segment.Lane); return err },
		"Beat":     func(ctx context.Context) error { return lanes.Beat(ctx, relay.Beat{Lane: segment.Lane, Seq: 1}) },
		"Beats":    func(ctx context.Context) error { _, err := lanes.Beats(ctx); return err },
		"Claimed":  func(ctx context.Context) error { _, err := lanes.Claimed(ctx, segment); return err },
		"Claim":    func(ctx context.Context) error { return lanes.Claim(ctx, segment, ids.Next(), relay.Claim{}) },
	} {
		if err := do(t.Context()); !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, errClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkAppend is what the relay writes together, of 300 octets each, as an accepted
// message or an attempt.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 8, relay.MaxBatch} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			j, segment := newStore(b).Journal(), aSegment()
			openSegment(b, j, segment)
			events := someEvents(segment.Lane, n, 300)
			b.ReportAllocs()
			for b.Loop() {
				for i := range events {
					events[i].Entry.Message = ids.Next()
				}
				appendTo(b, j, segment, events...)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkLoad is a segment of twenty thousand entries, each accepted, tried and
// delivered, as a process reads it that takes over.
func BenchmarkLoad(b *testing.B) {
	const events = 60_000
	j, segment := newStore(b).Journal(), aSegment()
	openSegment(b, j, segment)
	for range events / relay.MaxBatch {
		appendTo(b, j, segment, someEvents(segment.Lane, relay.MaxBatch, 300)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(loaded(b, j, segment)); n != events/relay.MaxBatch*relay.MaxBatch {
			b.Fatalf("%d events", n)
		}
	}
}

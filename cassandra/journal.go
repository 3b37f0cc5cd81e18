package cassandra

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"restante/mailbox"
	"restante/relay"
)

// A segment is a partition of events, and a row among the segments of its lane.
// Everything in it has the write timestamp inside its id: an event never changes, so
// that no other one has to win over it, and a segment that is closed is so for every
// event that is still on its way.
var (
	insertLane = &statement{
		name: "relay_lane insert",
		cql:  "INSERT INTO relay_lane (datacenter, lane) VALUES (?, ?)",
	}
	selectLanes = &statement{
		name: "relay_lane select",
		cql:  "SELECT lane FROM relay_lane WHERE datacenter = ?",
	}
	insertSegment = &statement{
		name: "relay_segment insert",
		cql:  "INSERT INTO relay_segment (lane, segment) VALUES (?, ?)",
	}
	selectSegments = &statement{
		name: "relay_segment select",
		cql:  "SELECT segment FROM relay_segment WHERE lane = ?",
	}
	deleteSegments = &statement{
		name: "relay_segment delete",
		cql:  "DELETE FROM relay_segment WHERE lane = ? AND segment >= ? AND segment <= ?",
	}
	insertEvents = &statement{name: "relay_event insert"} // several of the next
	insertEvent  = &statement{
		name: "relay_event insert one",
		cql:  "INSERT INTO relay_event (lane, segment, message, recipient, kind, seq, writer, at, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
	}
	insertRelayContent = &statement{
		name: "relay_content insert",
		cql:  "INSERT INTO relay_content (lane, segment, message, data) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
	}
	selectRelayContent = &statement{
		name:   "relay_content select",
		cql:    "SELECT data FROM relay_content WHERE lane = ? AND segment = ? AND message = ?",
		octets: relay.MaxContent,
	}
	deleteRelayContent = &statement{
		name: "relay_content delete",
		cql:  "DELETE FROM relay_content USING TIMESTAMP ? WHERE lane = ? AND segment = ? AND message = ?",
	}
	selectEvents = &statement{
		name:   "relay_event select",
		cql:    "SELECT message, recipient, kind, seq, writer, at, data FROM relay_event WHERE lane = ? AND segment = ?",
		rows:   eventsAtOnce,
		octets: eventsAtOnce * usualEvent,
	}
	deleteEvents = &statement{name: "relay_event delete"} // the next two
	deleteEvent  = &statement{
		name: "relay_event delete all",
		cql:  "DELETE FROM relay_event USING TIMESTAMP ? WHERE lane = ? AND segment = ?",
	}
	deleteRelayContents = &statement{
		name: "relay_content delete all",
		cql:  "DELETE FROM relay_content USING TIMESTAMP ? WHERE lane = ? AND segment = ?",
	}
)

const (
	// eventsAtOnce is how many events a page has: few enough that a page of the longest
	// can be had, which is 100 MiB.
	eventsAtOnce = 200
	// usualEvent is what an event weighs in the answer, unless its message has hundreds
	// of recipients.
	usualEvent = 1 << 10
)

// journal is relay.Journal.
type journal struct {
	*session
	segments *segments
}

var errSegmentClosed = errors.New("it was closed")

// Open writes the lane again with each of its segments, so that it stays known as long
// as they do.
func (j *journal) Open(ctx context.Context, s relay.Segment) error {
	if !j.segments.open(s) {
		return fmt.Errorf("cassandra: open segment %s: %w", s.ID, errSegmentClosed)
	}
	at := insertedAt(s.ID)
	err := j.write(ctx, insertLane, j.options.Acknowledge, at, j.options.Datacenter, s.Lane)
	if err == nil {
		err = j.write(ctx, insertSegment, j.options.Acknowledge, at, s.Lane, s.ID)
	}
	if err != nil {
		return fmt.Errorf("cassandra: open segment %s: %w", s.ID, err)
	}
	return nil
}

// Append is one write: each replica has all of the events and contents or none. Cassandra
// bounds what is written at once to several partitions, and this is one.
func (j *journal) Append(ctx context.Context, s relay.Segment, events ...relay.Event) error {
	if err := relay.CheckBatch(events); err != nil {
		return fmt.Errorf("cassandra: append to segment %s: %w", s.ID, err)
	}
	if len(events) == 0 {
		return nil
	}
	at := int64(insertedAt(s.ID))
	writes, level := make([]bound, 0, 2*len(events)), LocalQuorum
	for _, e := range events {
		if e.Kind == relay.Accepted {
			level = j.options.Acknowledge
		}
		writes = append(writes, bound{insertEvent, []any{s.Lane, s.ID, e.Entry.Message, e.Entry.Recipient,
			int8(e.Kind), e.Seq, e.Writer, e.At, e.Data, at}})
		if e.Content != nil {
			writes = append(writes, bound{insertRelayContent, []any{s.Lane, s.ID, e.Entry.Message, e.Content, at}})
		}
		if e.Last {
			writes = append(writes, bound{deleteRelayContent, []any{at, s.Lane, s.ID, e.Entry.Message}})
		}
	}
	if err := j.writeTogether(ctx, insertEvents, level, writes); err != nil {
		return fmt.Errorf("cassandra: append %d events to segment %s: %w", len(events), s.ID, err)
	}
	return nil
}

func (j *journal) Load(ctx context.Context, s relay.Segment) iter.Seq2[relay.Event, error] {
	return func(yield func(relay.Event, error) bool) {
		rows := j.read(ctx, selectEvents, LocalQuorum, s.Lane, s.ID)
		for {
			var e relay.Event
			var kind int8
			if !rows.scan(&e.Entry.Message, &e.Entry.Recipient, &kind, &e.Seq, &e.Writer, &e.At, &e.Data) {
				break
			}
			e.Kind = relay.Kind(kind)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.err(); err != nil {
			yield(relay.Event{}, fmt.Errorf("cassandra: load segment %s: %w", s.ID, err))
		}
	}
}

func (j *journal) Content(ctx context.Context, s relay.Segment, message mailbox.MessageID) (data []byte, err error) {
	err = widen(togetherLevels, func(level Consistency) (bool, error) {
		return j.read(ctx, selectRelayContent, level, s.Lane, s.ID, message).one((*uncopied)(&data))
	})
	if err != nil {
		return nil, fmt.Errorf("cassandra: content of %s in segment %s: %w", message, s.ID, err)
	}
	return data, nil
}

// Close deletes the events first: where the rest fails, the segment is still listed for
// whoever closes it again, and is taken off the list with the next.
func (j *journal) Close(ctx context.Context, s relay.Segment) error {
	at := deletedAt(j.options.Now(), s.ID)
	err := j.writeTogether(ctx, deleteEvents, LocalQuorum, []bound{
		{deleteEvent, []any{int64(at), s.Lane, s.ID}},
		{deleteRelayContents, []any{int64(at), s.Lane, s.ID}},
	})
	if err == nil {
		first, last := j.segments.close(s)
		err = j.write(ctx, deleteSegments, LocalQuorum, deletedAt(j.options.Now(), last), s.Lane, first, last)
	}
	if err != nil {
		return fmt.Errorf("cassandra: close segment %s: %w", s.ID, err)
	}
	return nil
}

// Lanes of another data centre are read here, where they are replicated to.
func (j *journal) Lanes(ctx context.Context, datacenter string) ([]mailbox.MessageID, error) {
	if datacenter == "" {
		datacenter = j.options.Datacenter
	}
	lanes, err := j.ids(ctx, selectLanes, datacenter)
	if err != nil {
		return nil, fmt.Errorf("cassandra: list the lanes of data centre %s: %w", datacenter, err)
	}
	return lanes, nil
}

func (j *journal) Segments(ctx context.Context, lane mailbox.MessageID) ([]relay.Segment, error) {
	ids, err := j.ids(ctx, selectSegments, lane)
	if err != nil {
		return nil, fmt.Errorf("cassandra: list the segments of lane %s: %w", lane, err)
	}
	segments := make([]relay.Segment, len(ids))
	for i, id := range ids {
		segments[i] = relay.Segment{Lane: lane, ID: id}
	}
	return segments, nil
}

// ids are the answer to a SELECT of one column.
func (j *journal) ids(ctx context.Context, st *statement, args ...any) (ids []mailbox.MessageID, err error) {
	rows := j.read(ctx, st, LocalQuorum, args...)
	for id := (mailbox.MessageID{}); rows.scan(&id); {
		ids = append(ids, id)
	}
	return ids, rows.err()
}

package embedded

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"restante/mailbox"
	"restante/relay"
)

// journal is relay.Journal: a key for each segment that is open, for each event, and for
// each content that came with one. The events of a call are one batch, which shares its
// sync with all other writers and makes durable what was written before it: the segment,
// and the content of a message that is not short. So neither needs a sync of its own.
type journal struct {
	store *Store
}

func (j *journal) Open(ctx context.Context, s relay.Segment) error {
	if err := j.open(ctx, s); err != nil {
		return fmt.Errorf("embedded: open segment %s: %w", s.ID, err)
	}
	return nil
}

func (j *journal) open(ctx context.Context, s relay.Segment) error {
	if err := j.store.enterWrite(ctx); err != nil {
		return err
	}
	defer j.store.leaveWrite()
	b := j.store.batch(0)
	b.set(segmentKey(s), nil)
	return j.store.commitUnsynced(b)
}

func (j *journal) Append(ctx context.Context, s relay.Segment, events ...relay.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := j.append(ctx, s, events); err != nil {
		return fmt.Errorf("embedded: append %d events to segment %s: %w", len(events), s.ID, err)
	}
	return nil
}

func (j *journal) append(ctx context.Context, s relay.Segment, events []relay.Event) error {
	if err := relay.CheckBatch(events); err != nil {
		return err
	}
	octets, more := 0, 0
	for _, e := range events {
		size := eventKeySize + eventSize(e) + len(e.Content)
		octets += size
		if e.Kind == relay.Accepted {
			more += size
		}
	}
	// What is said of mail that is here makes room in the end, as a removal does.
	if more > 0 {
		if err := j.store.room.take(more); err != nil {
			return err
		}
	}
	if err := j.store.enterWrite(ctx); err != nil {
		return err
	}
	defer j.store.leaveWrite()
	b := j.store.batch(octets)
	value := make([]byte, 0, octets)
	for _, e := range events {
		if err := j.keep(b, s, e); err != nil {
			return err
		}
		value = appendEvent(value[:0], e)
		b.set(eventKey(s, e), value)
	}
	if err := j.store.commit(b); err != nil {
		return err
	}
	j.store.metrics.events.Add(float64(len(events)))
	return nil
}

// keep writes the content of an event, or deletes that of its message. An event that is
// known already brings nothing, as its content may have been deleted since.
func (j *journal) keep(b *batch, s relay.Segment, e relay.Event) error {
	if e.Content != nil {
		known, err := j.store.has(eventKey(s, e))
		if err != nil {
			return err
		}
		if !known {
			b.set(outboundKey(s, e.Entry.Message), e.Content)
		}
	}
	if e.Last {
		b.delete(outboundKey(s, e.Entry.Message))
	}
	return nil
}

func (j *journal) Content(ctx context.Context, s relay.Segment, message mailbox.MessageID) ([]byte, error) {
	content, err := j.content(ctx, s, message)
	if err != nil {
		return nil, fmt.Errorf("embedded: content of %s in segment %s: %w", message, s.ID, err)
	}
	return content, nil
}

func (j *journal) content(ctx context.Context, s relay.Segment, message mailbox.MessageID) (content []byte, err error) {
	if err := j.store.enter(ctx); err != nil {
		return nil, err
	}
	defer j.store.leave()
	found, err := j.store.get(outboundKey(s, message), func(value []byte) error {
		content = bytes.Clone(value)
		return nil
	})
	if err == nil && !found {
		err = mailbox.ErrNotFound
	}
	return content, err
}

// eventPage is how many octets of keys and values a load reads at a time, and an event
// more: so it holds little, however large they are.
const eventPage = 256 << 10

func (j *journal) Load(ctx context.Context, s relay.Segment) iter.Seq2[relay.Event, error] {
	return func(yield func(relay.Event, error) bool) {
		prefix := eventPrefix(s)
		from, end := prefix, after(prefix)
		for from != nil {
			events, next, err := j.page(ctx, from, end)
			if err != nil {
				yield(relay.Event{}, fmt.Errorf("embedded: load segment %s: %w", s.ID, err))
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			from = next
		}
	}
}

// page reads some events and says where the next page begins: nowhere after the last.
// Between pages nothing of the store is held, however slow the caller is.
func (j *journal) page(ctx context.Context, from, end []byte) (events []relay.Event, next []byte, err error) {
	if err := j.store.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer j.store.leave()
	octets := 0
	err = j.store.scan(ctx, from, end, func(key, value []byte) (bool, error) {
		if octets >= eventPage {
			next = bytes.Clone(key)
			return false, nil
		}
		_, e, err := decodeEventKey(key)
		if err == nil {
			err = decodeEvent(value, &e)
		}
		if err != nil {
			return false, err
		}
		events = append(events, e)
		octets += len(key) + len(value)
		return true, nil
	})
	return events, next, err
}

// Close needs no sync: what a power loss brings back is a segment in which nothing is
// left to do, and will be closed again.
func (j *journal) Close(ctx context.Context, s relay.Segment) error {
	if err := j.close(ctx, s); err != nil {
		return fmt.Errorf("embedded: close segment %s: %w", s.ID, err)
	}
	return nil
}

func (j *journal) close(ctx context.Context, s relay.Segment) error {
	if err := j.store.enterWrite(ctx); err != nil {
		return err
	}
	defer j.store.leaveWrite()
	b := j.store.batch(0)
	b.delete(segmentKey(s))
	b.deletePrefix(eventPrefix(s))
	b.deletePrefix(outboundPrefix(s))
	return j.store.commitUnsynced(b)
}

// Lanes are of this process and of those before it. There is no other data centre.
func (j *journal) Lanes(ctx context.Context, datacenter string) (lanes []mailbox.MessageID, err error) {
	if datacenter == "" {
		lanes, err = j.lanes(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded: list lanes: %w", err)
	}
	return lanes, nil
}

func (j *journal) lanes(ctx context.Context) (lanes []mailbox.MessageID, err error) {
	err = j.opened(ctx, []byte{prefixSegment}, func(s relay.Segment) {
		if len(lanes) == 0 || lanes[len(lanes)-1] != s.Lane {
			lanes = append(lanes, s.Lane)
		}
	})
	return lanes, err
}

func (j *journal) Segments(ctx context.Context, lane mailbox.MessageID) (segments []relay.Segment, err error) {
	err = j.opened(ctx, appendID([]byte{prefixSegment}, lane), func(s relay.Segment) { segments = append(segments, s) })
	if err != nil {
		return nil, fmt.Errorf("embedded: list segments of lane %s: %w", lane, err)
	}
	return segments, nil
}

// opened goes through the open segments whose keys have a prefix.
func (j *journal) opened(ctx context.Context, prefix []byte, visit func(relay.Segment)) error {
	if err := j.store.enter(ctx); err != nil {
		return err
	}
	defer j.store.leave()
	return j.store.scan(ctx, prefix, after(prefix), func(key, _ []byte) (bool, error) {
		s, err := decodeSegmentKey(key)
		if err == nil {
			visit(s)
		}
		return true, err
	})
}

package relaytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// ids mints what the suites need to have ids.
var ids mailbox.MessageIDs

// newSegment is a segment of a lane of its own.
func newSegment() relay.Segment { return relay.Segment{Lane: ids.Next(), ID: ids.Next()} }

// newEvent is an event about an entry of its own, with a value of its own in every
// field. Its data tells it from all others.
func newEvent(k relay.Kind) relay.Event {
	id := ids.Next()
	return relay.Event{
		Entry:  relay.EntryID{Message: id, Recipient: rand.IntN(1000)},
		Kind:   k,
		Seq:    1 + rand.IntN(30),
		Writer: ids.Next(),
		At:     time.UnixMilli(1_790_000_000_000 + rand.Int64N(1e12)),
		Data:   []byte("data of " + id.String()),
	}
}

func newEvents(n int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		events[i] = newEvent(kinds[i%len(kinds)])
	}
	return events
}

var kinds = []relay.Kind{relay.Accepted, relay.Attempt, relay.Deferred, relay.Failed, relay.Cancelled, relay.Delivered}

// octets are n octets of which every run differs from every other.
func octets(n int, seed uint64) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b) //nolint:errcheck // never fails
	return b
}

// ended is a context that was cancelled already.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A name is what tells an event from others.
type name struct {
	entry  relay.EntryID
	kind   relay.Kind
	seq    int
	writer mailbox.MessageID
}

func nameOf(e relay.Event) name { return name{e.Entry, e.Kind, e.Seq, e.Writer} }

func (n name) String() string {
	return fmt.Sprintf("kind %d of recipient %d of %s, attempt %d, by %s", n.kind, n.entry.Recipient, n.entry.Message, n.seq, n.writer)
}

// sameEvent compares events: times as moments, and no data as empty data.
func sameEvent(a, b relay.Event) bool {
	return nameOf(a) == nameOf(b) && a.At.Equal(b.At) && bytes.Equal(a.Data, b.Data)
}

// copyOf is an event that shares nothing with another.
func copyOf(e relay.Event) relay.Event {
	e.Data, e.Content = bytes.Clone(e.Data), bytes.Clone(e.Content)
	return e
}

func copiesOf(events []relay.Event) []relay.Event {
	copies := make([]relay.Event, len(events))
	for i, e := range events {
		copies[i] = copyOf(e)
	}
	return copies
}

// loaded are the events of a segment by name. One that comes twice is an error.
func loaded(ctx context.Context, j relay.Journal, s relay.Segment) (map[name]relay.Event, error) {
	events := make(map[name]relay.Event)
	for e, err := range j.Load(ctx, s) {
		if err != nil {
			return nil, err
		}
		if _, twice := events[nameOf(e)]; twice {
			return nil, fmt.Errorf("%s comes twice", nameOf(e))
		}
		events[nameOf(e)] = e
	}
	return events, nil
}

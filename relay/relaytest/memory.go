package relaytest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// A Memory is the reference implementation of relay.Journal and relay.Lanes, as plain
// as it can be: what one process has of a store. It keeps every promise except
// durability, and reads the time from package time. Where a promise leaves a choice it
// takes the one that is hardest to live with: what is appended to a segment that was
// closed is lost without a word, and an append to one that never was open fails.
type Memory struct {
	store      *memoryStore
	datacenter string

	mu    sync.Mutex
	plan  Plan
	calls map[string]int
}

// A memoryStore is what all processes share.
type memoryStore struct {
	mu       sync.Mutex
	segments map[relay.Segment]*memorySegment
	lanes    map[place]bool
	beats    map[place]relay.Beat
	claims   map[relay.Segment]relay.Claim
}

type memorySegment struct {
	events   map[name]relay.Event // without contents
	order    []name
	contents map[mailbox.MessageID][]byte // nil: forgotten
	closed   bool
}

// A place is where something is said of a lane.
type place struct {
	datacenter string
	lane       mailbox.MessageID
}

// NewMemory is the first process on a store of its own.
func NewMemory() *Memory {
	first := &Memory{store: &memoryStore{
		segments: make(map[relay.Segment]*memorySegment),
		lanes:    make(map[place]bool),
		beats:    make(map[place]relay.Beat),
		claims:   make(map[relay.Segment]relay.Claim),
	}}
	return first.Process("")
}

// Process is another process on the same store, in a data centre; that of the first is
// "". It has faults of its own.
func (m *Memory) Process(datacenter string) *Memory {
	return &Memory{store: m.store, datacenter: datacenter, calls: make(map[string]int)}
}

var errNotOpen = errors.New("segment was never opened")

func (m *Memory) Open(ctx context.Context, s relay.Segment) error {
	return m.call(ctx, Call{Name: "Open", Segment: s, Lane: s.Lane}, func() error {
		if m.store.segments[s] == nil || m.store.segments[s].closed {
			m.store.segments[s] = &memorySegment{events: make(map[name]relay.Event), contents: make(map[mailbox.MessageID][]byte)}
		}
		m.store.lanes[place{m.datacenter, s.Lane}] = true
		return nil
	})
}

func (m *Memory) Append(ctx context.Context, s relay.Segment, events ...relay.Event) error {
	if err := relay.CheckBatch(events); err != nil {
		return err
	}
	events = copiesOf(events)
	return m.call(ctx, Call{Name: "Append", Segment: s, Lane: s.Lane, Events: events}, func() error {
		seg := m.store.segments[s]
		if seg == nil {
			return errNotOpen
		}
		for _, e := range events {
			if seg.closed {
				return nil
			}
			seg.keep(e)
			e.Content, e.Last = nil, false
			if _, there := seg.events[nameOf(e)]; there {
				continue
			}
			e.At = e.At.Truncate(time.Millisecond)
			seg.events[nameOf(e)] = copyOf(e)
			seg.order = append(seg.order, nameOf(e))
		}
		return nil
	})
}

// keep keeps the content of a message, or forgets it for good.
func (s *memorySegment) keep(e relay.Event) {
	_, known := s.contents[e.Entry.Message]
	switch {
	case e.Last:
		s.contents[e.Entry.Message] = nil
	case e.Content != nil && !known:
		s.contents[e.Entry.Message] = e.Content
	}
}

func (m *Memory) Content(ctx context.Context, s relay.Segment, message mailbox.MessageID) (content []byte, err error) {
	err = m.call(ctx, Call{Name: "Content", Segment: s, Lane: s.Lane}, func() error {
		if seg := m.store.segments[s]; seg != nil {
			content = slices.Clone(seg.contents[message])
		}
		if content == nil {
			return mailbox.ErrNotFound
		}
		return nil
	})
	return orNone(content, err), err
}

func (m *Memory) Load(ctx context.Context, s relay.Segment) iter.Seq2[relay.Event, error] {
	return func(yield func(relay.Event, error) bool) {
		var events []relay.Event
		half := false
		call := Call{Name: "Load", Segment: s, Lane: s.Lane}
		call.halve = func() { half = true }
		err := m.call(ctx, call, func() error {
			if seg := m.store.segments[s]; seg != nil {
				for _, n := range seg.order {
					events = append(events, copyOf(seg.events[n]))
				}
			}
			return nil
		})
		if err != nil && !half {
			events = nil
		}
		if half {
			events = events[:len(events)/2]
		}
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(relay.Event{}, err)
		}
	}
}

func (m *Memory) Close(ctx context.Context, s relay.Segment) error {
	return m.call(ctx, Call{Name: "Close", Segment: s, Lane: s.Lane}, func() error {
		if seg := m.store.segments[s]; seg != nil {
			*seg = memorySegment{closed: true}
		}
		return nil
	})
}

func (m *Memory) Lanes(ctx context.Context, datacenter string) (lanes []mailbox.MessageID, err error) {
	if datacenter == "" {
		datacenter = m.datacenter
	}
	err = m.call(ctx, Call{Name: "Lanes"}, func() error {
		for at := range m.store.lanes {
			if at.datacenter == datacenter {
				lanes = append(lanes, at.lane)
			}
		}
		slices.SortFunc(lanes, mailbox.MessageID.Compare)
		return nil
	})
	return orNone(lanes, err), err
}

func (m *Memory) Segments(ctx context.Context, lane mailbox.MessageID) (segments []relay.Segment, err error) {
	err = m.call(ctx, Call{Name: "Segments", Lane: lane}, func() error {
		for s, seg := range m.store.segments {
			if s.Lane == lane && !seg.closed {
				segments = append(segments, s)
			}
		}
		slices.SortFunc(segments, func(a, b relay.Segment) int { return a.ID.Compare(b.ID) })
		return nil
	})
	return orNone(segments, err), err
}

func (m *Memory) Beat(ctx context.Context, b relay.Beat) error {
	b.Data = slices.Clone(b.Data)
	return m.call(ctx, Call{Name: "Beat", Lane: b.Lane}, func() error {
		at := place{m.datacenter, b.Lane}
		if b.Seq >= m.store.beats[at].Seq {
			m.store.beats[at] = b
		}
		m.store.lanes[at] = true
		return nil
	})
}

func (m *Memory) Beats(ctx context.Context) (beats []relay.Beat, err error) {
	err = m.call(ctx, Call{Name: "Beats"}, func() error {
		for at, b := range m.store.beats {
			if at.datacenter == m.datacenter {
				b.Data = slices.Clone(b.Data)
				beats = append(beats, b)
			}
		}
		slices.SortFunc(beats, func(a, b relay.Beat) int { return a.Lane.Compare(b.Lane) })
		return nil
	})
	return orNone(beats, err), err
}

func (m *Memory) Claimed(ctx context.Context, s relay.Segment) (claim relay.Claim, err error) {
	err = m.call(ctx, Call{Name: "Claimed", Segment: s, Lane: s.Lane}, func() error {
		claim = m.store.claims[s]
		return nil
	})
	if err != nil {
		return relay.Claim{}, err
	}
	return claim, nil
}

func (m *Memory) Claim(ctx context.Context, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
	// The version is of now, also where the claim arrives late.
	claim := relay.Claim{Lane: lane, Version: max(time.Now().UnixMicro(), over.Version+1)}
	return m.call(ctx, Call{Name: "Claim", Segment: s, Lane: lane}, func() error {
		stands := m.store.claims[s]
		if claim.Version > stands.Version || claim.Version == stands.Version && claim.Lane.Compare(stands.Lane) > 0 {
			m.store.claims[s] = claim
		}
		return nil
	})
}

// orNone is a list that was read, unless reading it failed.
func orNone[T any](list []T, err error) []T {
	if err != nil {
		return nil
	}
	return list
}

// call does something to the store as the plan says.
func (m *Memory) call(ctx context.Context, c Call, do func() error) error {
	c.do = func(ctx context.Context) error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
		}
		m.store.mu.Lock()
		defer m.store.mu.Unlock()
		return do()
	}
	if err := m.planned(&c)(ctx, c); err != nil {
		return fmt.Errorf("memory: %s: %w", c.Name, err)
	}
	return nil
}

package embedded

import (
	"context"

	"restante/relay"
)

// sweepJournal forgets segments that nobody closed, and events that came after a close.
func (s *Store) sweepJournal(ctx context.Context, stats *SweepStats) error {
	old := s.now().Add(-relay.Kept)
	err := s.pages(ctx, []byte{prefixSegment}, []byte{prefixSegment + 1}, func(keys [][]byte) error {
		for _, key := range keys {
			segment, err := decodeSegmentKey(key)
			if err != nil {
				return err
			}
			if !segment.ID.Time().Before(old) {
				continue
			}
			if err := s.journal.close(ctx, segment); err != nil {
				return err
			}
			stats.Segments++
		}
		return nil
	})
	if err != nil {
		return err
	}
	from := []byte{prefixEvent}
	for {
		segment, found, err := s.journal.next(ctx, from)
		if err != nil || !found {
			return err
		}
		from = after(eventPrefix(segment))
		if err := s.sweepSegment(ctx, segment); err != nil {
			return err
		}
	}
}

// next is the first segment that has events at or after a key.
func (j *journal) next(ctx context.Context, from []byte) (segment relay.Segment, found bool, err error) {
	if err := j.store.enter(ctx); err != nil {
		return segment, false, err
	}
	defer j.store.leave()
	err = j.store.scan(ctx, from, []byte{prefixEvent + 1}, func(key, _ []byte) (bool, error) {
		var err error
		segment, _, err = decodeEventKey(key)
		found = true
		return false, err
	})
	return segment, found, err
}

// sweepSegment forgets the events of a segment that is not open.
func (s *Store) sweepSegment(ctx context.Context, segment relay.Segment) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	open, err := s.has(segmentKey(segment))
	s.leave()
	if err != nil || open {
		return err
	}
	return s.journal.close(ctx, segment)
}

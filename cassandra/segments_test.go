package cassandra

import (
	"math/rand/v2"
	"slices"
	"testing"

	"restante/mailbox"
	"restante/relay"
)

// Whatever the order in which segments are closed, nothing is deleted that is open, and
// what is closed is deleted with all that is next to it.
func TestARunOfClosedSegmentsGoesAsOne(t *testing.T) {
	t.Parallel()
	for range 100 {
		s, lane := new(segments), ids.Next()
		var all []mailbox.MessageID
		open := make(map[mailbox.MessageID]bool)
		for range 60 {
			if len(all) == 0 || rand.IntN(2) == 0 {
				id := ids.Next()
				if !s.open(relay.Segment{Lane: lane, ID: id}) || !s.open(relay.Segment{Lane: lane, ID: id}) {
					t.Fatal("it counts as closed before it was")
				}
				all, open[id] = append(all, id), true
				continue
			}
			i := rand.IntN(len(all))
			delete(open, all[i])
			first, last := s.close(relay.Segment{Lane: lane, ID: all[i]})
			begin, end := slices.Index(all, first), slices.Index(all, last)
			if begin > i || end < i {
				t.Fatalf("closing %d deletes from %d to %d", i, begin, end)
			}
			for _, id := range all[begin : end+1] {
				if open[id] {
					t.Fatalf("closing %d deletes from %d to %d, of which some are open", i, begin, end)
				}
			}
			if begin > 0 && !open[all[begin-1]] || end+1 < len(all) && !open[all[end+1]] {
				t.Fatalf("closing %d deletes from %d to %d, and leaves some that are closed beside it", i, begin, end)
			}
			if s.open(relay.Segment{Lane: lane, ID: all[i]}) {
				t.Fatal("what is closed is opened again")
			}
		}
	}
}

func TestASegmentThatIsNotKnownGoesAlone(t *testing.T) {
	t.Parallel()
	s := new(segments)
	one, two, other := aSegment(), aSegment(), aSegment()
	two.Lane = one.Lane
	s.open(one)
	s.close(one)
	for _, seg := range []relay.Segment{two, other} {
		if first, last := s.close(seg); first != seg.ID || last != seg.ID {
			t.Errorf("closing %s deletes from %s to %s", seg.ID, first, last)
		}
	}
	s.open(other) // and the lane of before is over
	if first, last := s.close(one); first != one.ID || last != one.ID {
		t.Errorf("closing %s deletes from %s to %s", one.ID, first, last)
	}
}

func TestTheListOfALaneHasFewTombstones(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	j, lane := s.Journal(), ids.Next()
	open := func() relay.Segment {
		segment := relay.Segment{Lane: lane, ID: ids.Next()}
		openSegment(t, j, segment)
		return segment
	}
	closed := func(segments []relay.Segment) {
		for _, segment := range segments {
			if err := s.Journal().Close(t.Context(), segment); err != nil {
				t.Fatal(err)
			}
		}
	}
	var kept []relay.Segment
	for range 3 { // one stays while many come and go
		var gone []relay.Segment
		for range 100 {
			gone = append(gone, open())
			if len(gone)%10 == 0 {
				closed(gone[:10])
				gone = gone[10:]
			}
		}
		kept = append(kept, open())
	}
	var listed []relay.Segment
	_, tombstones := passed(t, s, func() {
		var err error
		if listed, err = j.Segments(t.Context(), lane); err != nil {
			t.Fatal(err)
		}
	})
	if !slices.Equal(listed, kept) {
		t.Errorf("open are %v; want %v", listed, kept)
	}
	if tombstones > 2*len(kept) {
		t.Errorf("the list of a lane passes %d tombstones; want at most %d", tombstones, 2*len(kept))
	}
}

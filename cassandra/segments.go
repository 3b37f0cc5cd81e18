package cassandra

import (
	"slices"
	"sync"

	"restante/mailbox"
	"restante/relay"
)

// segments are those that this process has opened in its lane, from which follows how
// closed ones are taken off the list: a range from the first to the last of some that have
// none between them which is open. Ranges that grow into each other leave one tombstone;
// one for each segment would soon be more than Cassandra reads past.
//
// Nothing else is in such a range. A lane has one writer, which opens its segments in the
// order of their ids, one after the other. What is of another lane, or was opened by
// another process, is taken off alone.
type segments struct {
	mu   sync.Mutex
	lane mailbox.MessageID // the last in which one was opened
	runs []segmentRun      // in the order of their ids
}

// A segmentRun is one segment that is open, or some that are closed.
type segmentRun struct {
	first, last mailbox.MessageID
	open        bool
}

// open notes a segment that is about to be opened, perhaps again, and reports false where
// it was closed.
func (s *segments) open(seg relay.Segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lane != seg.Lane {
		s.lane, s.runs = seg.Lane, nil
	}
	i, found := s.find(seg)
	if found {
		return s.runs[i].open
	}
	s.runs = slices.Insert(s.runs, i, segmentRun{seg.ID, seg.ID, true})
	return true
}

// close notes that a segment is closed, and returns the ends of the run that it is in now.
func (s *segments) close(seg relay.Segment) (first, last mailbox.MessageID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(seg)
	if !found {
		return seg.ID, seg.ID
	}
	s.runs[i].open = false
	begin, end := i, i+1
	if i > 0 && !s.runs[i-1].open {
		begin--
	}
	if end < len(s.runs) && !s.runs[end].open {
		end++
	}
	closed := segmentRun{first: s.runs[begin].first, last: s.runs[end-1].last}
	s.runs = slices.Replace(s.runs, begin, end, closed)
	return closed.first, closed.last
}

// find is the run that a segment is in, or where one with it would be.
func (s *segments) find(seg relay.Segment) (i int, found bool) {
	if s.lane != seg.Lane {
		return 0, false
	}
	return slices.BinarySearchFunc(s.runs, seg.ID, func(r segmentRun, id mailbox.MessageID) int {
		switch {
		case id.Compare(r.first) < 0:
			return 1
		case id.Compare(r.last) > 0:
			return -1
		}
		return 0
	})
}

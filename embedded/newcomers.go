package embedded

import (
	"sync"

	"restante/mailbox"
)

// newcomers know, of the latest messages, what need not be looked up: that a
// content is not in the store yet, and that no maildrop has listed or removed
// its message. Nearly every delivery is of such a message, and looking for what
// is not there, in all tables, took it a fifth of its time.
type newcomers struct {
	mu sync.Mutex
	// What the store may have had at its start, and what has left the ring, is
	// not above floor.
	floor mailbox.MessageID
	alone map[mailbox.MessageID]bool // in the ring; true: neither added nor removed
	ring  []mailbox.MessageID        // the oldest at next, once it is full
	next  int
}

// maxNewcomers is how many messages are remembered.
const maxNewcomers = 4096

// newNewcomers takes for known what is not later than the opening of the store,
// nor than the latest content in it, should the clock have been set back.
func newNewcomers(opened, latest mailbox.MessageID) *newcomers {
	floor := opened
	if latest.Compare(floor) > 0 {
		floor = latest
	}
	return &newcomers{
		floor: floor,
		alone: make(map[mailbox.MessageID]bool),
		ring:  make([]mailbox.MessageID, 0, maxNewcomers),
	}
}

// arrive notes that a content is put, and reports whether it is certainly new.
func (n *newcomers) arrive(id mailbox.MessageID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.remember(id, true)
}

// touch notes that a message is added or removed, and reports whether it arrived
// and this is certainly the first time. The caller has the lock of the maildrop.
func (n *newcomers) touch(id mailbox.MessageID) (first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alone[id] {
		n.alone[id] = false
		return true
	}
	n.remember(id, false)
	return false
}

// remember puts a message in the ring, unless it is known.
func (n *newcomers) remember(id mailbox.MessageID, alone bool) bool {
	if _, known := n.alone[id]; known || id.Compare(n.floor) <= 0 {
		return false
	}
	if len(n.ring) < maxNewcomers {
		n.ring = append(n.ring, id)
	} else {
		oldest := n.ring[n.next]
		delete(n.alone, oldest)
		if oldest.Compare(n.floor) > 0 {
			n.floor = oldest
		}
		n.ring[n.next] = id
		n.next = (n.next + 1) % maxNewcomers
	}
	n.alone[id] = alone
	return true
}

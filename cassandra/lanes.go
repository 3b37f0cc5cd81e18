package cassandra

import (
	"container/list"
	"sync"
	"time"

	"restante/mailbox"
)

// A lane is a numbered log of one maildrop with one writer, a process, which gives
// out the ordinals: 0, 1, 2 and so on. An ordinal belongs to one message for ever.
// So nobody needs to be asked before a message is listed, and a range of ordinals
// that were seen can be deleted with one tombstone, without touching a message that
// was not seen: it has an ordinal of its own, whenever it arrives.
//
// # The register
//
// Ranges stay few if those next to each other become one. A removal may delete
// across an ordinal that is gone already, but never across one that it knows
// nothing of, whose message may still be on its way from another data centre. The
// register of a lane, its row with the ordinal -1, names ordinals that were removed,
// as [runs]. Whoever removes reads it, deletes whole runs of what it names and what
// is removed now, and writes back both.
//
// No lock keeps two from doing so at once: of two registers the one that goes further
// wins, in every data centre. What the other named is forgotten. That costs a tombstone
// and no message, since a register need not name all that is gone. It must not name
// anything else.
//
// So it may also be forgotten. A register has a time to live, longer than tombstones
// are kept, and a lane that is no longer used leaves nothing behind.
type lane struct {
	drop mailbox.MaildropID
	id   mailbox.MessageID
	next int64
}

const (
	// laneOrds is how many ordinals a lane has, before the writer begins another.
	laneOrds = 1 << 16

	// maxLanes is how many maildrops a process keeps a lane of, the last that it
	// delivered to. A maildrop that comes back later has another lane, which costs
	// it a row and a tombstone more, for as long as they are kept.
	maxLanes = 1 << 16

	// registerOrd is the ordinal of a register.
	registerOrd = -1

	// maxRuns is how many runs a register has, a few kilobytes.
	maxRuns = 1000

	// registerLife is how long a register is kept after it was written: when it
	// ends, the tombstones that it could have joined to others are purged, or will
	// be soon (gc_grace_seconds in the schema).
	registerLife = 7 * 24 * time.Hour
)

// A writer gives out places in the lanes of one process.
type writer struct {
	mint  func() mailbox.MessageID // of lanes
	lanes int                      // how many it keeps

	mu    sync.Mutex
	open  map[mailbox.MaildropID]*list.Element // of *lane
	order list.List                            // the last used first
}

func newWriter(mint func() mailbox.MessageID, lanes int) *writer {
	return &writer{mint: mint, lanes: lanes, open: make(map[mailbox.MaildropID]*list.Element)}
}

// place is where to list a message that has no place yet. Nobody gets the same one
// again, whatever becomes of the message.
func (w *writer) place(drop mailbox.MaildropID) mailbox.Place {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.open[drop]
	if !ok {
		if len(w.open) >= w.lanes {
			oldest := w.order.Back()
			delete(w.open, oldest.Value.(*lane).drop)
			w.order.Remove(oldest)
		}
		e = w.order.PushFront(&lane{drop: drop, id: w.mint()})
		w.open[drop] = e
	}
	w.order.MoveToFront(e)
	l := e.Value.(*lane)
	if l.next == laneOrds {
		*l = lane{drop: drop, id: w.mint()}
	}
	l.next++
	return mailbox.Place{Lane: l.id, Ord: l.next - 1}
}

// A removal is what is written to take messages off a lane.
type removal struct {
	lane   mailbox.MessageID
	ranges runs      // each is deleted as one
	at     writeTime // of the deletes

	register     []byte // nil: it stays as it is
	registerAt   writeTime
	registerLife time.Duration
}

// planRemoval says how to remove ordinals from a lane that has this register, or
// none.
func planRemoval(lane mailbox.MessageID, removed runs, register []byte, at writeTime) removal {
	// A register that a later version wrote is as good as none.
	dead, err := decodeRuns(register)
	if err != nil {
		dead = nil
	}
	all := dead.union(removed)
	r := removal{lane: lane, ranges: all.around(removed), at: at, registerLife: registerLife}
	if all = all.longest(maxRuns); registeredAt(lane, all) > registeredAt(lane, dead) {
		r.register, r.registerAt = all.encode(), registeredAt(lane, all)
	}
	return r
}

// registeredAt is the write timestamp of a register. The later of two is the one that
// names a later ordinal, or more of them; so whatever a register is joined to makes it
// later, and one that is forgotten is not in the way of what comes after it.
//
// It counts from the time in the id of the lane, in which a lane that is full has come
// 72 minutes further. Small numbers would do as well to order registers, but Cassandra
// compares them with the rest of the table too: a file of which every row has expired
// is only dropped whole if nothing else is as old, and a tombstone is only purged if
// nothing that it might hide is.
func registeredAt(lane mailbox.MessageID, dead runs) writeTime {
	at := insertedAt(lane)
	if n := len(dead); n > 0 {
		at += writeTime((dead[n-1].last+1)*laneOrds + dead.count())
	}
	return at
}

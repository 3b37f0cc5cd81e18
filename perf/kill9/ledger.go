package main

import (
	"fmt"
	"sync"

	"restante/perf/letter"
)

// A state is what a client knows of a message in a maildrop.
type state int

const (
	attempted state = iota // sent, not answered: may be there or not
	kept                   // acknowledged or seen: must be there
	removing               // QUIT was sent for it and not answered: may be there or not
	gone                   // acknowledged as removed, or seen to be: must not come back
	doubtful               // an error was the answer: may be there or not, today and tomorrow
)

// An entry is one message in one maildrop.
type entry struct {
	state state
	sum   uint64
	seen  bool
}

// A copyOf is a message in a maildrop: one mail may go to several.
type copyOf struct {
	id   letter.ID
	drop int
}

// A found message is one that a session has retrieved.
type found struct {
	id  letter.ID
	sum uint64
	uid string
}

// maxFaults bounds what a broken server makes the ledger remember.
const maxFaults = 100

// A ledger knows everything that clients have been told, and finds what
// contradicts it. It is safe for concurrent use, but each maildrop has one
// reader at a time.
type ledger struct {
	mu      sync.Mutex
	entries map[copyOf]*entry
	uids    map[int]map[string]letter.ID // per maildrop, for ever
	faults  []string
	stats   stats

	// late tells that what was under way when the server died, or failed, may be
	// carried out later: its store is elsewhere.
	late bool
}

// stats are what clients were told over all rounds.
type stats struct {
	Kept     int `json:"acknowledged"` // deliveries, one for each recipient
	Unknown  int `json:"unanswered"`   // deliveries
	Refused  int `json:"refused"`      // deliveries that were answered with an error
	Removed  int `json:"removed"`      // acknowledged removals
	Twice    int `json:"copies"`       // of messages that were sent once
	Verified int `json:"verified"`     // messages retrieved and verified
	PutOff   int `json:"put_off"`      // POP3 sessions that ended with -ERR [SYS/TEMP], to be tried again
}

func newLedger() *ledger {
	return &ledger{entries: map[copyOf]*entry{}, uids: map[int]map[string]letter.ID{}, faults: []string{}}
}

func (l *ledger) fault(format string, args ...any) {
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// report notes a fault that somebody else has found.
func (l *ledger) report(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(format, args...)
}

// attempt is called before a message is sent.
func (l *ledger) attempt(id letter.ID, sum uint64, drops []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, drop := range drops {
		l.entries[copyOf{id, drop}] = &entry{sum: sum}
	}
}

// answered is called with what the server said to a message: taken, refused, or
// nothing.
func (l *ledger) answered(id letter.ID, drops []int, taken, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, drop := range drops {
		switch e := l.entries[copyOf{id, drop}]; {
		case refused:
			l.stats.Refused++
			if l.late && e.state == attempted {
				e.state = doubtful // it is being withdrawn
			}
		case !taken:
			l.stats.Unknown++
		default:
			l.stats.Kept++
			if e.state == attempted {
				e.state = kept // a reader may have seen, even removed it already
			}
		}
	}
}

// due are the messages that the next login to a maildrop must list.
func (l *ledger) due(drop int) []letter.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []letter.ID
	for at, e := range l.entries {
		if at.drop == drop && e.state == kept {
			ids = append(ids, at.id)
		}
	}
	return ids
}

// known is the message of a unique-id that was seen before.
func (l *ledger) known(drop int, uid string) (letter.ID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.uids[drop][uid]
	return id, ok
}

// retrieved notes a message that was read whole and found undamaged.
func (l *ledger) retrieved(drop int, f found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Verified++
	e, sent := l.entries[copyOf{f.id, drop}]
	switch {
	case !sent:
		l.fault("maildrop %d: message %v was never sent there", drop, f.id)
		return
	case e.sum != f.sum:
		l.fault("maildrop %d: message %v is not the one that was sent", drop, f.id)
	case e.state == gone:
		l.fault("maildrop %d: message %v was removed and is back", drop, f.id)
	}
	if l.uids[drop] == nil {
		l.uids[drop] = map[string]letter.ID{}
	}
	if other, used := l.uids[drop][f.uid]; used && other != f.id {
		l.fault("maildrop %d: unique-id %q was message %v and is %v", drop, f.uid, other, f.id)
	}
	if _, seen := l.uids[drop][f.uid]; !seen && e.seen {
		l.stats.Twice++
		if !l.late {
			l.fault("maildrop %d: message %v was sent once and is there twice", drop, f.id)
		}
	}
	e.seen = true
	l.uids[drop][f.uid] = f.id
}

// listed compares a whole listing with what must be in it and what must not.
// Due is what due said before the login.
func (l *ledger) listed(drop int, due []letter.ID, listing map[letter.ID]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range due {
		if !listing[id] {
			l.fault("maildrop %d: message %v was acknowledged and is lost", drop, id)
			l.entries[copyOf{id, drop}].state = gone // told once is enough
		}
	}
	for id := range listing {
		e, sent := l.entries[copyOf{id, drop}]
		switch {
		case !sent: // told by retrieved
		case e.state == gone:
			l.fault("maildrop %d: message %v was removed and is listed", drop, id)
		case e.state == doubtful, e.state == removing && l.late:
			e.state = doubtful
		default:
			e.state = kept // once seen it must not vanish
		}
	}
}

// settled is listed for a time when nothing is under way: what was being removed
// and is not listed has been removed. What was never acknowledged may still
// appear later, as a server may mend what a crash has left half done.
func (l *ledger) settled(drop int, due []letter.ID, listing map[letter.ID]bool) {
	l.listed(drop, due, listing)
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, e := range l.entries {
		if at.drop != drop || listing[at.id] {
			continue
		}
		if e.state == removing {
			e.state = gone
		}
	}
}

// quitting is called before QUIT is sent for messages that were marked.
func (l *ledger) quitting(drop int, ids []letter.ID) { l.move(drop, ids, removing) }

// failed is called when QUIT was answered by -ERR: any of the messages may be gone,
// or go later.
func (l *ledger) failed(drop int, ids []letter.ID) { l.move(drop, ids, doubtful) }

// putOff counts a session that is to be tried again later.
func (l *ledger) putOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.PutOff++
}

// removed is called when QUIT was answered by +OK.
func (l *ledger) removed(drop int, ids []letter.ID) {
	l.move(drop, ids, gone)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Removed += len(ids)
}

func (l *ledger) move(drop int, ids []letter.ID, to state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if e, sent := l.entries[copyOf{id, drop}]; sent {
			e.state = to
		}
	}
}

package relay

import (
	"time"

	"restante/mailbox"
)

// A message is one that something is left to do for. There may be a million, so it
// holds little, and what it was accepted with in a packed form.
type message struct {
	id      mailbox.MessageID
	segment *segment
	packed  string  // see pack
	entries []entry // by the number of the recipient
	wake    stamp   // of the timer
	index   int32   // among those that wait; -1: it is not
	class   Class
	state   state
	warned  bool // the sender heard that it waits, or never will
	// The content is in the journal, so that nobody has to release it.
	journalled bool
}

// A state is where a message is.
type state uint8

const (
	isWaiting state = iota // for its time
	isReady                // for a service
	isBusy                 // somebody works on it
	isGone                 // not ours any more
)

// An entry is the way to one recipient.
type entry struct {
	due       stamp        // of the next attempt
	said      packedSaying // what came of the last one; empty: there was none
	tried     uint32       // when that was, in seconds since 1970
	seq       uint16       // of the last attempt
	kind      Kind         // of the last event that counts; 0: none but Accepted
	unreached uint8        // attempts that do not count, since they reached nobody
}

// givenUp is the kind, in memory alone, of an entry that is given up and whose sender could
// not be told so yet: see [DeferredData].
const givenUp Kind = 4

// A saying is what a service said.
type saying struct {
	service string
	outcome Outcome
}

// mostSayings is how many are known as being shared. What is not costs more memory.
const mostSayings = 1024

// share is the form in which a saying is kept, one for all that are alike. The caller
// holds the lock.
func (q *Queue) share(s saying) packedSaying {
	packed := packSaying(s)
	if known, ok := q.said[packed]; ok {
		return known
	}
	if len(q.said) >= mostSayings {
		clear(q.said)
	}
	q.said[packed] = packed
	return packed
}

// left reports whether something is left to do for an entry, and toSend whether it is to be
// sent.
func (e *entry) left() bool   { return !e.kind.Terminal() }
func (e *entry) toSend() bool { return e.left() && e.kind != givenUp }

// attempts are how many count, and vain how many do not.
func (e *entry) attempts() int { return int(e.seq) - e.vain() }
func (e *entry) vain() int     { return int(e.unreached) }

// prefers is the service that may have an entry already, or none.
func (e *entry) prefers(p *Policy) string {
	if p.Ambiguous == RetryAny || e.said.result() != Ambiguous {
		return ""
	}
	return e.said.unpack().service
}

// expires is when the message expires.
func (m *message) expires() stamp { return packedExpires(m.packed) }

// left counts the entries that something is left to do for.
func (m *message) left() int {
	n := 0
	for i := range m.entries {
		if m.entries[i].left() {
			n++
		}
	}
	return n
}

// due is the first entry that is due to be sent, or nil.
func (m *message) due(now stamp) *entry {
	for i := range m.entries {
		if e := &m.entries[i]; e.toSend() && e.due <= now {
			return e
		}
	}
	return nil
}

// earliest is when the first entry is due, or the end if that comes before.
func (m *message) earliest(end stamp) stamp {
	at := end
	for i := range m.entries {
		if e := &m.entries[i]; e.left() {
			at = min(at, e.due)
		}
	}
	return at
}

// group are the recipients of one attempt: those that are due, and may be at the same
// service already, if any.
func (m *message) group(now stamp, p *Policy, most int) []int {
	prefers := m.due(now).prefers(p)
	var group []int
	for i := range m.entries {
		if e := &m.entries[i]; len(group) < most && e.toSend() && e.due <= now && e.prefers(p) == prefers {
			group = append(group, i)
		}
	}
	return group
}

// newMessage is a message of a segment, which is due at once. It is in no list yet.
func (q *Queue) newMessage(id mailbox.MessageID, in *segment, s *Submission) *message {
	m := &message{id: id, segment: in, packed: pack(s), entries: make([]entry, len(s.Recipients)), index: -1, class: s.Class, state: isBusy, journalled: s.Journalled}
	if int(m.class) >= len(shares) {
		m.class = Normal
	}
	m.warned = q.options.Policies.of(m.class).Delay == 0
	due := min(stampOf(m.accepted()), q.now()) // the clock that ids are by may have been set forward since the start
	for i := range m.entries {
		m.entries[i].due = due
	}
	return m
}

// accepted is when the message was.
func (m *message) accepted() time.Time { return m.id.Time() }

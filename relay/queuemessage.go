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
	warn    uint32  // seconds since 1970, when the sender is to hear that it waits; 0: he has, or never
	class   Class
	state   state
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
	due   stamp   // of the next attempt
	said  *saying // what came of the last one; nil: there was none
	tried uint32  // when that was, in seconds since 1970
	seq   uint16  // of the last attempt
	kind  Kind    // of the last event that counts; 0: none but Accepted
}

// A saying is what a service said. Many entries share one.
type saying struct {
	service string
	outcome Outcome
}

// mostSayings is how many are known as being shared. What is not costs more memory.
const mostSayings = 1024

// saying is the shared form of what was said. The caller holds the lock.
func (q *Queue) saying(service string, o Outcome) *saying {
	key := saying{service, o}
	if known := q.said[key]; known != nil {
		return known
	}
	if len(q.said) >= mostSayings {
		clear(q.said)
	}
	q.said[key] = &key
	return &key
}

// left reports whether something is left to do for an entry.
func (e *entry) left() bool { return !e.kind.Terminal() }

// prefers is the service that may have an entry already, or none.
func (e *entry) prefers(p *Policy) string {
	if e.said == nil || p.Ambiguous == RetryAny || e.kind != Attempt && e.said.outcome.Result != Ambiguous {
		return ""
	}
	return e.said.service
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

// due is the first entry that is due, or nil.
func (m *message) due(now stamp) *entry {
	for i := range m.entries {
		if e := &m.entries[i]; e.left() && e.due <= now {
			return e
		}
	}
	return nil
}

// earliest is when the first entry is due.
func (m *message) earliest() stamp {
	at := m.expires()
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
		if e := &m.entries[i]; len(group) < most && e.left() && e.due <= now && e.prefers(p) == prefers {
			group = append(group, i)
		}
	}
	return group
}

// newMessage is a message of a segment, which is due at once. It is in no list yet.
func (q *Queue) newMessage(id mailbox.MessageID, in *segment, s *Submission) *message {
	m := &message{id: id, segment: in, packed: pack(s), entries: make([]entry, len(s.Recipients)), index: -1, class: s.Class, state: isBusy}
	if int(m.class) >= len(share) {
		m.class = Normal
	}
	if delay := q.options.Policies.of(m.class).Delay; delay > 0 {
		m.warn = uint32(m.accepted().Add(delay).Unix())
	}
	due := stampOf(m.accepted())
	for i := range m.entries {
		m.entries[i].due = due
	}
	return m
}

// accepted is when the message was.
func (m *message) accepted() time.Time { return m.id.Time() }

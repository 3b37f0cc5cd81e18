package relay

import (
	"bytes"
	"cmp"
	"iter"
	"time"

	"restante/mailbox"
)

// Folded is what became of the messages of a segment.
type Folded struct {
	Messages map[mailbox.MessageID]FoldedMessage

	// What is left alone, in messages. Of a message that cannot be read nothing is
	// known but that it was accepted: its segment must not be closed.
	Unaccepted int // there are events, and Accepted is not among them (yet)
	Unreadable int // what Accepted says cannot be read

	// What does not hinder, in entries.
	Damaged int // what the deciding event says cannot be read; its kind counts
	Unknown int // with events of a kind, or of a recipient, that nobody knows
}

// A FoldedMessage is a message with what became of it for each recipient.
type FoldedMessage struct {
	Submission *Submission
	States     []EntryState // by the number of the recipient
}

// An EntryState is what became of a message for a recipient.
type EntryState struct {
	Kind Kind      // of the event that decides
	At   time.Time // of that event, by the clock of who wrote it
	Seq  int       // of the last attempt that any event is about; 0: there was none

	// Of the event that decides, where its kind has it.
	Service string
	Outcome Outcome
	Next    time.Time // of Deferred: when the next attempt is due
	Expired bool

	// Of the last Deferred.
	Warned    bool // the sender was told of the delay; or one about the message says so
	Untold    bool // it is given up, once the sender can be told: where Deferred decides
	Unreached int  // attempts that do not count
}

// Fold tells from the events of a segment what became of each message. Their order
// makes no difference, nor does one that comes twice, nor a split over several loads:
//
//	Delivered ≻ Cancelled ≻ Failed ≻ Attempt or Deferred, the latest by Seq ≻ Accepted
//
// Of an attempt and what came of it, both of one Seq, Deferred counts. An event other
// than Accepted that is about the message itself counts for each recipient. Where the
// sequence fails, Fold fails: what is known in part must not be acted on.
func Fold(events iter.Seq2[Event, error]) (Folded, error) {
	messages := make(map[mailbox.MessageID]*tally)
	for e, err := range events {
		if err != nil {
			return Folded{}, err
		}
		t := messages[e.Entry.Message]
		if t == nil {
			t = new(tally)
			messages[e.Entry.Message] = t
		}
		t.add(e)
	}
	folded := Folded{Messages: make(map[mailbox.MessageID]FoldedMessage, len(messages))}
	for id, t := range messages {
		t.count(&folded, id)
	}
	return folded, nil
}

// A tally is what is known of a message while events are read. Each field is the
// greatest of what came, in an order without equals: so the order of coming is lost.
type tally struct {
	accepted *Event
	entries  map[int]*track   // by recipient, Whole among them
	unknown  map[EntryID]bool // that have an event of a kind that nobody knows
}

// A track is what is known of an entry.
type track struct {
	decides  Event
	deferred *Event
	seq      int
}

func (t *tally) add(e Event) {
	switch {
	case e.Kind == Accepted:
		t.accepted = greater(t.accepted, e)
	case !e.Kind.known():
		if t.unknown == nil {
			t.unknown = make(map[EntryID]bool)
		}
		t.unknown[e.Entry] = true
	default:
		if t.entries == nil {
			t.entries = make(map[int]*track)
		}
		s := t.entries[e.Entry.Recipient]
		if s == nil {
			s = new(track)
			t.entries[e.Entry.Recipient] = s
		}
		s.add(e)
	}
}

func (s *track) add(e Event) {
	s.decides = *greater(&s.decides, e)
	if e.Kind == Deferred {
		s.deferred = greater(s.deferred, e)
	}
	s.seq = max(s.seq, e.Seq)
}

// with is what two tracks say together; either may be nil.
func (s *track) with(other *track) *track {
	if s == nil || other == nil {
		return cmp.Or(s, other)
	}
	both := *s
	both.add(other.decides)
	if other.deferred != nil {
		both.add(*other.deferred)
	}
	both.seq = max(both.seq, other.seq)
	return &both
}

func (k Kind) known() bool {
	switch k {
	case Accepted, Attempt, Deferred, Failed, Cancelled, Delivered:
		return true
	}
	return false
}

// greater is the greater of two events, the one of which may be missing.
func greater(a *Event, b Event) *Event {
	if a != nil && compareEvents(*a, b) >= 0 {
		return a
	}
	return &b
}

// compareEvents says which event decides. Events that say the same are equal, and no
// others: where two processes wrote what differs, all readers take the same.
func compareEvents(a, b Event) int {
	if c := cmp.Compare(a.Kind.rank(), b.Kind.rank()); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Seq, b.Seq); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	return cmp.Or(a.At.Compare(b.At), bytes.Compare(a.Data, b.Data))
}

// rank is the kind in the order of Fold, where an attempt ranks with what came of it.
func (k Kind) rank() Kind {
	if k == Attempt {
		return Deferred
	}
	return k
}

// count adds a message to what is known of a segment.
func (t *tally) count(f *Folded, id mailbox.MessageID) {
	f.Unknown += len(t.unknown)
	if t.accepted == nil {
		f.Unaccepted++
		return
	}
	submission, err := Decode[Submission](*t.accepted)
	if err != nil {
		f.Unreadable++
		return
	}
	m := FoldedMessage{Submission: &submission, States: make([]EntryState, len(submission.Recipients))}
	for recipient := range t.entries {
		if recipient < Whole || recipient >= len(m.States) {
			f.Unknown++
		}
	}
	accepted := track{decides: *t.accepted}
	for i := range m.States {
		entry := accepted.with(t.entries[Whole]).with(t.entries[i])
		state, err := entry.state()
		if err != nil {
			f.Damaged++
		}
		state.Warned = state.Warned || t.warned()
		m.States[i] = state
	}
	f.Messages[id] = m
}

// warned reports whether the last Deferred about the message itself says that the sender
// was told of the delay.
func (t *tally) warned() bool {
	whole := t.entries[Whole]
	if whole == nil || whole.deferred == nil {
		return false
	}
	d, err := Decode[DeferredData](*whole.deferred)
	return err == nil && d.Warned
}

// state reads what the deciding events say.
func (s *track) state() (EntryState, error) {
	f := EntryState{Kind: s.decides.Kind, At: s.decides.At.UTC(), Seq: s.seq}
	var err error
	switch s.decides.Kind {
	case Attempt:
		var d AttemptData
		d, err = Decode[AttemptData](s.decides)
		f.Service = d.Service
	case Failed:
		var d FailedData
		d, err = Decode[FailedData](s.decides)
		f.Service, f.Outcome, f.Expired = d.Service, d.Outcome, d.Expired
	case Cancelled:
		_, err = Decode[CancelledData](s.decides)
	case Delivered:
		var d DeliveredData
		d, err = Decode[DeliveredData](s.decides)
		f.Service, f.Outcome = d.Service, d.Outcome
	}
	if s.deferred == nil {
		return f, err
	}
	d, deferredErr := Decode[DeferredData](*s.deferred)
	f.Warned, f.Unreached = d.Warned, d.Unreached
	if f.Kind == Deferred {
		f.Next, f.Service, f.Outcome, f.Untold = d.Next, d.Service, d.Outcome, d.Untold
	}
	return f, cmp.Or(err, deferredErr)
}

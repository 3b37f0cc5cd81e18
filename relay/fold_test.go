package relay_test

import (
	"errors"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/relay"
)

// encoded is the data of an event.
func encoded[D relay.Data](t rapid.TB, data D) []byte {
	t.Helper()
	b, err := relay.Encode(data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sequence goes through events, and ends with an error unless it is nil.
func sequence(events []relay.Event, err error) iter.Seq2[relay.Event, error] {
	return func(yield func(relay.Event, error) bool) {
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

func folded(t rapid.TB, events []relay.Event) relay.Folded {
	t.Helper()
	f, err := relay.Fold(sequence(events, nil))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// noon is a time, and at is minutes after it.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// A history makes events about one message.
type history struct {
	t       rapid.TB
	message mailbox.MessageID
	writer  mailbox.MessageID
}

func newHistory(t rapid.TB) history {
	var ids mailbox.MessageIDs
	return history{t, ids.Next(), ids.Next()}
}

func (h history) event(k relay.Kind, recipient, seq int, data []byte) relay.Event {
	return relay.Event{Entry: relay.EntryID{Message: h.message, Recipient: recipient}, Kind: k, Seq: seq, Writer: h.writer, At: at(seq), Data: data}
}

func (h history) accepted(recipients int) relay.Event {
	s := relay.Submission{Recipients: make([]mailbox.Address, recipients), Accepted: noon}
	for i := range s.Recipients {
		s.Recipients[i] = mailbox.Address{Local: "fred", Domain: "example.org"}
	}
	return h.event(relay.Accepted, relay.Whole, 0, encoded(h.t, s))
}

func (h history) attempt(recipient, seq int) relay.Event {
	return h.event(relay.Attempt, recipient, seq, encoded(h.t, relay.AttemptData{Service: "tried"}))
}

func (h history) deferred(recipient, seq int) relay.Event {
	return h.event(relay.Deferred, recipient, seq, encoded(h.t, relay.DeferredData{
		Next: at(10 * seq), Service: "asked", Outcome: relay.Outcome{Result: relay.Temporary, Code: 451}, Warned: seq > 2,
	}))
}

func (h history) delivered(recipient, seq int) relay.Event {
	return h.event(relay.Delivered, recipient, seq, encoded(h.t, relay.DeliveredData{
		Service: "took", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"},
	}))
}

func TestTheEventsOfAnEntrySayWhereItStands(t *testing.T) {
	h := newHistory(t)
	failed := h.event(relay.Failed, 0, 3, encoded(t, relay.FailedData{Service: "said no", Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550}, Expired: true}))
	cancelled := h.event(relay.Cancelled, 0, 0, encoded(t, relay.CancelledData{By: "the operator"}))
	temporary, refusal := relay.Outcome{Result: relay.Temporary, Code: 451}, relay.Outcome{Result: relay.BadRecipient, Code: 550}
	untold := h.event(relay.Deferred, 0, 1, encoded(t, relay.DeferredData{Next: at(5), Service: "said no", Outcome: refusal, Untold: true}))
	warned := h.event(relay.Deferred, relay.Whole, 0, encoded(t, relay.DeferredData{Next: at(3), Warned: true}))
	for name, c := range map[string]struct {
		events []relay.Event
		want   relay.EntryState
	}{
		"accepted": {nil, relay.EntryState{Kind: relay.Accepted, At: at(0)}},
		"an attempt that nothing came of yet": {[]relay.Event{h.attempt(0, 1)},
			relay.EntryState{Kind: relay.Attempt, At: at(1), Seq: 1, Service: "tried"}},
		"deferred": {[]relay.Event{h.attempt(0, 1), h.deferred(0, 1)},
			relay.EntryState{Kind: relay.Deferred, At: at(1), Seq: 1, Service: "asked", Outcome: temporary, Next: at(10)}},
		"deferred, of which the attempt is missing": {[]relay.Event{h.deferred(0, 2)},
			relay.EntryState{Kind: relay.Deferred, At: at(2), Seq: 2, Service: "asked", Outcome: temporary, Next: at(20)}},
		"deferred three times": {[]relay.Event{h.deferred(0, 1), h.deferred(0, 2), h.deferred(0, 3), h.attempt(0, 3)},
			relay.EntryState{Kind: relay.Deferred, At: at(3), Seq: 3, Service: "asked", Outcome: temporary, Next: at(30), Warned: true}},
		"another attempt after it was deferred": {[]relay.Event{h.deferred(0, 3), h.attempt(0, 4)},
			relay.EntryState{Kind: relay.Attempt, At: at(4), Seq: 4, Service: "tried", Warned: true}},
		"given up without word to the sender": {[]relay.Event{h.attempt(0, 1), untold},
			relay.EntryState{Kind: relay.Deferred, At: at(1), Seq: 1, Service: "said no", Outcome: refusal, Next: at(5), Untold: true}},
		"another attempt after that, by an older program": {[]relay.Event{h.attempt(0, 1), untold, h.attempt(0, 2)},
			relay.EntryState{Kind: relay.Attempt, At: at(2), Seq: 2, Service: "tried"}},
		"never tried, and the sender was told of the delay": {[]relay.Event{warned},
			relay.EntryState{Kind: relay.Deferred, At: at(0), Next: at(3), Warned: true}},
		"tried, and the sender was told of the delay": {[]relay.Event{warned, h.attempt(0, 1)},
			relay.EntryState{Kind: relay.Attempt, At: at(1), Seq: 1, Service: "tried", Warned: true}},
		"deferred, and the sender was told of the delay": {[]relay.Event{warned, h.attempt(0, 1), h.deferred(0, 1)},
			relay.EntryState{Kind: relay.Deferred, At: at(1), Seq: 1, Service: "asked", Outcome: temporary, Next: at(10), Warned: true}},
		"delivered": {[]relay.Event{h.attempt(0, 1), h.delivered(0, 1)},
			relay.EntryState{Kind: relay.Delivered, At: at(1), Seq: 1, Service: "took", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"}}},
		"delivered, then deferred by another": {[]relay.Event{h.delivered(0, 1), h.deferred(0, 2)},
			relay.EntryState{Kind: relay.Delivered, At: at(1), Seq: 2, Service: "took", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"}}},
		"failed": {[]relay.Event{h.attempt(0, 3), failed},
			relay.EntryState{Kind: relay.Failed, At: at(3), Seq: 3, Service: "said no", Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550}, Expired: true}},
		"delivered is more than cancelled and failed": {[]relay.Event{cancelled, failed, h.delivered(0, 1)},
			relay.EntryState{Kind: relay.Delivered, At: at(1), Seq: 3, Service: "took", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"}}},
		"cancelled is more than failed": {[]relay.Event{cancelled, failed},
			relay.EntryState{Kind: relay.Cancelled, At: at(0), Seq: 3}},
		"failed is more than a later attempt": {[]relay.Event{failed, h.attempt(0, 9)},
			relay.EntryState{Kind: relay.Failed, At: at(3), Seq: 9, Service: "said no", Outcome: relay.Outcome{Result: relay.BadRecipient, Code: 550}, Expired: true}},
		"cancelled as a whole": {[]relay.Event{h.attempt(0, 1), h.event(relay.Cancelled, relay.Whole, 0, cancelled.Data)},
			relay.EntryState{Kind: relay.Cancelled, At: at(0), Seq: 1}},
		"cancelled as a whole when it was delivered": {[]relay.Event{h.delivered(0, 1), h.event(relay.Cancelled, relay.Whole, 0, cancelled.Data)},
			relay.EntryState{Kind: relay.Delivered, At: at(1), Seq: 1, Service: "took", Outcome: relay.Outcome{Code: 250, RemoteID: "x1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := folded(t, append(c.events, h.accepted(1)))
			m := f.Messages[h.message]
			if len(m.States) != 1 || m.States[0] != c.want {
				t.Errorf("the states are %+v; want %+v", m.States, c.want)
			}
			if f.Unaccepted+f.Unreadable+f.Damaged+f.Unknown != 0 {
				t.Errorf("there is something wrong: %+v", f)
			}
		})
	}
}

func TestEachRecipientHasAStateOfItsOwn(t *testing.T) {
	h := newHistory(t)
	f := folded(t, []relay.Event{h.accepted(3), h.delivered(2, 1), h.attempt(0, 1), h.deferred(0, 1)})
	m := f.Messages[h.message]
	var got []relay.Kind
	for _, s := range m.States {
		got = append(got, s.Kind)
	}
	if want := []relay.Kind{relay.Deferred, relay.Accepted, relay.Delivered}; !slices.Equal(got, want) {
		t.Errorf("the kinds are %v; want %v", got, want)
	}
	if m.Submission == nil || len(m.Submission.Recipients) != 3 || !m.Submission.Accepted.Equal(noon) {
		t.Errorf("the submission is %+v", m.Submission)
	}
}

func TestWhatCannotBeFoldedIsCounted(t *testing.T) {
	h, other := newHistory(t), newHistory(t)
	broken := func(e relay.Event) relay.Event { e.Data = e.Data[:len(e.Data)/2]; return e }
	without := func(e relay.Event) relay.Event { e.Data = nil; return e }
	for name, c := range map[string]struct {
		events []relay.Event
		counts [4]int // unaccepted, unreadable, damaged, unknown
		kind   relay.Kind
	}{
		"nothing":                          {nil, [4]int{}, 0},
		"events before they were accepted": {[]relay.Event{h.attempt(0, 1), h.delivered(1, 1), other.attempt(0, 1)}, [4]int{2, 0, 0, 0}, 0},
		"a submission that is broken":      {[]relay.Event{broken(h.accepted(1)), h.attempt(0, 1)}, [4]int{0, 1, 0, 0}, 0},
		"a submission without recipients":  {[]relay.Event{h.accepted(0)}, [4]int{0, 1, 0, 0}, 0},
		"a broken delivery is a delivery":  {[]relay.Event{h.accepted(1), broken(h.delivered(0, 1))}, [4]int{0, 0, 1, 0}, relay.Delivered},
		"a broken deferral is due at once": {[]relay.Event{h.accepted(1), without(h.deferred(0, 1))}, [4]int{0, 0, 1, 0}, relay.Deferred},
		"a broken event that does not decide": {[]relay.Event{h.accepted(1), broken(h.deferred(0, 1)), h.deferred(0, 2)},
			[4]int{}, relay.Deferred},
		"a kind of a newer program": {[]relay.Event{h.accepted(1), h.event(5, 0, 1, nil), h.event(5, 0, 2, nil), h.event(200, 0, 3, nil)},
			[4]int{0, 0, 0, 1}, relay.Accepted},
		"a recipient that there is not": {[]relay.Event{h.accepted(1), h.delivered(1, 1), h.delivered(1, 2), h.delivered(-7, 1)},
			[4]int{0, 0, 0, 2}, relay.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			f := folded(t, append(c.events, c.events...)) // twice is counted once
			if got := [4]int{f.Unaccepted, f.Unreadable, f.Damaged, f.Unknown}; got != c.counts {
				t.Errorf("counted %v; want %v", got, c.counts)
			}
			m, found := f.Messages[h.message]
			if found != (c.kind != 0) || found && m.States[0].Kind != c.kind {
				t.Errorf("the message is %+v; want kind %d", m, c.kind)
			}
		})
	}
}

func TestASequenceThatFailsIsNotFolded(t *testing.T) {
	h, broken := newHistory(t), errors.New("connection lost")
	f, err := relay.Fold(sequence([]relay.Event{h.accepted(1)}, broken))
	if !errors.Is(err, broken) || f.Messages != nil {
		t.Errorf("Fold = %+v, %v; want nothing but the error", f, err)
	}
}

// The heart of the journal: whoever reads it, in whatever order and however often, sees
// the same.
func TestAFoldDependsNeitherOnOrderNorOnRepetition(t *testing.T) {
	var ids mailbox.MessageIDs
	messages := []mailbox.MessageID{ids.Next(), ids.Next()}
	writers := []mailbox.MessageID{ids.Next(), ids.Next()}
	anEvent := rapid.Custom(func(t *rapid.T) relay.Event {
		h := history{t, rapid.SampledFrom(messages).Draw(t, "message"), rapid.SampledFrom(writers).Draw(t, "writer")}
		recipient, seq := rapid.IntRange(-2, 2).Draw(t, "recipient"), rapid.IntRange(0, 3).Draw(t, "attempt")
		var e relay.Event
		switch k := rapid.SampledFrom([]relay.Kind{1, 1, 2, 2, 3, 3, 5, 6, 7, 8, 9, 10}).Draw(t, "kind"); k {
		case relay.Accepted:
			e = h.accepted(rapid.IntRange(0, 2).Draw(t, "recipients"))
		case relay.Attempt:
			e = h.attempt(recipient, seq)
		case relay.Deferred:
			e = h.deferred(recipient, seq)
		case relay.Delivered:
			e = h.delivered(recipient, seq)
		default:
			e = h.event(k, recipient, seq, []byte("{}"))
		}
		// The same name may come with other things to say, from a process gone wrong.
		e.At = e.At.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "at")) * time.Second)
		if rapid.IntRange(0, 9).Draw(t, "damage") == 0 {
			e.Data = e.Data[:len(e.Data)-1]
		}
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(anEvent, 0, 20).Draw(t, "events")
		want := folded(t, events)
		again := slices.Clone(events) // a second load, which has some of them
		for _, e := range events {
			if rapid.Bool().Draw(t, "twice") {
				again = append(again, e)
			}
		}
		if got := folded(t, rapid.Permutation(again).Draw(t, "in another order")); !reflect.DeepEqual(got, want) {
			t.Errorf("folded %+v; in another order %+v", want, got)
		}
	})
}

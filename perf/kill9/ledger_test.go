package main

import (
	"strings"
	"testing"

	"restante/perf/letter"
)

const drop = 3

var id = letter.ID{Run: 1, Seq: 2}

// sent is a ledger that knows of one message, acknowledged or not.
func sent(taken bool) *ledger {
	l := newLedger()
	l.attempt(id, 77, []int{drop})
	l.answered(id, []int{drop}, taken, false)
	return l
}

func (l *ledger) sees(uid string) { l.retrieved(drop, found{id: id, sum: 77, uid: uid}) }

func (l *ledger) rests(there bool) {
	listing := map[letter.ID]bool{}
	if there {
		listing[id] = true
	}
	l.settled(drop, l.due(drop), listing)
}

func TestTheLedgerHoldsTheServerToItsWord(t *testing.T) {
	ids := []letter.ID{id}
	for name, c := range map[string]struct {
		play  func() *ledger
		fault string // part of the only fault there may be; none if empty
	}{
		"an acknowledged message is there": {func() *ledger {
			l := sent(true)
			l.sees("u")
			l.rests(true)
			return l
		}, ""},
		"an acknowledged message is lost": {func() *ledger {
			l := sent(true)
			l.rests(false)
			l.rests(false)
			return l
		}, "is lost"},
		"an unanswered message may be there": {func() *ledger {
			l := sent(false)
			l.rests(true)
			return l
		}, ""},
		"an unanswered message may be missing": {func() *ledger {
			l := sent(false)
			l.rests(false)
			return l
		}, ""},
		"an unanswered message that was seen must stay": {func() *ledger {
			l := sent(false)
			l.rests(true)
			l.rests(false)
			return l
		}, "is lost"},
		"an acknowledged removal is final": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.removed(drop, ids)
			l.rests(false)
			return l
		}, ""},
		"a removed message is listed": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.removed(drop, ids)
			l.rests(true)
			return l
		}, "removed and is listed"},
		"a removed message is back": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.removed(drop, ids)
			l.sees("u")
			return l
		}, "is back"},
		"an unanswered removal may have happened": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.rests(false)
			return l
		}, ""},
		"an unanswered removal may have failed": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.rests(true)
			return l
		}, ""},
		"an unanswered removal that failed leaves the message kept": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.rests(true)
			l.rests(false)
			return l
		}, "is lost"},
		"an unanswered removal that happened is final": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.rests(false)
			l.rests(true)
			return l
		}, "removed and is listed"},
		"a message removed before its delivery was answered stays removed": {func() *ledger {
			l := newLedger()
			l.attempt(id, 77, []int{drop})
			l.listed(drop, nil, map[letter.ID]bool{id: true})
			l.quitting(drop, ids)
			l.removed(drop, ids)
			l.answered(id, []int{drop}, true, false)
			l.rests(false)
			return l
		}, ""},
		"a refused message may be withdrawn late": {func() *ledger {
			l := newLedger()
			l.late = true
			l.attempt(id, 77, []int{drop})
			l.answered(id, []int{drop}, false, true)
			l.rests(true)
			l.rests(false)
			l.rests(true)
			return l
		}, ""},
		"a removal that failed may happen late": {func() *ledger {
			l := sent(true)
			l.quitting(drop, ids)
			l.failed(drop, ids)
			l.rests(true)
			l.rests(false)
			return l
		}, ""},
		"an unanswered removal may happen late where the store is elsewhere": {func() *ledger {
			l := sent(true)
			l.late = true
			l.quitting(drop, ids)
			l.rests(true)
			l.rests(false)
			return l
		}, ""},
		"an acknowledged removal is final wherever the store is": {func() *ledger {
			l := sent(true)
			l.late = true
			l.quitting(drop, ids)
			l.removed(drop, ids)
			l.rests(true)
			return l
		}, "removed and is listed"},
		"an acknowledged message is lost wherever the store is": {func() *ledger {
			l := sent(true)
			l.late = true
			l.rests(false)
			return l
		}, "is lost"},
		"a message nobody sent": {func() *ledger {
			l := newLedger()
			l.sees("u")
			return l
		}, "never sent"},
		"another content": {func() *ledger {
			l := sent(true)
			l.retrieved(drop, found{id: id, sum: 78, uid: "u"})
			return l
		}, "not the one"},
		"a unique-id used again": {func() *ledger {
			l := sent(true)
			l.sees("u")
			other := letter.ID{Run: 1, Seq: 3}
			l.attempt(other, 79, []int{drop})
			l.retrieved(drop, found{id: other, sum: 79, uid: "u"})
			return l
		}, "unique-id"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := c.play().faults
			switch {
			case c.fault == "" && len(faults) > 0:
				t.Errorf("faults: %q", faults)
			case c.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.fault)):
				t.Errorf("faults %q, want one that says %q", faults, c.fault)
			}
		})
	}
}

func TestASecondUniqueIDIsCountedAsACopy(t *testing.T) {
	for _, late := range []bool{false, true} {
		l := sent(true)
		l.late = late
		for range 3 { // a copy is one however often it is seen
			l.sees("u")
			l.sees("v")
		}
		if faults := len(l.faults); l.stats.Twice != 1 || late && faults > 0 || !late && faults != 1 {
			t.Errorf("late %t: %d copies, faults %q", late, l.stats.Twice, l.faults)
		}
	}
}

func TestTheLedgerCountsAnswers(t *testing.T) {
	l := newLedger()
	for seq, said := range []struct{ taken, refused bool }{{true, false}, {false, true}, {false, false}} {
		id := letter.ID{Seq: uint64(seq)}
		l.attempt(id, 1, []int{1, 2})
		l.answered(id, []int{1, 2}, said.taken, said.refused)
	}
	if want := (stats{Kept: 2, Refused: 2, Unknown: 2}); l.stats != want {
		t.Errorf("counted %+v, want %+v", l.stats, want)
	}
	if due := l.due(1); len(due) != 1 {
		t.Errorf("due are %v", due)
	}
}

func TestABrokenServerDoesNotFillTheMemory(t *testing.T) {
	l := newLedger()
	for range 10 * maxFaults {
		l.report("x")
	}
	if len(l.faults) != maxFaults {
		t.Errorf("%d faults are kept", len(l.faults))
	}
}

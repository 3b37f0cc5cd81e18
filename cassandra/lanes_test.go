package cassandra

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestAProcessNumbersEachMaildropByItself(t *testing.T) {
	w := newWriter(new(mailbox.MessageIDs).Next, maxLanes)
	lanes := make(map[mailbox.MessageID]bool)
	for n := range int64(3) {
		for drop := range byte(3) {
			place := w.place(mailbox.MaildropID{drop})
			lanes[place.Lane] = true
			if place.Ord != n {
				t.Errorf("place %d of maildrop %d is %v", n, drop, place)
			}
		}
	}
	if len(lanes) != 3 {
		t.Errorf("three maildrops have %d lanes", len(lanes))
	}
}

func TestAPlaceIsGivenOutOnce(t *testing.T) {
	w := newWriter(new(mailbox.MessageIDs).Next, 2) // of three: lanes come and go
	var mu sync.Mutex
	given := make(map[mailbox.Place]bool)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 300 {
				place := w.place(mailbox.MaildropID{byte(n % 3)})
				mu.Lock()
				if given[place] {
					t.Errorf("%v was given out twice", place)
				}
				given[place] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestAFullLaneIsFollowedByAnother(t *testing.T) {
	w := newWriter(new(mailbox.MessageIDs).Next, maxLanes)
	first := w.place(mailbox.MaildropID{1})
	for range laneOrds - 2 {
		w.place(mailbox.MaildropID{1})
	}
	if last := w.place(mailbox.MaildropID{1}); last.Lane != first.Lane || last.Ord != laneOrds-1 {
		t.Errorf("the last of the lane is %v", last)
	}
	if next := w.place(mailbox.MaildropID{1}); next.Lane.Compare(first.Lane) <= 0 || next.Ord != 0 {
		t.Errorf("after it comes %v", next)
	}
}

func TestTheMaildropsLastDeliveredToKeepTheirLanes(t *testing.T) {
	w := newWriter(new(mailbox.MessageIDs).Next, 3)
	place := func(drop byte) mailbox.Place { return w.place(mailbox.MaildropID{drop}) }
	one, two := place(1), place(2)
	place(3)
	place(1)
	place(4) // in place of 2
	if again := place(1); again.Lane != one.Lane || again.Ord != 2 {
		t.Errorf("maildrop 1 goes on at %v after %v", again, one)
	}
	if again := place(2); again.Lane == two.Lane || again.Ord != 0 {
		t.Errorf("maildrop 2, forgotten, goes on at %v after %v", again, two)
	}
	if len(w.open) != 3 || w.order.Len() != 3 {
		t.Errorf("%d lanes are open, %d in order; want 3", len(w.open), w.order.Len())
	}
}

// someLane is a lane from a while ago.
var someLane = (&mailbox.MessageIDs{Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}).Next()

func TestARemovalDeletesWhatWasSeenOrIsKnownDead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dead, removed := runsOf(someOrds.Draw(t, "dead")), runsOf(append(someOrds.Draw(t, "removed"), 7))
		r := planRemoval(someLane, removed, dead.encode(), 42)
		if r.lane != someLane || r.at != 42 {
			t.Fatalf("%v", r)
		}
		both := dead.union(removed)
		var want runs
		for _, gone := range both {
			if len((runs{gone}).around(removed)) > 0 {
				want = append(want, gone)
			}
		}
		if !slices.Equal(r.ranges, want) {
			t.Fatalf("%v removed, %v dead: deletes %v; want %v", removed, dead, r.ranges, want)
		}
		after, err := decodeRuns(dead.encode())
		if r.register != nil {
			after, err = decodeRuns(r.register)
		}
		if err != nil || !slices.Equal(after, both) {
			t.Fatalf("%v removed, %v dead: then dead are %v, %v", removed, dead, after, err)
		}
	})
}

func TestTheRegisterThatGoesFurtherIsTheLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dead, removed := runsOf(append(someOrds.Draw(t, "dead"), 3)), runsOf(append(someOrds.Draw(t, "removed"), 5))
		before, both := registeredAt(someLane, dead), registeredAt(someLane, dead.union(removed))
		if before > both || (before == both) != slices.Equal(dead, dead.union(removed)) {
			t.Fatalf("%v has the time %d, and with %v %d", dead, before, removed, both)
		}
		// What is forgotten is not in the way of a new one.
		last := dead[len(dead)-1].last
		if fresh := registeredAt(someLane, runs{{last + 1, last + 1}}); fresh <= before {
			t.Fatalf("%v has the time %d, and the next ordinal %d", dead, before, fresh)
		}
	})
	full := registeredAt(someLane, runs{{0, laneOrds - 1}}) - insertedAt(someLane)
	if since := time.Duration(full) * time.Microsecond; since > 72*time.Minute {
		t.Errorf("the register of a full lane is %v later than the lane", since)
	}
}

func TestARegisterThatNobodyUnderstandsIsAsGoodAsNone(t *testing.T) {
	want := planRemoval(someLane, runs{{3, 5}}, nil, 42)
	for _, register := range [][]byte{{}, {200, 1, 2, 3}, {1, 0}} {
		got := planRemoval(someLane, runs{{3, 5}}, register, 42)
		if !slices.Equal(got.ranges, want.ranges) || !slices.Equal(got.register, want.register) {
			t.Errorf("register %v: %v; want %v", register, got, want)
		}
	}
}

func TestARegisterIsBounded(t *testing.T) {
	var register []byte
	for n := range int64(1600) {
		if r := planRemoval(someLane, runs{{8 * n, 8*n + n%4}}, register, 42); r.register != nil {
			register = r.register
		}
	}
	dead, err := decodeRuns(register)
	if err != nil || len(dead) != maxRuns || len(register) > 4<<10 {
		t.Fatalf("the register has %d runs in %d octets, %v", len(dead), len(register), err)
	}
	for _, r := range dead {
		if r.len() < 2 {
			t.Fatalf("it has %v, and longer ones were there", r)
		}
	}
}

func TestMaildropsOnLanes(t *testing.T) {
	mailboxtest.Maildrops(t, func(*testing.T) mailbox.Maildrops { return alone() })
}

// alone are maildrops on a simulated data centre.
func alone() *maildrops {
	table := atRest{&simulatedDatacenter{lanes: make(map[laneKey]*simulatedLane)}}
	return &maildrops{table, newWriter(new(mailbox.MessageIDs).Next, maxLanes), time.Now}
}

// refusing is a table that cannot be written to.
type refusing struct{ projection }

func (refusing) insert(context.Context, mailbox.Entry, writeTime, time.Duration) error {
	return mailbox.ErrUnavailable
}

func TestAnAdditionThatFailsHasItsPlaces(t *testing.T) {
	m := alone()
	intact := m.table
	m.table = refusing{intact}
	ids := new(mailbox.MessageIDs)
	entries := []mailbox.Entry{
		{Maildrop: mailbox.MaildropID{1}, Message: mailbox.Message{ID: ids.Next()}},
		{Maildrop: mailbox.MaildropID{2}, Message: mailbox.Message{ID: ids.Next()}},
	}
	if err := m.Add(t.Context(), entries); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Fatalf("Add: %v", err)
	}
	before := slices.Clone(entries)
	if entries[0].Message.Place.Lane.IsZero() || entries[1].Message.Place.Lane.IsZero() {
		t.Fatalf("no place in %v", entries)
	}

	// Withdrawn, and then added late after all: it stays away.
	m.table = intact
	if err := m.Remove(t.Context(), entries[0].Maildrop, entries[0].Message); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(entries, before) {
		t.Errorf("the places have become %v; they were %v", entries, before)
	}
	for i, want := range []int{0, 1} {
		if list, err := m.List(t.Context(), entries[i].Maildrop); err != nil || len(list) != want {
			t.Errorf("listed are %v, %v; want %d", list, err, want)
		}
	}
}

func TestAMessageAddedTwiceAsNewIsOneLineAndGoesAtOnce(t *testing.T) {
	m := alone()
	drop, message := mailbox.MaildropID{1}, mailbox.Message{ID: new(mailbox.MessageIDs).Next(), Octets: 5}
	for range 2 {
		if err := m.Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: message}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := m.List(t.Context(), drop)
	if err != nil || !slices.Equal(list, []mailbox.Message{message}) {
		t.Fatalf("listed are %v, %v; want one without a place", list, err)
	}
	if err := m.Remove(t.Context(), drop, list...); err != nil {
		t.Fatal(err)
	}
	if list, err := m.List(t.Context(), drop); err != nil || len(list) != 0 {
		t.Errorf("after the removal %v, %v", list, err)
	}
}

func TestAPlaceThatCannotBeIsRefused(t *testing.T) {
	m := alone()
	id := new(mailbox.MessageIDs).Next()
	for _, place := range []mailbox.Place{{Ord: 1}, {Lane: someLane, Ord: -1}, {Lane: someLane, Ord: maxOrd + 1}} {
		if err := m.Remove(t.Context(), mailbox.MaildropID{1}, mailbox.Message{ID: id, Place: place}); err == nil {
			t.Errorf("removed from %v", place)
		}
	}
}

func TestLinesAreInOrderWhateverTheLanesAre(t *testing.T) {
	ids := make([]mailbox.MessageID, 10)
	for i := range ids {
		ids[i] = mailbox.MessageID{3: byte(i), 6: 0x10, 8: 0x80}
	}
	rapid.Check(t, func(t *rapid.T) {
		var lines []mailbox.Message
		for i, n := range rapid.SliceOf(rapid.IntRange(0, len(ids)-1)).Draw(t, "ids") {
			lines = append(lines, mailbox.Message{ID: ids[n], Octets: int64(i)})
		}
		want := slices.Clone(lines)
		slices.SortStableFunc(want, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
		if got := inOrder(slices.Clone(lines)); !slices.Equal(got, want) {
			t.Fatalf("%v become %v", lines, got)
		}
	})
}

// BenchmarkListing is what List does with the lines of a maildrop that four
// processes deliver to.
func BenchmarkListing(b *testing.B) {
	ids := new(mailbox.MessageIDs)
	var lanes [4][]mailbox.Message
	for n := range 10_000 {
		lanes[n%4] = append(lanes[n%4], mailbox.Message{ID: ids.Next()})
	}
	lines := slices.Concat(lanes[:]...)
	for b.Loop() {
		listing(slices.Clone(lines), time.Now())
	}
}

package cassandra

import (
	"slices"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

func beat(t testing.TB, s *Store, b relay.Beat) {
	t.Helper()
	if err := s.Lanes().Beat(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// beatsOf are the beats of a lane that a store sees.
func beatsOf(t testing.TB, s *Store, lane mailbox.MessageID) []relay.Beat {
	t.Helper()
	beats, err := s.Lanes().Beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(beats, func(b relay.Beat) bool { return b.Lane != lane })
}

func claimOf(t testing.TB, s *Store, segment relay.Segment) relay.Claim {
	t.Helper()
	c, err := s.Lanes().Claimed(t.Context(), segment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func claim(t testing.TB, s *Store, segment relay.Segment, lane mailbox.MessageID, over relay.Claim) {
	t.Helper()
	if err := s.Lanes().Claim(t.Context(), segment, lane, over); err != nil {
		t.Fatal(err)
	}
}

// at is a store whose clock is so much ahead.
func at(t testing.TB, ahead time.Duration) *Store {
	o := tableOptions(t)
	o.Now = func() time.Time { return time.Now().Add(ahead) }
	return openStore(t, o)
}

func TestABeatFollowsTheLastOneAlthoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	s, behind := newStore(t), at(t, -time.Hour)
	lane := ids.Next()
	beat(t, s, relay.Beat{Lane: lane, Node: "one", Seq: 1, Data: []byte("rates")})
	beat(t, behind, relay.Beat{Lane: lane, Node: "one", Seq: 3})
	beat(t, s, relay.Beat{Lane: lane, Node: "one", Seq: 2, Data: []byte("late")})
	got := beatsOf(t, s, lane)
	if len(got) != 1 || got[0].Seq != 3 || got[0].Node != "one" || len(got[0].Data) != 0 {
		t.Errorf("beats are %+v; want the third", got)
	}
}

func TestTheLaterOfTwoOrdersStays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first := relay.Beat{Lane: ids.Next(), Node: "dc2", Data: []byte("greater")}
	later := relay.Beat{Lane: first.Lane, Node: "dc2", Data: []byte("again")}
	beat(t, s, first)
	settles(t, "the first order stays", func() bool { // they differ by the second in which they expire
		beat(t, s, later)
		got := beatsOf(t, s, first.Lane)
		return len(got) == 1 && string(got[0].Data) == string(later.Data)
	})
	alive := relay.Beat{Lane: first.Lane, Node: "one", Seq: 1}
	beat(t, s, alive)
	beat(t, s, later)
	if got := beatsOf(t, s, first.Lane); len(got) != 1 || got[0].Seq != 1 || got[0].Node != "one" || len(got[0].Data) > 0 {
		t.Errorf("beats are %+v; want that of the lane", got)
	}
}

func TestALaneThatHasNotBeatenIsAmongTheLanesAlone(t *testing.T) {
	t.Parallel()
	s, segment := newStore(t), aSegment()
	openSegment(t, s.Journal(), segment)
	if got := beatsOf(t, s, segment.Lane); len(got) != 0 {
		t.Errorf("it has the beats %+v", got)
	}
	for name, want := range map[string]bool{"": true, s.session.options.Datacenter: true, "elsewhere": false} {
		lanes, err := s.Journal().Lanes(t.Context(), name)
		if err != nil || slices.Contains(lanes, segment.Lane) != want {
			t.Errorf("data centre %q has it: %t, %v", name, !want, err)
		}
	}
}

func TestAClaimWinsOverTheOneThatItWasMadeOverWhateverTheClocks(t *testing.T) {
	t.Parallel()
	s, ahead := newStore(t), at(t, time.Hour)
	segment, one, two := aSegment(), ids.Next(), ids.Next()
	if c := claimOf(t, s, segment); c != (relay.Claim{}) {
		t.Errorf("nobody has claimed it, and it has %+v", c)
	}
	claim(t, ahead, segment, one, relay.Claim{})
	first := claimOf(t, s, segment)
	if first.Lane != one || time.Until(time.UnixMicro(first.Version)) < 59*time.Minute {
		t.Errorf("the first claim is %+v", first)
	}
	// One who has not read it loses.
	claim(t, s, segment, two, relay.Claim{})
	if c := claimOf(t, s, segment); c != first {
		t.Errorf("after it was %+v it is %+v", first, c)
	}
	claim(t, s, segment, two, first)
	if c := claimOf(t, s, segment); c != (relay.Claim{Lane: two, Version: first.Version + 1}) {
		t.Errorf("after it was %+v it is %+v", first, c)
	}
}

func TestOfTwoClaimsAtOnceAllFindTheSame(t *testing.T) {
	t.Parallel()
	segment, one, two := aSegment(), ids.Next(), ids.Next()
	now := time.Now()
	o := tableOptions(t)
	o.Now = func() time.Time { return now }
	stores := []*Store{openStore(t, o), openStore(t, o)}
	claim(t, stores[0], segment, one, relay.Claim{})
	claim(t, stores[1], segment, two, relay.Claim{})
	first, second := claimOf(t, stores[0], segment), claimOf(t, stores[1], segment)
	if first != second || first.Lane != one && first.Lane != two || first.Version != now.UnixMicro() {
		t.Errorf("one finds %+v, the other %+v", first, second)
	}
}

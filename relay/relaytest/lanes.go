package relaytest

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// Lanes is the suite of the same name with these options.
func (o Options) Lanes(t *testing.T, open func(t *testing.T) (a, b relay.Lanes)) {
	a, b := open(t)
	s := lanesSuite{o.withDefaults(), a, b}
	t.Run("a beat is heard by both", s.beat)
	t.Run("every field of a beat comes back", s.comesBack)
	t.Run("the last beat of a lane is heard", s.lastBeat)
	t.Run("a beat that comes late changes nothing", s.late)
	t.Run("an order to adopt gives way to a beat", s.order)
	t.Run("many lanes beat at the same time", s.many)
	t.Run("what a beat says is not shared with its caller", s.notShared)
	t.Run("a segment that nobody claimed has the zero claim", s.unclaimed)
	t.Run("a claim is read by both", s.claimed)
	t.Run("a claim over one that was read stays", s.claimedOver)
	t.Run("a claim over one from the future stays", s.future)
	t.Run("a claim over one that was not read does not go before it", s.overtaken)
	t.Run("a lane may claim again", s.claimedAgain)
	t.Run("segments are claimed one by one", s.apart)
	t.Run("of claims at the same time one stays for both", s.raced)
	t.Run("an ended context fails each call", s.ended)
}

type lanesSuite struct {
	Options
	a, b relay.Lanes
}

func newBeat(seq uint64) relay.Beat {
	lane := ids.Next()
	return relay.Beat{Lane: lane, Node: "node of " + lane.String(), Seq: seq, Data: []byte("said by " + lane.String())}
}

func (s lanesSuite) beat(t *testing.T) {
	beat := newBeat(1)
	s.hears(t, beat.Lane, nil)
	s.beats(t, s.a, beat)
	s.hears(t, beat.Lane, &beat)
}

func (s lanesSuite) comesBack(t *testing.T) {
	for name, change := range map[string]func(*relay.Beat){
		"as it is":       func(*relay.Beat) {},
		"without a node": func(b *relay.Beat) { b.Node = "" },
		"a node in UTF-8": func(b *relay.Beat) {
			b.Node = "Ägir 山 <&\"'>"
		},
		"without data":  func(b *relay.Beat) { b.Data = nil },
		"binary data":   func(b *relay.Beat) { b.Data = octets(4000, 1) },
		"a large count": func(b *relay.Beat) { b.Seq = math.MaxInt64 },
		"no count":      func(b *relay.Beat) { b.Seq = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			beat := newBeat(7)
			change(&beat)
			s.beats(t, s.b, beat)
			s.hears(t, beat.Lane, &beat)
		})
	}
}

func (s lanesSuite) lastBeat(t *testing.T) {
	beat := newBeat(1)
	for seq := range uint64(5) {
		beat.Seq = 1 + seq*seq
		beat.Data = fmt.Appendf(nil, "beat %d", seq)
		if seq == 3 {
			beat.Data = nil
		}
		s.beats(t, s.a, beat)
		s.hears(t, beat.Lane, &beat)
	}
}

func (s lanesSuite) late(t *testing.T) {
	beat := newBeat(5)
	s.beats(t, s.a, beat)
	for _, seq := range []uint64{3, 0} {
		late := relay.Beat{Lane: beat.Lane, Node: "late", Seq: seq, Data: []byte("late")}
		s.beats(t, s.a, late)
		s.beats(t, s.b, late)
	}
	s.hears(t, beat.Lane, &beat)
}

func (s lanesSuite) order(t *testing.T) {
	order := newBeat(0)
	s.beats(t, s.b, order)
	s.hears(t, order.Lane, &order)
	beat := relay.Beat{Lane: order.Lane, Node: "it lives", Seq: 1}
	s.beats(t, s.a, beat)
	s.hears(t, order.Lane, &beat)
}

func (s lanesSuite) many(t *testing.T) {
	beats := make([]relay.Beat, 3*s.Writers)
	var all sync.WaitGroup
	for i := range beats {
		all.Go(func() {
			beats[i] = newBeat(1)
			by := s.a
			if i%2 == 1 {
				by = s.b
			}
			s.beats(t, by, beats[i])
			beats[i].Seq++
			s.beats(t, by, beats[i])
		})
	}
	all.Wait()
	for i := range beats {
		s.hears(t, beats[i].Lane, &beats[i])
	}
}

func (s lanesSuite) notShared(t *testing.T) {
	beat := newBeat(1)
	want := beat
	want.Data = bytes.Clone(beat.Data)
	s.beats(t, s.a, beat)
	clear(beat.Data)
	s.hears(t, beat.Lane, &want)
	heard, err := s.a.Beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range heard {
		if b.Lane == beat.Lane {
			clear(b.Data)
		}
	}
	s.hears(t, beat.Lane, &want)
}

func (s lanesSuite) unclaimed(t *testing.T) {
	s.holds(t, newSegment(), mailbox.MessageID{}, 0, 0)
}

func (s lanesSuite) claimed(t *testing.T) {
	seg, lane := newSegment(), ids.Next()
	before := time.Now().UnixMicro()
	s.claim(t, s.a, seg, lane, relay.Claim{})
	s.holds(t, seg, lane, before, time.Now().UnixMicro())
}

func (s lanesSuite) claimedOver(t *testing.T) {
	seg := newSegment()
	over := relay.Claim{}
	for n := range 6 {
		by, lane := s.a, ids.Next()
		if n%2 == 1 {
			by = s.b
		}
		s.claim(t, by, seg, lane, over)
		over = s.holds(t, seg, lane, over.Version+1, math.MaxInt64)
	}
}

func (s lanesSuite) future(t *testing.T) {
	seg, fast, lane := newSegment(), ids.Next(), ids.Next()
	future := time.Now().Add(time.Hour).UnixMicro()
	s.claim(t, s.a, seg, fast, relay.Claim{Lane: ids.Next(), Version: future - 1})
	over := s.holds(t, seg, fast, future, future)
	s.claim(t, s.b, seg, lane, over)
	s.holds(t, seg, lane, future+1, future+1)
}

func (s lanesSuite) overtaken(t *testing.T) {
	seg, fast, slow := newSegment(), ids.Next(), ids.Next()
	future := time.Now().Add(time.Hour).UnixMicro()
	s.claim(t, s.a, seg, fast, relay.Claim{Version: future})
	s.claim(t, s.b, seg, slow, relay.Claim{}) // which is what it read before
	s.holds(t, seg, fast, future+1, future+1)
}

func (s lanesSuite) claimedAgain(t *testing.T) {
	seg, lane := newSegment(), ids.Next()
	s.claim(t, s.a, seg, lane, relay.Claim{})
	over := s.holds(t, seg, lane, 1, math.MaxInt64)
	s.claim(t, s.a, seg, lane, over)
	s.holds(t, seg, lane, over.Version+1, math.MaxInt64)
}

func (s lanesSuite) apart(t *testing.T) {
	seg := newSegment()
	segments := []relay.Segment{seg, {Lane: seg.Lane, ID: ids.Next()}, {Lane: ids.Next(), ID: seg.ID}}
	s.claim(t, s.a, seg, ids.Next(), relay.Claim{})
	for _, other := range segments[1:] {
		s.holds(t, other, mailbox.MessageID{}, 0, 0)
	}
	for _, each := range segments {
		over, err := s.b.Claimed(t.Context(), each)
		if err != nil {
			t.Fatal(err)
		}
		s.claim(t, s.b, each, each.ID, over)
	}
	for _, each := range segments {
		s.holds(t, each, each.ID, 1, math.MaxInt64)
	}
}

func (s lanesSuite) raced(t *testing.T) {
	for range 10 {
		seg := newSegment()
		lanes := make([]mailbox.MessageID, s.Writers)
		var all sync.WaitGroup
		for i := range lanes {
			lanes[i] = ids.Next()
			all.Go(func() {
				by := s.a
				if i%2 == 1 {
					by = s.b
				}
				s.claim(t, by, seg, lanes[i], relay.Claim{})
			})
		}
		all.Wait()
		stayed, err := s.a.Claimed(t.Context(), seg)
		if err != nil || count(lanes, stayed.Lane) != 1 {
			t.Fatalf("Claimed = %v, %v; want one of those that claimed", stayed, err)
		}
		s.holds(t, seg, stayed.Lane, stayed.Version, stayed.Version)
	}
}

func (s lanesSuite) ended(t *testing.T) {
	ctx, seg, beat := ended(t), newSegment(), newBeat(1)
	if err := s.a.Beat(ctx, beat); err == nil {
		t.Error("Beat succeeded")
	}
	if _, err := s.a.Beats(ctx); err == nil {
		t.Error("Beats succeeded")
	}
	if _, err := s.a.Claimed(ctx, seg); err == nil {
		t.Error("Claimed succeeded")
	}
	if err := s.a.Claim(ctx, seg, ids.Next(), relay.Claim{}); err == nil {
		t.Error("Claim succeeded")
	}
}

func (s lanesSuite) beats(t *testing.T, by relay.Lanes, beat relay.Beat) {
	t.Helper()
	if err := by.Beat(t.Context(), beat); err != nil {
		t.Errorf("Beat: %v", err)
	}
}

func (s lanesSuite) claim(t *testing.T, by relay.Lanes, seg relay.Segment, lane mailbox.MessageID, over relay.Claim) {
	t.Helper()
	if err := by.Claim(t.Context(), seg, lane, over); err != nil {
		t.Errorf("Claim: %v", err)
	}
}

// hears checks that both hear exactly this of a lane; nil: nothing.
func (s lanesSuite) hears(t *testing.T, lane mailbox.MessageID, want *relay.Beat) {
	t.Helper()
	for _, by := range []relay.Lanes{s.a, s.b} {
		beats, err := by.Beats(t.Context())
		if err != nil {
			t.Errorf("Beats: %v", err)
			return
		}
		n := 0
		for _, b := range beats {
			if b.Lane != lane {
				continue
			}
			n++
			if want != nil && (b.Node != want.Node || b.Seq != want.Seq || !bytes.Equal(b.Data, want.Data)) {
				t.Errorf("heard %+v; want %+v", b, *want)
			}
		}
		if want == nil && n != 0 || want != nil && n != 1 {
			t.Errorf("heard %d beats of the lane", n)
		}
	}
}

// holds checks that both read a claim of this lane with a version within bounds.
func (s lanesSuite) holds(t *testing.T, seg relay.Segment, lane mailbox.MessageID, from, to int64) (claim relay.Claim) {
	t.Helper()
	for _, by := range []relay.Lanes{s.a, s.b} {
		var err error
		if claim, err = by.Claimed(t.Context(), seg); err != nil || claim.Lane != lane || claim.Version < from || claim.Version > to {
			t.Errorf("Claimed = %v at %d, %v; want %v from %d to %d", claim.Lane, claim.Version, err, lane, from, to)
		}
	}
	return claim
}

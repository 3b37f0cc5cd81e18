package cassandra

import (
	"slices"
	"testing"

	"restante/relay"
)

// takenOver is what the operator asks for when dc1 is gone: its lanes, their segments
// and events are read in dc2, which claims them.
func (p *pair) takenOver(t *testing.T) {
	segment, adopter := aSegment(), ids.Next()
	openSegment(t, p.one.Journal(), segment)
	events := withContents(someEvents(segment.Lane, 3, 300), 1000)
	appendTo(t, p.one.Journal(), segment, events...)
	beat(t, p.one, relay.Beat{Lane: segment.Lane, Node: "one", Seq: 1})

	j := p.two.Journal()
	has := func(datacenter string) bool {
		lanes, err := j.Lanes(t.Context(), datacenter)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(lanes, segment.Lane)
	}
	settles(t, "dc2 does not know the lane", func() bool { return has("dc1") })
	if has("") {
		t.Error("dc2 takes the lane for its own")
	}
	if got := beatsOf(t, p.two, segment.Lane); len(got) != 0 {
		t.Errorf("dc2 hears the beats %+v", got)
	}
	settles(t, "dc2 does not know the segment", func() bool {
		open, err := j.Segments(t.Context(), segment.Lane)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Equal(open, []relay.Segment{segment})
	})
	settles(t, "dc2 does not have the events", func() bool { return slices.EqualFunc(loaded(t, j, segment), events, sameEvent) })

	settles(t, "dc2 does not have the contents", func() bool { return hasContent(t, j, segment, events[2]) })

	order := relay.Beat{Lane: segment.Lane, Node: "dc1"}
	beat(t, p.two, order)
	if got := beatsOf(t, p.two, segment.Lane); len(got) != 1 || got[0].Seq != 0 || !has("") {
		t.Errorf("dc2 hears %+v of the lane that it is to adopt", got)
	}
	if got := beatsOf(t, p.one, segment.Lane); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("dc1 hears %+v of its lane", got)
	}

	claim(t, p.two, segment, adopter, relay.Claim{})
	settles(t, "dc1 does not know who works on it", func() bool { return claimOf(t, p.one, segment).Lane == adopter })
	appendTo(t, j, segment, lastOf(events[0]))
	settles(t, "dc1 does not know what came of it", func() bool { return len(loaded(t, p.one.Journal(), segment)) == 4 })
	if hasContent(t, p.one.Journal(), segment, events[0]) || !hasContent(t, p.one.Journal(), segment, events[1]) {
		t.Error("dc1 has a content that is needed no more, or lacks one")
	}
	if err := j.Close(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	settles(t, "dc1 still has something of it", func() bool {
		open, err := p.one.Journal().Segments(t.Context(), segment.Lane)
		if err != nil {
			t.Fatal(err)
		}
		return len(open)+len(loaded(t, p.one.Journal(), segment)) == 0 && !hasContent(t, p.one.Journal(), segment, events[1])
	})
}

func (p *pair) acceptedInBoth(t *testing.T) {
	stores := make(map[Consistency]*Store)
	for _, level := range []Consistency{LocalQuorum, EachQuorum} {
		o := optionsFor(p.cluster, "dc1", p.keyspace)
		o.Acknowledge = level
		stores[level] = openStore(t, o)
	}
	segment := aSegment()
	openSegment(t, stores[EachQuorum].Journal(), segment)
	accepted := someEvents(segment.Lane, 1, 300)[0]
	attempt := accepted
	attempt.Kind, attempt.Seq = relay.Attempt, 1

	p.cluster.Node(2, 1).Freeze(t)
	defer p.cluster.Node(2, 1).Thaw(t)
	for level, s := range stores {
		j := s.Journal()
		appendTo(t, j, segment, attempt)
		opened, err := j.Open(t.Context(), aSegment()), j.Append(t.Context(), segment, attempt, accepted)
		for what, err := range map[string]error{"a segment is opened": opened, "mail is accepted": err} {
			if level == EachQuorum {
				wantUnavailable(t, err, "relay_")
			} else if err != nil {
				t.Errorf("%s: %s: %v", level, what, err)
			}
		}
	}
	if got := loaded(t, stores[LocalQuorum].Journal(), segment); len(got) != 2 {
		t.Errorf("%d events are here", len(got))
	}
}

package history

import (
	"maps"
	"testing"
	"time"
)

// in is an entry of another data centre.
func in(dc string, e Entry) Entry {
	e.Datacenter = dc
	return e
}

// wipes destroys a data centre, of which nothing runs any more from struck on.
func wipes(begin, struck, end int, dc string) []Entry {
	both := strikes(begin, end, true, dc)
	e := both[0]
	e.Struck = true
	return []Entry{both[0], at(struck, struck, e), both[1]}
}

// What was acknowledged by second 2 has reached the other data centre by 7, as the lag is
// five seconds; trouble heals in ten, and as long again as it was.
func TestADestructionExcusesOnlyWhatNobodyElseHadToKnow(t *testing.T) {
	sent := at(1, 2, send("a", OK))
	read := at(2, 3, reads(here, "A"))
	removed := at(3, 4, quits(here, OK, "A"))
	for name, c := range map[string]struct {
		entries []Entry
		found   map[Rule]int
	}{
		"a letter had the time to get elsewhere": {
			story(sent, wipes(20, 21, 30, here), finally()), map[Rule]int{Lost: 1}},
		"a letter had no time to": {
			story(sent, wipes(6, 7, 30, here), finally()), map[Rule]int{GoneWith: 1}},
		"a link that was cut has kept it from that": {
			story(sent, strikes(3, 15, false, here, there), wipes(20, 21, 30, here), finally()), map[Rule]int{GoneWith: 1}},
		"a link that was cut before it came has not healed": {
			story(strikes(0, 1, false, here, there), sent, wipes(15, 16, 30, here), finally()), map[Rule]int{GoneWith: 1}},
		"a link that was cut has healed": {
			story(sent, strikes(3, 15, false, here, there), wipes(42, 43, 60, here), finally()), map[Rule]int{Lost: 1}},
		"a link that is cut again heals later": {
			story(sent, strikes(3, 15, false, here, there), strikes(20, 40, false, here, there), wipes(61, 62, 70, here), finally()), map[Rule]int{GoneWith: 1}},
		"but not for ever": {
			story(sent, strikes(3, 15, false, here, there), strikes(20, 40, false, here, there), wipes(62, 63, 70, here), finally()), map[Rule]int{Lost: 1}},
		"a letter is acknowledged by what was rebuilt, before all of it was": {
			story(wipes(3, 4, 30, here), at(20, 21, send("a", OK)), finally()), map[Rule]int{Lost: 1}},
		"a letter is acknowledged by what was rebuilt": {
			story(wipes(3, 4, 30, here), at(31, 32, send("a", OK)), finally()), map[Rule]int{Lost: 1}},
		"when it was rebuilt is not known for sure": {
			story(strikes(3, 30, true, here), at(20, 21, send("a", OK)), finally()), map[Rule]int{GoneWith: 1}},
		"an answer from before the end is written down after it": {
			story(at(2, 5, send("a", OK)), wipes(3, 4, 30, here), finally()), map[Rule]int{GoneWith: 1}},
		"the other data centre has listed the letter": {
			story(sent, at(2, 3, lists(there, "A")), at(2, 3, reads(there, "A")), wipes(3, 4, 30, here), finally()), map[Rule]int{Lost: 1}},
		"only the data centre that ends has listed it": {
			story(sent, at(2, 3, lists(here, "A")), read, wipes(3, 4, 30, here), finally()), map[Rule]int{GoneWith: 1}},
		"the data centre that was rebuilt has listed the letter": {
			story(sent, wipes(3, 4, 30, here), at(40, 41, lists(here, "A")), at(40, 41, reads(here, "A")), finally()), map[Rule]int{Lost: 1}},
		"both data centres end one after another": {
			story(sent, at(2, 3, lists(there, "A")), at(2, 3, reads(there, "A")), wipes(3, 4, 6, here), wipes(7, 8, 9, there), finally()), map[Rule]int{GoneWith: 1}},

		"what was rebuilt does not list a letter that it had": {
			story(sent, wipes(20, 21, 30, here), at(31, 32, lists(here)), finally("A")), map[Rule]int{NotVisible: 1}},
		"what was rebuilt cannot list what is gone": {
			story(sent, wipes(3, 4, 30, here), at(31, 32, lists(here)), finally()), map[Rule]int{Hidden: 1, GoneWith: 1}},
		"what was rebuilt lists a letter, and then does not": {
			story(sent, wipes(3, 4, 30, here), at(31, 32, lists(here)), at(40, 41, lists(here, "A")), at(40, 41, reads(here, "A")), at(42, 43, lists(here)), finally("A")),
			map[Rule]int{Hidden: 1, NotVisible: 1}},
		"nobody else is late with what is gone": {
			story(sent, wipes(3, 4, 30, here), at(200, 201, lists(there)), finally()), map[Rule]int{GoneWith: 1}},
		"what was rebuilt is late with what others have": {
			story(in(there, sent), wipes(20, 21, 30, here), at(100, 101, lists(here)), finally("A")), map[Rule]int{LateElsewhere: 1}},

		"a removal had the time to be known elsewhere": {
			story(sent, read, removed, wipes(20, 21, 30, here), finally("A")), map[Rule]int{Resurrected: 1}},
		"a removal had no time to": {
			story(sent, read, removed, wipes(6, 7, 30, here), finally("A")), map[Rule]int{BackWithout: 1}},
		"a removal had no time to, and that is told once": {
			story(sent, read, removed, wipes(6, 7, 30, here), at(40, 41, lists(here, "A")), at(50, 51, lists(here, "A")), finally("A")), map[Rule]int{BackWithout: 1}},
		"a removal was acknowledged by what was rebuilt": {
			story(sent, wipes(3, 4, 30, here), at(40, 41, lists(here, "A")), at(40, 41, reads(here, "A")), at(42, 43, quits(here, OK, "A")), finally("A")), map[Rule]int{Resurrected: 1}},
		"the other data centre has shown that it knew": {
			story(sent, read, at(2, 3, lists(there, "A")), removed, at(4, 5, lists(there)), wipes(5, 6, 30, here), finally("A")), map[Rule]int{Resurrected: 1}},
		"another session there had not known yet": {
			story(sent, read, at(2, 5, lists(there, "A")), removed, at(3, 6, lists(there)), wipes(6, 7, 30, here), finally("A")), map[Rule]int{BackWithout: 1}},
		"what nobody had asked to go proves nothing by going": {
			story(at(1, 2, send("a", Unknown)), at(2, 3, lists(here, "A")), at(3, 4, lists(here)), at(4, 4, reads(here, "A")), at(24, 25, quits(here, OK, "A")), wipes(26, 27, 30, here), finally("A")),
			map[Rule]int{BackWithout: 1}},
		"it is back before anything is destroyed": {
			story(sent, read, removed, at(5, 6, lists(here, "A")), wipes(7, 8, 30, here), finally()), map[Rule]int{Resurrected: 1}},
		"both have removed it, and one ends": {
			story(sent, read, removed, at(3, 5, quits(there, OK, "A")), wipes(6, 7, 30, here), finally("A")), map[Rule]int{Resurrected: 1}},
		"both have removed it, and the other one ends": {
			story(sent, read, removed, at(3, 5, quits(there, OK, "A")), wipes(6, 7, 30, there), finally("A")), map[Rule]int{Resurrected: 1}},
		"it is removed once more, and back once more": {
			story(sent, read, removed, wipes(6, 7, 30, here), at(40, 41, lists(here, "A")), at(42, 43, quits(here, OK, "A")), at(50, 51, lists(here, "A")), finally("A")),
			map[Rule]int{BackWithout: 1, Resurrected: 1}},
		"it is removed once more, and ends with its data centre once more": {
			story(sent, read, removed, wipes(6, 7, 30, here), at(50, 51, lists(here, "A")), at(58, 59, quits(here, OK, "A")), wipes(60, 61, 70, here), finally("A")),
			map[Rule]int{BackWithout: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := judged(t, rules, c.entries); !maps.Equal(found, c.found) {
				t.Errorf("found %v, want %v", found, c.found)
			}
		})
	}
}

func TestWhatIsKeptOfAMessageThatComesBackAgainAndAgainIsBounded(t *testing.T) {
	entries := story(at(1, 2, send("a", OK)), at(2, 3, reads(here, "A")))
	for second := 10; second < 200; second += 3 {
		entries = append(entries, at(second, second+1, quits(here, OK, "A")))
	}
	f, err := gather(Of(entries...), rules)
	if err != nil {
		t.Fatal(err)
	}
	kept := f.drops[box].messages["A"].removed
	if last := kept[len(kept)-1]; len(kept) != maxRemovals || last.line != len(entries) {
		t.Errorf("%d removals, the last one in line %d", len(kept), last.line)
	}
}

func TestTroubleThatComesWhileOtherTroubleHealsPutsThatOff(t *testing.T) {
	spell := func(begin, end int) *Spell {
		return &Spell{Begin: time.Duration(begin) * time.Second, End: time.Duration(end) * time.Second}
	}
	trouble := newTrouble([]*Spell{spell(100, 110), spell(120, 121), spell(0, 2), spell(105, 107)}, rules)
	for at, want := range map[int]int{
		20:  25, // the lag
		94:  99,
		95:  136, // from 110 on as long as the trouble was, 10 s to heal and the lag, and the second of another one
		115: 137, // the same from 121 on
		200: 205,
	} {
		if got := trouble.converged(time.Duration(at) * time.Second); got != time.Duration(want)*time.Second {
			t.Errorf("what was known at %d is known everywhere at %v, want %d", at, got, want)
		}
	}
}

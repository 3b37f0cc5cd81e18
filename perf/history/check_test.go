package history

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	here  = "dc1"
	there = "dc2"
	box   = "fred"
)

var rules = Rules{Lag: 5 * time.Second, Heal: 10 * time.Second}

// at is an entry that begins and ends at whole seconds.
func at(from, to int, e Entry) Entry {
	e.From, e.To = time.Duration(from)*time.Second, time.Duration(to)*time.Second
	return e
}

func send(letter string, r Result) Entry {
	return Entry{Op: Deliver, Datacenter: here, Result: r, Letter: letter, Sum: "#" + letter, Maildrops: []string{box}, Sent: true}
}

func lists(dc string, uids ...string) Entry {
	e := Entry{Op: List, Datacenter: dc, Result: OK, Maildrop: box, UIDs: uids}
	for range uids {
		e.Sizes = append(e.Sizes, 100)
	}
	return e
}

// reads retrieves the message U that is letter u.
func reads(dc, uid string) Entry {
	letter := strings.ToLower(uid[:1])
	return Entry{Op: Retr, Datacenter: dc, Result: OK, Maildrop: box, UID: uid, Octets: 100, Letter: letter, Sum: "#" + letter}
}

func quits(dc string, r Result, uids ...string) Entry {
	return Entry{Op: Quit, Datacenter: dc, Result: r, Maildrop: box, UIDs: uids}
}

func strikes(begin, end int, destroys bool, dcs ...string) []Entry {
	e := Entry{Op: Nemesis, Name: "trouble", Spell: begin + 1, Datacenters: dcs, Destroys: destroys}
	done := e
	done.Ended = true
	return []Entry{at(begin, begin, e), at(end, end, done)}
}

// finally is a final read of both data centres that finds these messages, from 1000 s on.
func finally(uids ...string) []Entry { return finallyIn(uids, uids) }

func finallyIn(first, second []string) []Entry {
	all := []Entry{at(1000, 1000, Entry{Op: Final})}
	for i, uids := range [][]string{first, second} {
		dc := []string{here, there}[i]
		all = append(all, at(1000, 1001, lists(dc, uids...)))
		for _, uid := range uids {
			all = append(all, at(1000, 1001, reads(dc, uid)))
		}
	}
	return all
}

// story puts entries into the order in which they end.
func story(parts ...any) []Entry {
	all := []Entry{{Op: Run, Datacenters: []string{here, there}}}
	for _, p := range parts {
		switch p := p.(type) {
		case Entry:
			all = append(all, p)
		case []Entry:
			all = append(all, p...)
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return int(a.To - b.To) })
	return all
}

func judged(t *testing.T, r Rules, entries []Entry) map[Rule]int {
	t.Helper()
	v, err := Check(Of(entries...), r)
	if err != nil {
		t.Fatal(err)
	}
	found := map[Rule]int{}
	for _, f := range v.Findings {
		if f.Count > 0 {
			found[f.Rule] = f.Count
		}
		if f.Count > 0 && len(f.Examples) == 0 {
			t.Errorf("%s has no example", f.Rule)
		}
	}
	return found
}

func TestAHistoryIsHeldToEveryRule(t *testing.T) {
	relaxed := rules
	relaxed.Relaxed = true
	other := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
	for name, c := range map[string]struct {
		entries []Entry
		found   map[Rule]int
		rules   Rules
	}{
		"a letter is delivered, read and there in the end": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(here, "A")), at(4, 5, reads(here, "A")), finally("A"))},
		"an acknowledged letter is nowhere": {entries: story(
			at(1, 2, send("a", OK)), finally()), found: map[Rule]int{Lost: 1}},
		"an acknowledged letter is missing in one data centre": {entries: story(
			at(1, 2, send("a", OK)), finallyIn([]string{"A"}, nil)), found: map[Rule]int{Lost: 1}},
		"a letter without an answer may be missing": {entries: story(
			at(1, 2, send("a", Unknown)), finally())},
		"a letter without an answer may be there": {entries: story(
			at(1, 2, send("a", Unknown)), finally("A"))},
		"a letter that went is not lost": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), finally())},
		"a letter that was asked to go may be gone": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, Unknown, "A")), finally())},
		"a letter that was asked to go may stay": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, Temporary, "A")), finally("A"))},
		"a removed message is there in the end": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), finallyIn(nil, []string{"A"})),
			found: map[Rule]int{Resurrected: 1}},
		"a removed message is listed by the next login": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), at(7, 8, lists(here, "A")), finally()),
			found: map[Rule]int{Resurrected: 1}},
		"a login that began before the removal was answered may list it": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 7, quits(here, OK, "A")), at(6, 8, lists(here, "A")), finally())},
		"the other data centre may list it for a while": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), at(10, 11, lists(there, "A")), finally())},
		"the other data centre must know of the removal after that": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), at(12, 13, lists(there, "A")), finally()),
			found: map[Rule]int{Resurrected: 1}},
		"unless there is trouble, until it has healed for as long": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), strikes(7, 37, false, here, there), at(80, 81, lists(there, "A")), finally())},
		"and no longer": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, reads(here, "A")), at(5, 6, quits(here, OK, "A")), strikes(7, 37, false, here, there), at(83, 84, lists(there, "A")), finally()),
			found: map[Rule]int{Resurrected: 1}},
		"a letter is there twice after one attempt": {entries: story(
			at(1, 2, send("a", OK)), finally("A", "A2")), found: map[Rule]int{Duplicated: 1}},
		"a letter is there twice after two attempts": {entries: story(
			at(1, 2, send("a", Temporary)), at(3, 4, send("a", OK)), finally("A", "A2")), found: map[Rule]int{Repeated: 1}},
		"an attempt that did not reach the server explains nothing": {entries: story(
			at(1, 2, other(send("a", Unknown), func(e *Entry) { e.Sent = false })), at(3, 4, send("a", OK)), finally("A", "A2")), found: map[Rule]int{Duplicated: 1}},
		"a listing has a message twice": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(here, "A", "A")), finally("A")), found: map[Rule]int{Duplicated: 1}},
		"two listings have another order": {entries: story(
			at(1, 2, send("a", OK)), at(1, 2, send("b", OK)), at(3, 4, lists(here, "A", "B")), at(5, 6, lists(there, "B", "A")), finally("A", "B")),
			found: map[Rule]int{Reordered: 1}},
		"three listings have no order in common": {entries: story(
			at(1, 2, send("a", Unknown)), at(1, 2, send("b", Unknown)), at(1, 2, send("c", Unknown)),
			at(3, 4, lists(here, "A", "B")), at(5, 6, lists(here, "B", "C")), at(7, 8, lists(here, "C", "A")), finallyIn([]string{"A"}, []string{"B"})),
			found: map[Rule]int{Reordered: 1}},
		"listings that lack different messages may have one order": {entries: story(
			at(1, 2, send("a", Unknown)), at(1, 2, send("b", Unknown)), at(1, 2, send("c", Unknown)),
			at(3, 4, lists(here, "A", "C")), at(5, 6, lists(here, "B", "C")), at(7, 8, lists(here, "A", "B")), finally("A", "B", "C"))},
		"other octets than were sent": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, other(reads(here, "A"), func(e *Entry) { e.Damaged = "another hash" })), finally("A")), found: map[Rule]int{WrongBytes: 1}},
		"another letter of the same name": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, other(reads(here, "A"), func(e *Entry) { e.Sum = "?" })), finally("A")), found: map[Rule]int{WrongBytes: 1}},
		"a letter that nobody sent": {entries: story(finally("X")), found: map[Rule]int{WrongBytes: 2}},
		"another size than was listed": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(here, "A")), at(3, 4, other(reads(here, "A"), func(e *Entry) { e.Octets++ })), finally("A")), found: map[Rule]int{WrongBytes: 1}},
		"two sizes in two listings": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, other(lists(here, "A"), func(e *Entry) { e.Sizes[0]++ })), finallyIn([]string{"A"}, nil)), found: map[Rule]int{WrongBytes: 2, Lost: 1}},
		"a unique-id is another letter": {entries: story(
			at(1, 2, send("a", OK)), at(1, 2, send("b", Unknown)), at(3, 4, reads(here, "A")),
			at(5, 6, other(reads(here, "A"), func(e *Entry) { e.Letter, e.Sum = "b", "#b" })), finally("A")), found: map[Rule]int{ChangedUID: 1}},
		"the next login lacks an acknowledged letter": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(here)), finally("A")), found: map[Rule]int{NotVisible: 1}},
		"a login that began before need not list it": {entries: story(
			at(1, 3, send("a", OK)), at(2, 4, lists(here)), finally("A"))},
		"a login need not list what is about to go": {entries: story(
			at(1, 2, send("a", OK)), at(2, 3, reads(here, "A")), at(4, 4, lists(here)), at(3, 6, quits(here, OK, "A")), finally())},
		"the other data centre need not list it at once": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(there)), finally("A"))},
		"but after a while": {entries: story(
			at(1, 2, send("a", OK)), at(8, 9, lists(there)), finally("A")), found: map[Rule]int{LateElsewhere: 1}},
		"trouble is no excuse within a data centre": {entries: story(
			strikes(0, 9, false, here), at(1, 2, send("a", OK)), at(3, 4, lists(here)), finally("A")), found: map[Rule]int{NotVisible: 1}},
		"unless the rules are relaxed": {entries: story(
			strikes(0, 9, false, here), at(1, 2, send("a", OK)), at(3, 4, lists(here)), finally("A")), rules: relaxed, found: map[Rule]int{Hidden: 1}},
		"and that for the data centre in trouble": {entries: story(
			strikes(0, 9, false, there), at(1, 2, send("a", OK)), at(3, 4, lists(here)), finally("A")), rules: relaxed, found: map[Rule]int{NotVisible: 1}},
		"a listed message that nobody could read may be the letter": {entries: story(
			at(1, 2, send("a", OK)), at(3, 4, lists(here, "Z")), at(1000, 1000, Entry{Op: Final}), at(1000, 1001, lists(here, "Z")), at(1000, 1001, lists(there, "Z"))),
			found: map[Rule]int{Unread: 2}},
		"a data centre takes a letter with it": {entries: story(
			at(1, 2, send("a", OK)), strikes(3, 9, true, here), finally()), found: map[Rule]int{GoneWith: 1}},
		"a letter that was sent after that is lost": {entries: story(
			strikes(3, 9, true, here), at(50, 51, send("a", OK)), finally()), found: map[Rule]int{Lost: 1}},
		"a letter that another data centre has must come back": {entries: story(
			at(1, 2, send("a", OK)), strikes(3, 9, true, here), finallyIn(nil, []string{"A"})), found: map[Rule]int{Lost: 1}},
		"the destruction of another data centre is no excuse": {entries: story(
			at(1, 2, send("a", OK)), strikes(3, 9, true, there), finally()), found: map[Rule]int{Lost: 1}},
		"a data centre takes a removal with it": {entries: story(
			at(1, 2, send("a", OK)), at(1, 2, reads(here, "A")), at(2, 3, quits(here, OK, "A")), strikes(3, 9, true, here), finally("A")), found: map[Rule]int{BackWithout: 1}},
		"a message cannot be retrieved in the end": {entries: story(
			at(1, 2, send("a", OK)), at(2, 3, reads(here, "A")), at(1000, 1000, Entry{Op: Final}), at(1000, 1001, lists(here, "A")), at(1000, 1001, lists(there, "A")),
			at(1000, 1001, reads(here, "A"))), found: map[Rule]int{Unread: 1}},
		"a maildrop cannot be listed in the end": {entries: story(
			at(1, 2, send("a", Unknown)), at(1000, 1000, Entry{Op: Final}), at(1000, 1001, lists(here))), found: map[Rule]int{Unread: 1}},
		"the final read is missing":            {entries: story(at(1, 2, send("a", OK))), found: map[Rule]int{Unread: 1}},
		"a client is refused for good":         {entries: story(at(1, 2, send("a", Permanent)), finally()), found: map[Rule]int{Refused: 1}},
		"a client is asked to come again":      {entries: story(at(1, 2, send("a", Temporary)), finally())},
		"a letter that was withdrawn may go":   {entries: story(at(1, 2, send("a", Temporary)), at(3, 4, lists(here, "A")), finally())},
		"the final read may need several goes": {entries: story(at(1, 2, send("a", OK)), at(1000, 1000, Entry{Op: Final}), at(1000, 1000, lists(there)), finally("A"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.rules
			if r == (Rules{}) {
				r = rules
			}
			if found := judged(t, r, c.entries); !maps.Equal(found, c.found) {
				t.Errorf("found %v, want %v", found, c.found)
			}
		})
	}
}

func TestAnExampleHasTheLinesOfTheHistory(t *testing.T) {
	v, err := Check(Of(story(at(1, 2, send("a", OK)), at(3, 4, lists(here)), finally())...), rules)
	if err != nil {
		t.Fatal(err)
	}
	const missing = "fred: a, acknowledged by dc1 (2), is not listed in dc1 (3)"
	const lost = "fred: a, acknowledged by dc1 (2), is not in dc1 (5) and dc2 (6)"
	if got := v.finding(NotVisible).Examples[0]; got != missing {
		t.Errorf("%q, want %q", got, missing)
	}
	if got := v.finding(Lost).Examples[0]; got != lost {
		t.Errorf("%q, want %q", got, lost)
	}
	if v.Faults() != 2 {
		t.Errorf("%d faults", v.Faults())
	}
}

func TestAVerdictTellsWhatClientsNoticedOfEachSpell(t *testing.T) {
	var parts []any
	for second := 1; second < 60; second++ {
		switch {
		case second > 20 && second < 26:
			parts = append(parts, at(second, second, send("b", Temporary)))
		default:
			parts = append(parts, at(second, second, send("b", OK)))
		}
	}
	parts = append(parts, strikes(20, 30, false, here), at(40, 40, send("b", Unknown)))
	v, err := Check(Of(story(parts...)...), Rules{Lag: time.Second, Heal: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	want := Noticed{Datacenter: here, NoDelivery: 6 * time.Second, Later: 5, Trouble: 4 * time.Second}
	got := v.Spells[0].Noticed[0]
	if got.NoLogin = 0; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if all := v.Noticed[0]; all.Broken != 1 || all.Later != 5 || v.Unknown != 1 {
		t.Errorf("of the whole: %+v", all)
	}
}

func TestTheSilenceOfASpellIsNotThatOfTheOneBefore(t *testing.T) {
	var parts []any
	for second := 1; second < 30; second++ {
		if second < 14 || second >= 20 {
			parts = append(parts, at(second, second, send("b", OK)))
		}
	}
	parts = append(parts, strikes(10, 12, false, here), strikes(14, 20, false, here))
	v, err := Check(Of(story(parts...)...), Rules{Lag: time.Second, Heal: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{time.Second, 6 * time.Second} {
		if got := v.Spells[i].Noticed[0].NoDelivery; got != want {
			t.Errorf("spell %d: nothing was delivered for %v, want %v", i, got, want)
		}
	}
}

// Nothing can be lost from longer than the lag before, unless something held it up.
func TestTheWindowOfALossIsMeasured(t *testing.T) {
	cut := strikes(1, 8, false, here, there)
	for _, c := range []struct {
		entries []Entry
		window  time.Duration
	}{
		{story(at(5, 6, send("a", OK)), strikes(9, 30, true, here), finally()), 3 * time.Second},
		{story(at(1, 2, send("a", OK)), strikes(9, 30, true, here), finally()), 0},
		{story(at(1, 2, send("a", OK)), cut, strikes(9, 30, true, here), finally()), 7 * time.Second},
		{story(at(1, 2, send("a", OK)), at(5, 6, send("b", OK)), cut, strikes(9, 30, true, here), finally()), 7 * time.Second},
		{story(at(8, 10, send("a", OK)), strikes(9, 30, true, here), finally()), 0},
	} {
		v, err := Check(Of(c.entries...), rules)
		if err != nil || v.LostWindow != c.window {
			t.Errorf("%v, not %v: %v", v.LostWindow, c.window, err)
		}
	}
}

func TestWhatIsNoHistoryIsAnError(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"no data centres":              {at(1, 2, send("a", OK))},
		"an unknown data centre":       story(at(1, 2, lists("dc9"))),
		"an unknown operation":         story(Entry{Op: "sing", Datacenter: here}),
		"an end without a begin":       story(strikes(1, 2, false, here)[1]),
		"a listing with too few sizes": story(at(1, 2, Entry{Op: List, Datacenter: here, Result: OK, Maildrop: box, UIDs: []string{"A"}})),
	} {
		if _, err := Check(Of(entries...), rules); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

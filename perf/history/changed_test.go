package history

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A changed history is an honest one with a lie in it.
type changed struct {
	*rapid.T
	entries []Entry
}

// all are the entries of which something is so.
func (c *changed) all(is func(Entry) bool) []int {
	var found []int
	for i, e := range c.entries {
		if is(e) {
			found = append(found, i)
		}
	}
	return found
}

// any chooses one of them, if there is one.
func (c *changed) any(is func(Entry) bool) (*Entry, bool) {
	found := c.all(is)
	if len(found) == 0 {
		return nil, false
	}
	return &c.entries[rapid.SampledFrom(found).Draw(c.T, "line")], true
}

func listed(e Entry) bool { return e.Op == List && e.Result == OK }

// outcomes are the final listings.
func (c *changed) outcomes() []*Entry {
	var found []*Entry
	for _, i := range c.all(listed)[len(c.all(listed))-2:] {
		found = append(found, &c.entries[i])
	}
	return found
}

func (c *changed) outcome() *Entry { return rapid.SampledFrom(c.outcomes()).Draw(c.T, "outcome") }

// letter is the one that a message is, by its unique-id.
func letter(uid string) string { return uid[:5] }

func (c *changed) isAsked(of string) bool {
	return len(c.all(func(e Entry) bool {
		return e.Op == Quit && slices.ContainsFunc(e.UIDs, func(uid string) bool { return letter(uid) == of })
	})) > 0
}

// stays reports whether an answer is to count in the end, whatever was destroyed: it came
// from what is still there, or long before the first trouble.
func (c *changed) stays(answer Entry) bool {
	trouble := c.all(func(e Entry) bool { return e.Op == Nemesis })
	return len(trouble) == 0 || answer.To+rules.Lag < c.entries[trouble[0]].From || !c.isDestroyed(answer)
}

// isDestroyed reports whether the data centre that gave an answer was destroyed after.
func (c *changed) isDestroyed(answer Entry) bool {
	return len(c.all(func(e Entry) bool {
		return e.Op == Nemesis && e.Destroys && e.Ended && e.Datacenters[0] == answer.Datacenter && e.From > answer.From
	})) > 0
}

// wasDestroyed reports whether it was, at any time.
func (c *changed) wasDestroyed(answer Entry) bool {
	answer.From = -1
	return c.isDestroyed(answer)
}

// kept chooses an acknowledged mail that nobody has asked to go.
func (c *changed) kept(is func(Entry) bool) (*Entry, bool) {
	return c.any(func(e Entry) bool { return e.Op == Deliver && e.Result == OK && !c.isAsked(e.Letter) && is(e) })
}

// lacks takes a letter out of a listing.
func lacks(list *Entry, gone string) {
	list.UIDs = slices.DeleteFunc(slices.Clone(list.UIDs), func(uid string) bool { return letter(uid) == gone })
	list.Sizes = list.Sizes[:len(list.UIDs)]
}

// has puts a message into a listing, or once more.
func has(list *Entry, uid string) {
	list.UIDs = append([]string{uid}, list.UIDs...)
	list.Sizes = append([]int64{100}, list.Sizes...)
}

// back lists a message again that was removed, as some QUIT that counts has said.
func (c *changed) back(is func(quit Entry, uid string) bool) bool {
	var uids []string
	for _, i := range c.all(func(e Entry) bool { return e.Op == Quit && e.Result == OK && c.stays(e) }) {
		for _, uid := range c.entries[i].UIDs {
			if is(c.entries[i], uid) {
				uids = append(uids, uid)
			}
		}
	}
	if len(uids) > 0 {
		has(c.outcome(), rapid.SampledFrom(uids).Draw(c.T, "uid"))
	}
	return len(uids) > 0
}

// hides takes a letter out of a listing of the data centre that has acknowledged it before.
func (c *changed) hides(is func(list, answer Entry) bool) bool {
	final := c.outcomes()[0].From
	sent, ok := c.kept(func(answer Entry) bool {
		return c.stays(answer) && len(c.all(func(e Entry) bool { return shows(e, answer) && e.From < final && is(e, answer) })) > 0
	})
	if !ok {
		return false
	}
	list, _ := c.any(func(e Entry) bool { return shows(e, *sent) && e.From < final && is(e, *sent) })
	lacks(list, sent.Letter)
	return true
}

// shows reports whether it is a listing that must have a letter, and has.
func shows(e, answer Entry) bool {
	return listed(e) && e.Datacenter == answer.Datacenter && e.From >= answer.To &&
		slices.ContainsFunc(e.UIDs, func(uid string) bool { return letter(uid) == answer.Letter })
}

// changes are lies with the rule that each breaks. They report whether there was an occasion.
var changes = map[string]struct {
	rule Rule
	make func(c *changed) bool
}{
	"a letter is missing in one data centre": {Lost, func(c *changed) bool {
		sent, ok := c.kept(c.stays)
		if ok {
			lacks(c.outcome(), sent.Letter)
		}
		return ok
	}},
	"a letter is nowhere, and what acknowledged it was destroyed at another time": {Lost, func(c *changed) bool {
		sent, ok := c.kept(func(e Entry) bool { return c.stays(e) && c.wasDestroyed(e) })
		for _, list := range c.outcomes() {
			if ok {
				lacks(list, sent.Letter)
			}
		}
		return ok
	}},
	"a removed message is back": {Resurrected, func(c *changed) bool {
		return c.back(func(Entry, string) bool { return true })
	}},
	"a removed message is back, and what removed it was destroyed at another time": {Resurrected, func(c *changed) bool {
		return c.back(func(quit Entry, _ string) bool { return c.wasDestroyed(quit) })
	}},
	"a removed message is back, and what removed it before was destroyed": {Resurrected, func(c *changed) bool {
		return c.back(func(quit Entry, uid string) bool {
			return len(c.all(func(e Entry) bool {
				return e.Op == Quit && e.Result == OK && e.To < quit.To && slices.Contains(e.UIDs, uid) && c.isDestroyed(e)
			})) > 0
		})
	}},
	"a message is listed twice": {Duplicated, func(c *changed) bool {
		list, ok := c.any(func(e Entry) bool { return listed(e) && len(e.UIDs) > 0 })
		if ok {
			has(list, rapid.SampledFrom(list.UIDs).Draw(c.T, "uid"))
		}
		return ok
	}},
	"a letter is there more often than it was sent": {Duplicated, func(c *changed) bool {
		list := c.outcome()
		if len(list.UIDs) == 0 {
			return false
		}
		of := letter(rapid.SampledFrom(list.UIDs).Draw(c.T, "uid"))
		for n := range c.all(func(e Entry) bool { return e.Op == Deliver && e.Letter == of }) {
			copied := *list
			copied.Op, copied.UIDs, copied.Sizes = Retr, nil, nil
			copied.UID, copied.Letter, copied.Sum, copied.Octets = fmt.Sprintf("%s.copy%d", of, n), of, "#"+of, 100
			has(list, copied.UID)
			c.entries = append(c.entries, copied)
		}
		return true
	}},
	"two messages have another order": {Reordered, func(c *changed) bool {
		list := c.outcome()
		list.UIDs = slices.Clone(list.UIDs)
		slices.Reverse(list.UIDs)
		return len(list.UIDs) > 1
	}},
	"an acknowledged letter is not listed": {NotVisible, func(c *changed) bool {
		return c.hides(func(_, answer Entry) bool { return true })
	}},
	"an acknowledged letter is not listed by what was rebuilt": {NotVisible, func(c *changed) bool {
		return c.hides(func(list, answer Entry) bool {
			later := answer
			later.From = list.From // not destroyed once more after the listing
			return c.wasDestroyed(answer) && !c.isDestroyed(later)
		})
	}},
	"octets are damaged": {WrongBytes, func(c *changed) bool {
		e, ok := c.any(func(e Entry) bool { return e.Op == Retr })
		if ok {
			rapid.SampledFrom([]func(){
				func() { e.Damaged = "another hash" },
				func() { e.Sum = "?" },
				func() { e.Octets++ },
			}).Draw(c.T, "how")()
		}
		return ok
	}},
	"a size is another one": {WrongBytes, func(c *changed) bool {
		e, ok := c.any(func(e Entry) bool { return listed(e) && len(e.UIDs) > 0 })
		if ok {
			e.Sizes = slices.Clone(e.Sizes)
			e.Sizes[0]++
		}
		return ok
	}},
	"a unique-id is another letter": {ChangedUID, func(c *changed) bool {
		reads := c.all(func(e Entry) bool { return e.Op == Retr })
		if len(reads) == 0 {
			return false
		}
		last := &c.entries[reads[len(reads)-1]]
		other, ok := c.any(func(e Entry) bool { return e.Op == Deliver && e.Letter != last.Letter })
		if ok && slices.ContainsFunc(reads[:len(reads)-1], func(i int) bool { return c.entries[i].UID == last.UID }) {
			last.Letter, last.Sum = other.Letter, other.Sum
			return true
		}
		return false
	}},
}

// Whatever an honest server has answered, a lie in it is found.
func TestEveryChangeOfAnHonestHistoryIsFound(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		honest := honestHistory(t)
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			c := &changed{t, slices.Clone(honest)}
			if !changes[name].make(c) {
				continue
			}
			met[name]++
			v, err := Check(Of(c.entries...), rules)
			if err != nil {
				t.Fatal(err)
			}
			if v.Count(changes[name].rule) == 0 {
				t.Fatalf("%s, and that is not %s: %+v", name, changes[name].rule, v.Findings)
			}
		}
	})
	for name := range changes {
		if met[name] == 0 {
			t.Errorf("there was no occasion for this: %s", name)
		}
	}
	t.Log(met)
}

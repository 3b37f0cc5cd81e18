package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An honest server of two data centres: each knows at once what it answered, and the other
// a while after. It may be cut in two, and it may fail, with every excuse that the rules
// know.
type honest struct {
	*rapid.T
	now     time.Duration
	kept    []*kept
	sent    int
	spell   int
	ends    []Entry // in any order
	cut     time.Duration
	healed  time.Duration
	present []string
}

// kept is a copy of a letter: since when each data centre has it, and since when not.
type kept struct {
	letter, uid string
	here, gone  [2]time.Duration
}

func (h *honest) while() time.Duration {
	return time.Duration(rapid.IntRange(1, 3000).Draw(h.T, "ms")) * time.Millisecond
}

// arrives is when the other data centre hears of what happened at a time.
func (h *honest) arrives(at time.Duration) time.Duration {
	lag := time.Duration(rapid.IntRange(0, 4900).Draw(h.T, "lag")) * time.Millisecond
	if at+lag < h.cut || at > h.healed {
		return at + lag
	}
	return h.healed + lag
}

func (h *honest) entry(e Entry, from, to time.Duration) {
	e.From, e.To = from, to
	h.ends = append(h.ends, e)
}

// deliver sends a letter until it is acknowledged, or given up.
func (h *honest) deliver() {
	h.sent++
	letter := fmt.Sprintf("l%04d", h.sent)
	at := rapid.IntRange(0, 1).Draw(h.T, "in")
	for try := range 3 {
		from, took := h.now, h.while()
		r := rapid.SampledFrom([]Result{OK, OK, OK, Temporary, Unknown}).Draw(h.T, "answer")
		if r == OK || rapid.Bool().Draw(h.T, "kept all the same") {
			k := &kept{letter: letter, uid: fmt.Sprintf("%s.%d", letter, try), gone: [2]time.Duration{never, never}}
			k.here[at] = from + took/2
			k.here[1-at] = h.arrives(k.here[at])
			h.kept = append(h.kept, k)
		}
		e := send(letter, r)
		e.Datacenter = h.present[at]
		h.entry(e, from, from+took)
		h.now += took
		if r == OK {
			return
		}
	}
}

// visit lists, reads and perhaps removes.
func (h *honest) visit() {
	at := rapid.IntRange(0, 1).Draw(h.T, "in")
	from := h.now
	listed := h.look(at, from, from+h.while())
	if len(listed) == 0 || rapid.Bool().Draw(h.T, "leave all") {
		h.now += h.while()
		return
	}
	var uids []string
	asked := h.now + h.while()
	took := h.while()
	r := rapid.SampledFrom([]Result{OK, OK, Temporary, Unknown}).Draw(h.T, "answer")
	for _, k := range listed {
		if rapid.Bool().Draw(h.T, "keep") {
			continue
		}
		uids = append(uids, k.uid)
		if r == OK || rapid.Bool().Draw(h.T, "removed all the same") {
			k.gone[at] = min(k.gone[at], asked+took/2)
			k.gone[1-at] = min(k.gone[1-at], h.arrives(asked+took/2))
		}
	}
	if len(uids) > 0 {
		h.entry(quits(h.present[at], r, uids...), asked, asked+took)
	}
	h.now = asked + rapid.SampledFrom([]time.Duration{0, took}).Draw(h.T, "then")
}

func (h *honest) look(at int, from, to time.Duration) []*kept {
	var uids []string
	var listed []*kept
	for _, k := range h.kept {
		if k.here[at] <= from && from < k.gone[at] {
			listed = append(listed, k)
			uids = append(uids, k.uid)
		}
	}
	h.entry(lists(h.present[at], uids...), from, to)
	for _, k := range listed {
		h.entry(Entry{Op: Retr, Datacenter: h.present[at], Result: OK, Maildrop: box, UID: k.uid, Octets: 100, Letter: k.letter, Sum: "#" + k.letter}, from, to)
	}
	return listed
}

// parts cuts the link for a while, unless it is cut.
func (h *honest) parts() {
	if h.now <= h.healed {
		return
	}
	h.spell++
	h.cut, h.healed = h.now, h.now+20*h.while()
	e := Entry{Op: Nemesis, Name: "cut", Spell: h.spell, Datacenters: h.present}
	h.entry(e, h.cut, h.cut)
	e.Ended = true
	h.entry(e, h.healed, h.healed)
}

func honestHistory(t *rapid.T) []Entry {
	h := &honest{T: t, present: []string{here, there}, healed: -1}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0:
			h.parts()
		case 1, 2, 3:
			h.visit()
		default:
			h.deliver()
		}
	}
	end := max(h.now, h.healed) + time.Hour
	h.entry(Entry{Op: Final}, end, end)
	for at := range h.present {
		h.look(at, end, end)
	}
	slices.SortStableFunc(h.ends, func(a, b Entry) int { return cmp.Compare(a.To, b.To) })
	return append([]Entry{{Op: Run, Datacenters: h.present}}, h.ends...)
}

func TestAnHonestServerIsNotAccused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, err := Check(Of(honestHistory(t)...), rules)
		if err != nil {
			t.Fatal(err)
		}
		if v.Faults() > 0 || v.Count(LateElsewhere) > 0 {
			t.Fatalf("%+v", v.Findings)
		}
	})
}

// Whatever an honest history ends with, changing the end is a fault.
func TestAChangedEndIsFound(t *testing.T) {
	changes := map[Rule]func(list *Entry, gone []string){
		Lost: func(l *Entry, _ []string) { l.UIDs, l.Sizes = l.UIDs[1:], l.Sizes[1:] },
		Reordered: func(l *Entry, _ []string) {
			l.UIDs = slices.Clone(l.UIDs)
			slices.Reverse(l.UIDs)
		},
		Resurrected: func(l *Entry, gone []string) {
			l.UIDs, l.Sizes = append([]string{gone[0]}, l.UIDs...), append([]int64{100}, l.Sizes...)
		},
	}
	met := map[Rule]bool{}
	rapid.Check(t, func(t *rapid.T) {
		entries := honestHistory(t)
		acknowledged, asked, gone := map[string]bool{}, map[string]bool{}, []string(nil)
		for _, e := range entries {
			switch {
			case e.Op == Deliver && e.Result == OK:
				acknowledged[e.Letter] = true
			case e.Op == Quit:
				for _, uid := range e.UIDs {
					asked[uid[:5]] = true
				}
				if e.Result == OK {
					gone = append(gone, e.UIDs...)
				}
			}
		}
		last := -1
		for i, e := range entries {
			if e.Op == List {
				last = i
			}
		}
		list := &entries[last]
		rule := rapid.SampledFrom(slices.Sorted(maps.Keys(changes))).Draw(t, "change")
		switch n := len(list.UIDs); {
		case rule == Lost && (n == 0 || !acknowledged[list.UIDs[0][:5]] || asked[list.UIDs[0][:5]] || n > 1 && list.UIDs[0][:5] == list.UIDs[1][:5]):
			return
		case rule == Reordered && n < 2, rule == Resurrected && len(gone) == 0:
			return
		}
		changes[rule](list, gone)
		met[rule] = true
		v, err := Check(Of(entries...), rules)
		if err != nil {
			t.Fatal(err)
		}
		if v.Count(rule) == 0 {
			t.Fatalf("%s is not found: %+v", rule, v.Findings)
		}
	})
	if len(met) < len(changes) {
		t.Errorf("of all changes only %v were tried", met)
	}
}

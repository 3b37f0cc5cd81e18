package history

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An honest server of two data centres: each knows at once what it answered, and the other
// a while after. It may be cut in two, lose a data centre with its disks, and fail, with
// every excuse that the rules know.
type honest struct {
	*rapid.T
	now     time.Duration
	done    time.Duration // when a server did anything for the last time
	kept    []*kept
	sent    int
	spell   int
	trouble span             // what happens in it is known elsewhere only after
	calm    time.Duration    // from when there may be trouble again
	down    [2]time.Duration // until when a data centre does not answer
	ends    []Entry          // in any order
	present []string
}

// kept is a copy of a letter: since when each data centre has it, and since when not.
type kept struct {
	letter, uid string
	here, gone  [2]time.Duration
}

func (h *honest) ms(from, to int) time.Duration {
	return time.Duration(rapid.IntRange(from, to).Draw(h.T, "ms")) * time.Millisecond
}

func (h *honest) while() time.Duration { return h.ms(1, 3000) }

// arrives is when the other data centre hears of what happened at a time.
func (h *honest) arrives(at time.Duration) time.Duration {
	h.done = max(h.done, at)
	lag := h.ms(0, 4900)
	if at > h.trouble.to {
		return at + lag
	}
	healing := time.Duration(0)
	if rapid.Bool().Draw(h.T, "heals slowly") {
		healing = h.ms(0, int((rules.Heal + h.trouble.to - h.trouble.from).Milliseconds()))
	}
	return h.trouble.to + healing + lag
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
		up := from >= h.down[at]
		if !up {
			r = Unknown
		}
		if r == OK || up && rapid.Bool().Draw(h.T, "kept all the same") {
			k := &kept{letter: letter, uid: fmt.Sprintf("%s.%d", letter, try), gone: [2]time.Duration{never, never}}
			k.here[at] = from + took/2
			k.here[1-at] = h.arrives(k.here[at])
			h.kept = append(h.kept, k)
		}
		e := in(h.present[at], send(letter, r))
		e.Sent = up
		h.entry(e, from, from+took)
		h.now += took
		if r == OK {
			return
		}
	}
}

// visit lists, reads and perhaps removes.
func (h *honest) visit(at int) {
	from := h.now
	if from < h.down[at] {
		h.now += h.while()
		h.entry(Entry{Op: List, Datacenter: h.present[at], Result: Unknown, Maildrop: box}, from, h.now)
		return
	}
	h.done = max(h.done, from)
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

// meet has a reader in each data centre at once.
func (h *honest) meet() {
	began := h.now
	h.visit(0)
	ended := h.now
	h.now = began
	h.visit(1)
	h.now = max(h.now, ended)
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

// strikes begins trouble when nothing is being done, though an answer may be on its way.
func (h *honest) strikes(length time.Duration) (begin time.Duration) {
	h.spell++
	begin = max(h.done, h.calm, h.now-h.ms(0, 1000))
	h.trouble, h.now = span{begin, begin + length}, max(h.now, begin)
	return begin
}

func (h *honest) ended(e Entry, at time.Duration) {
	e.Ended = true
	h.entry(e, at, at)
	h.calm = at
}

// parts cuts the link for a while. What is on its way arrives later by that while.
func (h *honest) parts() {
	length := 20 * h.while()
	begin := h.strikes(length)
	for _, k := range h.kept {
		for at := range h.present {
			for _, t := range []*time.Duration{&k.here[at], &k.gone[at]} {
				if *t > begin && *t < never {
					*t += length
				}
			}
		}
	}
	e := Entry{Op: Nemesis, Name: "cut", Spell: h.spell, Datacenters: h.present}
	h.entry(e, begin, begin)
	h.ended(e, begin+length)
}

// wipes destroys a data centre with what is on its way from there. What is rebuilt has what
// the other one has, and may answer before all of it is rebuilt.
func (h *honest) wipes() {
	at := rapid.IntRange(0, 1).Draw(h.T, "in")
	length := 20 * h.while()
	begin := h.strikes(length)
	for _, k := range h.kept {
		for _, t := range []*[2]time.Duration{&k.here, &k.gone} {
			if t[1-at] > begin {
				t[1-at] = never
			}
			t[at] = t[1-at]
		}
	}
	h.down[at] = begin + length
	e := Entry{Op: Nemesis, Name: "wipe", Spell: h.spell, Datacenters: h.present[at : at+1], Destroys: true}
	h.entry(e, begin, begin)
	if rapid.Bool().Draw(h.T, "known when it was down") {
		struck := e
		struck.Struck = true
		down := begin + time.Millisecond
		h.entry(struck, down, down)
	}
	h.ended(e, begin+length+h.while())
}

func honestHistory(t *rapid.T) []Entry {
	h := &honest{T: t, present: []string{here, there}, trouble: span{-1, -1}}
	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		switch step := rapid.IntRange(0, 11).Draw(t, "step"); {
		case step == 0 && h.now > h.calm:
			h.parts()
		case step == 1 && h.now > h.calm:
			h.meet()
			h.wipes()
			h.now = max(h.now, rapid.SampledFrom([]time.Duration{0, h.calm}).Draw(t, "until"))
		case step < 5:
			h.visit(rapid.IntRange(0, 1).Draw(t, "in"))
		case step == 5:
			h.meet()
		default:
			h.deliver()
		}
	}
	end := max(h.now, h.calm) + time.Hour
	h.entry(Entry{Op: Final}, end, end)
	for at := range h.present {
		h.look(at, end, end)
	}
	slices.SortStableFunc(h.ends, func(a, b Entry) int { return cmp.Compare(a.To, b.To) })
	return append([]Entry{{Op: Run, Datacenters: h.present}}, h.ends...)
}

func TestAnHonestServerIsNotAccused(t *testing.T) {
	excused := map[Rule]int{}
	rapid.Check(t, func(t *rapid.T) {
		v, err := Check(Of(honestHistory(t)...), rules)
		if err != nil {
			t.Fatal(err)
		}
		if v.Faults() > 0 || v.Count(LateElsewhere) > 0 {
			t.Fatalf("%+v", v.Findings)
		}
		for _, r := range []Rule{Repeated, Hidden, GoneWith, BackWithout} {
			excused[r] += v.Count(r)
		}
	})
	for _, r := range []Rule{Repeated, Hidden, GoneWith, BackWithout} {
		if excused[r] == 0 {
			t.Errorf("there was no occasion for an honest server to need %q", r)
		}
	}
	t.Log(excused)
}

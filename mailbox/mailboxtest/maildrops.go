package mailboxtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// Maildrops is the suite of the same name with these options.
func (o Options) Maildrops(t *testing.T, open func(t *testing.T) mailbox.Maildrops) {
	s := maildropsSuite{o.withDefaults(), open(t)}
	t.Run("a maildrop that nothing was added to is empty", s.empty)
	t.Run("what was added is in the next list", s.added)
	t.Run("messages are in the order of their ids", s.ordered)
	t.Run("messages of one time are in the order of signed octets", s.orderedAtOneTime)
	t.Run("a message added again is listed once", s.addedAgain)
	t.Run("many entries in one addition are all listed", s.addedMany)
	t.Run("two maildrops do not mix", s.apart)
	t.Run("a removed message is gone and the others stay", s.removed)
	t.Run("a removal may be repeated", s.removedAgain)
	t.Run("a removal of what is not there is harmless", s.removedUnknown)
	t.Run("a removal takes only what was named", s.removedOnlyNamed)
	t.Run("a late addition stays removed", s.addedLate)
	t.Run("a removal that comes first wins", s.removedFirst)
	t.Run("a removal in one maildrop leaves the message in another", s.removedInOne)
	t.Run("a maildrop that was emptied fills again", s.filledAgain)
	t.Run("thousands of messages are listed and removed", s.thousands)
	t.Run("writers at the same time each see what they wrote", s.writersSeeTheirOwn)
	t.Run("additions and removals at the same time end removed", s.raced)
	t.Run("a list does not change under its holder", s.frozen)
	t.Run("the newest come first, as many as asked for", s.newestFirst)
	t.Run("the newest before a bound are below it", s.newestBefore)
	t.Run("a bound need not be listed", s.newestBeforeRemoved)
	t.Run("the newest belong to the caller", s.newestOwned)
	t.Run("thousands of messages are seen page by page", s.pages)
	t.Run("an ended context fails", s.ended)
	t.Run("a message that expires later is listed", s.expiresLater)
	t.Run("a message that has expired is left out", s.expired)
	t.Run("a message that expires leaves the list", s.expires)
}

type maildropsSuite struct {
	Options
	store mailbox.Maildrops
}

func (s maildropsSuite) empty(t *testing.T) {
	drop := newDrop()
	s.lists(t, drop)
	s.add(t, entries(newDrop(), newMessages(1)...)...)
	s.add(t)
	s.remove(t, drop)
	s.lists(t, drop)
}

func (s maildropsSuite) added(t *testing.T) {
	drop := newDrop()
	messages := newMessages(3)
	messages[0].Octets = 0
	messages[1].Octets = 1 << 40
	for i, m := range messages {
		s.add(t, entries(drop, m)...)
		s.lists(t, drop, messages[:i+1]...)
	}
}

func (s maildropsSuite) ordered(t *testing.T) {
	drop := newDrop()
	messages := newMessages(20)
	for _, i := range rand.Perm(len(messages)) {
		s.add(t, entries(drop, messages[i])...)
	}
	s.lists(t, drop, messages...)

	var shuffled []mailbox.Message
	for _, i := range rand.Perm(len(messages)) {
		shuffled = append(shuffled, messages[i])
	}
	drop = newDrop()
	s.add(t, entries(drop, shuffled...)...)
	s.lists(t, drop, messages...)
}

func (s maildropsSuite) orderedAtOneTime(t *testing.T) {
	drop := newDrop()
	now := uint64(time.Now().UnixNano() / 100)
	var messages []mailbox.Message
	// The variant leaves 0x80 to 0xbf for the first of the eight octets, all
	// negative; in the others 0x80 comes before 0x00 and 0x7f last. The time's
	// low half stands before its high half in the octets, so time is varied too.
	for _, ticks := range []uint64{now, now + 1, now + 1<<32, now + 1<<48} {
		for _, tail := range [][8]byte{
			{0x80, 0x80}, {0x80, 0xff}, {0x80, 0x00}, {0x80, 0x7f},
			{0x80, 0x7f, 0, 0, 0, 0, 0, 0x80}, {0x80, 0x7f, 0, 0, 0, 0, 0, 0x01},
			{0xbf, 0x80}, {0xbf, 0x7f},
		} {
			messages = append(messages, mailbox.Message{ID: idAt(ticks, tail), Octets: 1})
		}
	}
	slices.SortFunc(messages, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
	for _, i := range rand.Perm(len(messages)) {
		s.add(t, entries(drop, messages[i])...)
	}
	s.lists(t, drop, messages...)
	for i, m := range messages {
		s.sees(t, drop, m.ID, len(messages), messages[:i]...)
		s.sees(t, drop, m.ID, 2, messages[max(0, i-2):i]...)
	}
	s.remove(t, drop, messages[:16]...)
	s.lists(t, drop, messages[16:]...)
}

func (s maildropsSuite) addedAgain(t *testing.T) {
	drop := newDrop()
	messages := newMessages(3)
	e := entries(drop, messages...)
	s.add(t, e...)
	s.add(t, e[1])
	s.add(t, e[0], e[0], e[2])
	s.lists(t, drop, messages...)
	s.remove(t, drop, s.nth(t, drop, 1))
	s.lists(t, drop, messages[0], messages[2])
}

func (s maildropsSuite) addedMany(t *testing.T) {
	t.Run("to one maildrop", func(t *testing.T) {
		drop, messages := newDrop(), newMessages(500)
		s.add(t, entries(drop, messages...)...)
		s.lists(t, drop, messages...)
	})
	t.Run("to many maildrops", func(t *testing.T) {
		drops, m := newDrops(100), newMessages(1)[0]
		var all []mailbox.Entry
		for _, drop := range drops {
			all = append(all, entries(drop, m)...)
		}
		s.add(t, all...)
		for _, drop := range drops {
			s.lists(t, drop, m)
		}
	})
	t.Run("to a few, by turns", func(t *testing.T) {
		drops, messages := newDrops(3), newMessages(30)
		var all []mailbox.Entry
		want := make([][]mailbox.Message, len(drops))
		for i, m := range messages {
			all = append(all, entries(drops[i%3], m)...)
			want[i%3] = append(want[i%3], m)
		}
		s.add(t, all...)
		for i, drop := range drops {
			s.lists(t, drop, want[i]...)
		}
	})
}

func (s maildropsSuite) apart(t *testing.T) {
	one := newDrop()
	for i := range one {
		other := one
		other[i] ^= 1
		messages := newMessages(2)
		s.add(t, entries(other, messages...)...)
		s.lists(t, other, messages...)
		s.remove(t, one, messages...)
		s.lists(t, other, messages...)
	}
	s.lists(t, one)
}

// howToRemove are the two ways of the promise: a Message that has only its id,
// and one that came from List and says where the store has it.
var howToRemove = map[string]func(listed mailbox.Message) mailbox.Message{
	"by id":        func(m mailbox.Message) mailbox.Message { return mailbox.Message{ID: m.ID} },
	"by its place": func(m mailbox.Message) mailbox.Message { return m },
}

func (s maildropsSuite) removed(t *testing.T) {
	for name, named := range howToRemove {
		t.Run(name, func(t *testing.T) {
			drop, want := newDrop(), newMessages(7)
			s.add(t, entries(drop, want[:4]...)...)
			for _, m := range want[4:] {
				s.add(t, entries(drop, m)...)
			}
			for _, i := range []int{3, 0, 4, 1, 1, 1, 0} { // the middle, the first, the last, …
				s.remove(t, drop, named(s.nth(t, drop, i)))
				want = slices.Delete(want, i, i+1)
				s.lists(t, drop, want...)
			}
		})
	}
}

func (s maildropsSuite) removedAgain(t *testing.T) {
	for name, named := range howToRemove {
		t.Run(name, func(t *testing.T) {
			drop, messages := newDrop(), newMessages(4)
			s.add(t, entries(drop, messages...)...)
			m := named(s.nth(t, drop, 1))
			s.remove(t, drop, m, m)
			later := newMessages(2)
			s.add(t, entries(drop, later...)...)
			s.remove(t, drop, m)
			s.lists(t, drop, messages[0], messages[2], messages[3], later[0], later[1])
		})
	}
}

func (s maildropsSuite) removedUnknown(t *testing.T) {
	drop, messages := newDrop(), newMessages(3)
	s.remove(t, drop, newMessages(2)...)
	s.add(t, entries(drop, messages...)...)
	s.remove(t, drop, newMessages(2)...)
	unknown := newMessages(2)
	s.remove(t, drop, unknown[0], messages[1], unknown[1])
	s.lists(t, drop, messages[0], messages[2])
}

// removedOnlyNamed holds against stores that remove a range: what arrives
// between List and Remove may have an id before, between or after the removed.
func (s maildropsSuite) removedOnlyNamed(t *testing.T) {
	for name, named := range howToRemove {
		t.Run(name, func(t *testing.T) {
			drop, messages := newDrop(), newMessages(9)
			s.add(t, entries(drop, messages[1], messages[3])...)
			s.add(t, entries(drop, messages[5], messages[7])...)
			var seen []mailbox.Message
			for _, m := range s.list(t, drop) {
				seen = append(seen, named(m))
			}
			s.add(t, entries(drop, messages[0], messages[2], messages[8])...)
			s.remove(t, drop, seen...)
			s.add(t, entries(drop, messages[4], messages[6])...)
			s.lists(t, drop, messages[0], messages[2], messages[4], messages[6], messages[8])
		})
	}
}

func (s maildropsSuite) addedLate(t *testing.T) {
	for name, named := range howToRemove {
		t.Run(name, func(t *testing.T) {
			drop, messages := newDrop(), newMessages(3)
			e := entries(drop, messages...)
			s.add(t, e...)
			s.remove(t, drop, named(s.nth(t, drop, 1)))
			s.add(t, e[1])
			s.add(t, e...)
			s.lists(t, drop, messages[0], messages[2])
			s.remove(t, drop, s.list(t, drop)...)
			s.add(t, e...)
			s.lists(t, drop)
		})
	}
}

// removedFirst is a delivery whose listing failed, was withdrawn, and arrives
// nevertheless.
func (s maildropsSuite) removedFirst(t *testing.T) {
	drop, messages := newDrop(), newMessages(3)
	e := entries(drop, messages...)
	if err := s.store.Add(ended(t), e); err == nil {
		t.Error("Add succeeded with a context that had ended")
	}
	s.remove(t, drop, e[1].Message)
	s.add(t, e...)
	s.lists(t, drop, messages[0], messages[2])
	s.add(t, e[1:2]...)
	s.lists(t, drop, messages[0], messages[2])
}

func (s maildropsSuite) removedInOne(t *testing.T) {
	one, other, messages := newDrop(), newDrop(), newMessages(3)
	e := append(entries(one, messages...), entries(other, messages...)...)
	s.add(t, e...)
	s.remove(t, one, s.list(t, one)...)
	s.lists(t, one)
	s.lists(t, other, messages...)
	s.add(t, e[len(messages):]...)
	s.lists(t, other, messages...)
}

func (s maildropsSuite) filledAgain(t *testing.T) {
	drop := newDrop()
	for range 5 {
		messages := newMessages(5)
		s.add(t, entries(drop, messages...)...)
		s.lists(t, drop, messages...)
		s.remove(t, drop, s.list(t, drop)...)
		s.lists(t, drop)
	}
}

func (s maildropsSuite) thousands(t *testing.T) {
	drop, messages := newDrop(), newMessages(s.Many)
	for batch := range slices.Chunk(messages, 100) {
		s.add(t, entries(drop, batch...)...)
	}
	s.lists(t, drop, messages...)
	var gone, kept []mailbox.Message
	for i, m := range s.list(t, drop) {
		if i%3 == 0 {
			gone = append(gone, m)
		} else {
			kept = append(kept, messages[i])
		}
	}
	s.remove(t, drop, gone...)
	s.lists(t, drop, kept...)
	s.remove(t, drop, s.list(t, drop)...)
	s.lists(t, drop)
}

func (s maildropsSuite) writersSeeTheirOwn(t *testing.T) {
	drop := newDrop()
	want := make([][]mailbox.Message, s.Writers)
	var all sync.WaitGroup
	for w := range want {
		all.Go(func() {
			for range 20 {
				m := newMessages(1)[0]
				want[w] = append(want[w], m)
				if err := s.store.Add(t.Context(), entries(drop, m)); err != nil {
					t.Errorf("Add: %v", err)
					return
				}
				list := s.list(t, drop)
				for _, own := range want[w] {
					if !slices.ContainsFunc(list, func(m mailbox.Message) bool { return m.ID == own.ID }) {
						t.Errorf("a message whose addition had succeeded is not among the %d listed", len(list))
						return
					}
				}
			}
		})
	}
	all.Wait()
	messages := slices.Concat(want...)
	slices.SortFunc(messages, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
	s.lists(t, drop, messages...)
}

func (s maildropsSuite) raced(t *testing.T) {
	drop, messages := newDrop(), newMessages(5*s.Writers)
	e := entries(drop, messages...)
	if err := s.store.Add(ended(t), e); err == nil { // gives places
		t.Error("Add succeeded with a context that had ended")
	}
	var all sync.WaitGroup
	for w := range s.Writers {
		own := e[5*w : 5*w+5]
		again := []mailbox.Entry{own[1], own[4]}
		all.Go(func() { s.add(t, own...) })
		all.Go(func() { s.remove(t, drop, own[1].Message, own[3].Message) })
		all.Go(func() { s.add(t, again...) })
		all.Go(func() { s.remove(t, drop, s.only(t, drop, own[3].Message)...) })
	}
	all.Wait()
	var want []mailbox.Message
	for i, m := range messages {
		if i%5 != 1 && i%5 != 3 {
			want = append(want, m)
		}
	}
	s.lists(t, drop, want...)
}

// only is the message as List has it now, or nothing.
func (s maildropsSuite) only(t *testing.T, drop mailbox.MaildropID, m mailbox.Message) []mailbox.Message {
	return slices.DeleteFunc(slices.Clone(s.list(t, drop)), func(l mailbox.Message) bool { return l.ID != m.ID })
}

func (s maildropsSuite) frozen(t *testing.T) {
	drop, messages := newDrop(), newMessages(8)
	s.add(t, entries(drop, messages[1:5]...)...)
	s.lists(t, drop, messages[1:5]...)
	held := s.list(t, drop)
	before := slices.Clone(held)
	s.remove(t, drop, held[1], held[2])
	s.add(t, entries(drop, messages[0], messages[6])...)
	second := s.list(t, drop)
	s.add(t, entries(drop, messages[5], messages[7])...)
	s.remove(t, drop, held[0])
	s.lists(t, drop, messages[0], messages[4], messages[5], messages[6], messages[7])
	if !slices.Equal(held, before) {
		t.Errorf("the first list has become %v; it was %v", held, before)
	}
	if want := []mailbox.Message{messages[0], messages[1], messages[4], messages[6]}; !sameMessages(second, want) {
		t.Errorf("the second list has become %v; it was %v", second, want)
	}
	s.remove(t, drop, held...)
	s.lists(t, drop, messages[0], messages[5], messages[6], messages[7])
}

func (s maildropsSuite) newestFirst(t *testing.T) {
	drop, messages := newDrop(), newMessages(10)
	s.sees(t, drop, mailbox.MessageID{}, 5)
	for _, i := range rand.Perm(len(messages)) {
		s.add(t, entries(drop, messages[i])...)
	}
	for n := range len(messages) + 1 {
		s.sees(t, drop, mailbox.MessageID{}, n, messages[len(messages)-n:]...)
	}
	s.sees(t, drop, mailbox.MessageID{}, math.MaxInt, messages...)
	s.sees(t, drop, mailbox.MessageID{}, -1)
	s.remove(t, drop, messages[9], messages[7])
	s.sees(t, drop, mailbox.MessageID{}, 3, messages[5], messages[6], messages[8])
}

func (s maildropsSuite) newestBefore(t *testing.T) {
	drop, before, messages, later := newDrop(), newMessages(1)[0], newMessages(8), newMessages(1)[0]
	s.add(t, entries(drop, messages...)...)
	for i, m := range messages {
		s.sees(t, drop, m.ID, 3, messages[max(0, i-3):i]...)
		s.sees(t, drop, m.ID, 0)
	}
	s.sees(t, drop, before.ID, 3)
	s.sees(t, drop, later.ID, 3, messages[5:]...)
}

func (s maildropsSuite) newestBeforeRemoved(t *testing.T) {
	drop, messages := newDrop(), newMessages(7)
	s.add(t, entries(drop, append(messages[:3:3], messages[4:]...)...)...) // one is never listed
	s.sees(t, drop, messages[3].ID, 2, messages[1], messages[2])
	s.remove(t, drop, messages[5], messages[1])
	s.sees(t, drop, messages[5].ID, 2, messages[2], messages[4])
	s.sees(t, drop, messages[1].ID, 2, messages[0])
}

func (s maildropsSuite) newestOwned(t *testing.T) {
	drop, messages := newDrop(), newMessages(4)
	s.add(t, entries(drop, messages...)...)
	s.list(t, drop) // a store may have it in memory from now on
	for range 2 {
		newest, err := s.store.Newest(t.Context(), drop, mailbox.MessageID{}, 4)
		if err != nil {
			t.Fatalf("Newest: %v", err)
		}
		clear(newest)
	}
	s.lists(t, drop, messages...)
}

func (s maildropsSuite) pages(t *testing.T) {
	drop, messages := newTemporaryDrop(), newMessages(s.Many)
	for i := range messages {
		messages[i].Expires = time.Now().Add(time.Hour).Truncate(time.Second)
	}
	for batch := range slices.Chunk(messages, 100) {
		s.add(t, entries(drop, batch...)...)
	}
	var kept []mailbox.Message
	var gone []mailbox.Message
	for i, m := range messages {
		if i%7 == 0 {
			gone = append(gone, m)
		} else {
			kept = append(kept, m)
		}
	}
	s.remove(t, drop, gone...)
	bound := mailbox.MessageID{}
	for end := len(kept); end > 0; end -= 90 {
		page := kept[max(0, end-90):end]
		s.sees(t, drop, bound, 90, page...)
		bound = page[0].ID
	}
	s.sees(t, drop, bound, 90)
}

func (s maildropsSuite) ended(t *testing.T) {
	drop, messages := newDrop(), newMessages(2)
	e := entries(drop, messages...)
	if err := s.store.Add(ended(t), e[:1]); err == nil {
		t.Error("Add succeeded with a context that had ended")
	}
	s.add(t, e...)
	if err := s.store.Remove(ended(t), drop, messages[1]); err == nil {
		t.Error("Remove succeeded with a context that had ended")
	}
	if list, err := s.store.List(ended(t), drop); err == nil {
		t.Errorf("List = %v with a context that had ended; want an error", list)
	}
	if newest, err := s.store.Newest(ended(t), drop, mailbox.MessageID{}, 1); err == nil {
		t.Errorf("Newest = %v with a context that had ended; want an error", newest)
	}
	s.remove(t, drop, messages[1])
	s.lists(t, drop, messages[0])
}

func (s maildropsSuite) expiresLater(t *testing.T) {
	for name, drop := range map[string]mailbox.MaildropID{"in a maildrop that stays": newDrop(), "in one that ends": newTemporaryDrop()} {
		t.Run(name, func(t *testing.T) {
			messages := newMessages(3)
			messages[1].Expires = time.Now().Add(time.Hour).Truncate(time.Second)
			s.add(t, entries(drop, messages...)...)
			s.lists(t, drop, messages...)
			s.remove(t, drop, s.nth(t, drop, 1))
			s.lists(t, drop, messages[0], messages[2])
		})
	}
}

func (s maildropsSuite) expired(t *testing.T) {
	drop, messages := newDrop(), newMessages(4)
	messages[0].Expires = time.Now().Add(-time.Hour)
	messages[2].Expires = time.Now().Add(-time.Millisecond)
	e := entries(drop, messages...)
	s.add(t, e[2:3]...)
	s.lists(t, drop)
	s.add(t, e...)
	s.lists(t, drop, messages[1], messages[3])
	s.remove(t, drop, e[0].Message)
	s.add(t, e...)
	s.lists(t, drop, messages[1], messages[3])
}

func (s maildropsSuite) expires(t *testing.T) {
	t.Parallel() // only waits
	drop, messages := newDrop(), newMessages(3)
	messages[1].Expires = time.Now().Add(s.Lifetime)
	e := entries(drop, messages...)
	s.add(t, e...)
	if list := s.list(t, drop); time.Now().Before(messages[1].Expires) && len(list) != 3 {
		t.Errorf("%d messages are listed before any expired; want 3", len(list))
	}
	within(t, s.Lifetime+s.Settle+time.Second, func() error {
		list, err := s.store.List(t.Context(), drop)
		if err != nil || !sameMessages(list, []mailbox.Message{messages[0], messages[2]}) {
			return fmt.Errorf("listed are %v, %s; want the two that do not expire", list, outcome(err))
		}
		newest, err := s.store.Newest(t.Context(), drop, mailbox.MessageID{}, 2)
		if err != nil || !sameMessages(newest, []mailbox.Message{messages[2], messages[0]}) {
			return fmt.Errorf("the newest are %v, %s; want the two that do not expire", newest, outcome(err))
		}
		return nil
	})
	if time.Now().Before(messages[1].Expires.Add(-time.Second)) {
		t.Error("the message was gone long before it expired")
	}
	s.add(t, e...)
	s.lists(t, drop, messages[0], messages[2])
}

// add lists entries; where they are a slice, they get their places.
func (s maildropsSuite) add(t *testing.T, entries ...mailbox.Entry) {
	t.Helper()
	if err := s.store.Add(t.Context(), entries); err != nil {
		t.Errorf("Add of %d entries: %v", len(entries), err)
	}
}

func (s maildropsSuite) remove(t *testing.T, drop mailbox.MaildropID, messages ...mailbox.Message) {
	t.Helper()
	if err := s.store.Remove(t.Context(), drop, messages...); err != nil {
		t.Errorf("Remove of %d messages: %v", len(messages), err)
	}
}

func (s maildropsSuite) list(t *testing.T, drop mailbox.MaildropID) []mailbox.Message {
	t.Helper()
	list, err := s.store.List(t.Context(), drop)
	if err != nil {
		t.Errorf("List: %v", err)
	}
	return list
}

// nth is the message that List has at i, counted from 0.
func (s maildropsSuite) nth(t *testing.T, drop mailbox.MaildropID, i int) mailbox.Message {
	t.Helper()
	list := s.list(t, drop)
	if i >= len(list) {
		t.Fatalf("%d messages are listed; want more than %d", len(list), i)
	}
	return list[i]
}

// lists checks that the maildrop has these messages in this order. What is newest is
// asked for first: then a store may not have the listing in memory yet.
func (s maildropsSuite) lists(t *testing.T, drop mailbox.MaildropID, want ...mailbox.Message) {
	t.Helper()
	s.sees(t, drop, mailbox.MessageID{}, len(want)+1, want...)
	if got := s.list(t, drop); !sameMessages(got, want) {
		t.Fatalf("listed are %v; want %v", shorten(got), shorten(want))
	}
	s.sees(t, drop, mailbox.MessageID{}, 3, want[max(0, len(want)-3):]...)
}

// sees checks that the newest before a bound are these, the last of them first.
func (s maildropsSuite) sees(t *testing.T, drop mailbox.MaildropID, before mailbox.MessageID, n int, want ...mailbox.Message) {
	t.Helper()
	got, err := s.store.Newest(t.Context(), drop, before, n)
	if err != nil {
		t.Fatalf("Newest: %v", err)
	}
	want = slices.Clone(want)
	slices.Reverse(want)
	if !sameMessages(got, want) {
		t.Fatalf("the newest %d are %v; want %v", n, shorten(got), shorten(want))
	}
}

// sameMessages compares listings. The place is the store's own affair, and a
// store may round the time of expiry to a second.
func sameMessages(a, b []mailbox.Message) bool {
	return slices.EqualFunc(a, b, func(a, b mailbox.Message) bool {
		return a.ID == b.ID && a.Octets == b.Octets &&
			a.Expires.IsZero() == b.Expires.IsZero() && a.Expires.Sub(b.Expires).Abs() <= time.Second
	})
}

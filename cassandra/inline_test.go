package cassandra

import (
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestInline(t *testing.T) {
	t.Parallel()
	promises.Inline(t, func(t *testing.T) mailboxtest.Stores {
		s := newStore(t)
		return mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops(), Addresses: s.Addresses()}
	})
}

func TestInlineThatStays(t *testing.T) {
	t.Parallel()
	promises.InlineThatStays(t, MaxInline, func(t *testing.T) mailboxtest.Stores {
		s := newStore(t)
		return mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops(), Addresses: s.Addresses()}
	})
}

// endingDrop is a maildrop that nobody else uses, of an address that ends.
func endingDrop() mailbox.MaildropID {
	return mailbox.TemporaryMaildropOf(mailbox.Address{Local: rand.Text(), Domain: "example.org"}, 1)
}

// newShort are so many messages for a maildrop, each with a content of so many octets.
func newShort(drop mailbox.MaildropID, n, octets int) []mailbox.Entry {
	entries := newEntries(drop, n)
	for i := range entries {
		m := &entries[i].Message
		m.Inline, m.Octets, m.Expires = strings.Repeat("x", octets), int64(octets), time.Now().Add(time.Hour)
	}
	return entries
}

// newKept is newShort for a maildrop that stays.
func newKept(drop mailbox.MaildropID, n, octets int) []mailbox.Entry {
	entries := newShort(drop, n, octets)
	for i := range entries {
		entries[i].Message.Expires = time.Time{}
	}
	return entries
}

func TestFewStatementsServeAShortMessage(t *testing.T) {
	t.Parallel()
	drop, kept := endingDrop(), someDrop()
	for name, c := range map[string]struct {
		entries                           []mailbox.Entry
		delivery, listing, reading, table string
	}{
		"for a while": {
			newShort(drop, 1, mailbox.MaxInline), "maildrop_temp insert", "maildrop_temp select", "", "maildrop_temp",
		},
		"for ever": {
			newKept(kept, 1, MaxInline), "maildrop insert with content", "maildrop select", "maildrop_content select", "maildrop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			drop := c.entries[0].Maildrop
			var list []mailbox.Message
			for _, step := range []struct {
				name string
				do   func()
				want map[string]int
			}{
				{"delivery", func() { add(t, s.Maildrops(), c.entries) }, map[string]int{c.delivery: 1}},
				{"listing", func() { list = listOf(t, s.Maildrops(), drop) }, map[string]int{c.listing: 1}},
				{"look at it", func() {
					b, err := contentOf(t.Context(), s, list[0])
					if err != nil || int64(len(b)) != list[0].Octets {
						t.Errorf("%d octets, %v", len(b), err)
					}
				}, map[string]int{c.reading: 1}},
				{"removal", func() {
					remove(t, s.Maildrops(), drop, list...)
					if err := s.Contents().Release(t.Context(), drop, list...); err != nil {
						t.Fatal(err)
					}
				}, map[string]int{c.table + " select registers": 1, c.table + " delete": 1}},
			} {
				delete(step.want, "")
				if got := statements(t, s, step.do); !maps.Equal(got, step.want) {
					t.Errorf("a %s takes %v; want %v", step.name, got, step.want)
				}
			}
		})
	}
}

// What is put is refused then; what is not put has to be refused here.
func TestAShortMessageIsNotDeliveredWhileTheClockIsWrong(t *testing.T) {
	t.Parallel()
	var clock setClock
	o := tableOptions(t)
	o.Now = clock.now
	s := openStore(t, o)
	entries := newShort(endingDrop(), 1, 100)
	clock.set(time.Second)
	if err := s.Maildrops().Add(t.Context(), entries); !errors.Is(err, errClock) || !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("a second off: %v", err)
	}
	clock.set(0)
	add(t, s.Maildrops(), entries)
}

func TestOnlyWhatStaysAndIsShortIsListedWithItsContentInAMaildropThatStays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, change := range map[string]func(*mailbox.Message){
		"a message that expires": func(m *mailbox.Message) { m.Expires = time.Now().Add(time.Hour) },
		"too long a message":     func(m *mailbox.Message) { m.Inline, m.Octets = strings.Repeat("x", MaxInline+1), MaxInline+1 },
	} {
		entries := newKept(someDrop(), 1, 100)
		change(&entries[0].Message)
		if err := s.Maildrops().Add(t.Context(), entries); err == nil {
			t.Errorf("%s was listed", name)
		}
	}
}

// Newest forgets lines while it reads. It must not be seen from what it returns.
func TestTheNewestOfWhatIsForgottenMeanwhileAreTheNewest(t *testing.T) {
	ids := make([]mailbox.MessageID, 12)
	for i := range ids {
		ids[i] = mailbox.MessageID{3: byte(i + 1), 6: 0x10, 8: 0x80}
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var before mailbox.MessageID
		if rapid.Bool().Draw(t, "bounded") {
			before = rapid.SampledFrom(ids).Draw(t, "before")
		}
		n := rapid.IntRange(-1, 6).Draw(t, "n")
		prune := func(lines []mailbox.Message) []mailbox.Message { return newest(listing(lines, now), before, n) }
		var all, kept []mailbox.Message
		for i, of := range rapid.SliceOfN(rapid.IntRange(0, len(ids)-1), 0, 40).Draw(t, "ids") {
			m := mailbox.Message{ID: ids[of], Place: mailbox.Place{Lane: someLane, Ord: int64(i)}}
			if of%4 == 0 {
				m.Expires = now
			}
			all = append(all, m)
			if rapid.Bool().Draw(t, "forgets") {
				kept = prune(kept)
			}
			kept = append(kept, m)
		}
		got, want := prune(kept), mailbox.Newest(listing(all, now), before, n)
		slices.Reverse(got)
		if !slices.EqualFunc(got, want, func(a, b mailbox.Message) bool { return a.ID == b.ID && a.Place == b.Place }) {
			t.Fatalf("the newest %d are %v; want %v", n, got, want)
		}
	})
}

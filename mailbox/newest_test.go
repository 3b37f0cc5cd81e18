package mailbox_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// filledWith are n messages that are listed in a maildrop.
func filledWith(t *testing.T, m mailbox.Maildrops, drop mailbox.MaildropID, n int) []mailbox.Message {
	t.Helper()
	var ids mailbox.MessageIDs
	var messages []mailbox.Message
	for range n {
		message := mailbox.Message{ID: ids.Next(), Octets: 1}
		messages = append(messages, message)
		if err := m.Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: message}}); err != nil {
			t.Fatal(err)
		}
	}
	return messages
}

func TestOnlyTheNewestOfATemporaryMaildropAreShown(t *testing.T) {
	const limit = 5
	for held := range 12 {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			inner := mailboxtest.Memory().Maildrops
			m := mailbox.NewestOnly(inner, limit)
			drop := mailbox.TemporaryMaildropOf(mailbox.Address{Local: "t", Domain: "example.org"}, 1)
			all := filledWith(t, m, drop, held)
			shown := all[max(0, held-limit):]
			if list, err := m.List(t.Context(), drop); err != nil || !slices.Equal(list, shown) {
				t.Errorf("listed are %v, %v; want %v", list, err, shown)
			}
			if list, err := inner.List(t.Context(), drop); err != nil || len(list) != held {
				t.Errorf("kept are %v, %v; want all %d", list, err, held)
			}
			for n := range limit + 2 {
				sees(t, m, drop, mailbox.MessageID{}, n, mailbox.Newest(shown, mailbox.MessageID{}, n))
				for _, bound := range all {
					sees(t, m, drop, bound.ID, n, mailbox.Newest(shown, bound.ID, n))
				}
			}
			sees(t, m, drop, mailbox.MessageID{}, -1, nil)
		})
	}
}

func sees(t *testing.T, m mailbox.Maildrops, drop mailbox.MaildropID, before mailbox.MessageID, n int, want []mailbox.Message) {
	t.Helper()
	if got, err := m.Newest(t.Context(), drop, before, n); err != nil || !slices.Equal(got, want) {
		t.Errorf("the newest %d before %v are %v, %v; want %v", n, before, got, err, want)
	}
}

// When the newest goes, what was hidden is the limit-th again, unless somebody
// removed it.
func TestARemovalMakesRoomForWhatWasHidden(t *testing.T) {
	m := mailbox.NewestOnly(mailboxtest.Memory().Maildrops, 2)
	drop := mailbox.TemporaryMaildropOf(mailbox.Address{Local: "t", Domain: "example.org"}, 1)
	all := filledWith(t, m, drop, 3)
	if err := m.Remove(t.Context(), drop, all[2]); err != nil {
		t.Fatal(err)
	}
	if list, err := m.List(t.Context(), drop); err != nil || !slices.Equal(list, all[:2]) {
		t.Errorf("listed are %v, %v; want %v", list, err, all[:2])
	}
}

func TestOtherMaildropsAreShownWhole(t *testing.T) {
	inner := mailboxtest.Memory().Maildrops
	account := mailbox.MaildropOf(mailbox.Address{Local: "fred", Domain: "example.org"}, 1)
	ends := mailbox.TemporaryMaildropOf(mailbox.Address{Local: "t", Domain: "example.org"}, 1)
	all, temporary := filledWith(t, inner, account, 7), filledWith(t, inner, ends, 7)
	for _, c := range []struct {
		limit int
		drop  mailbox.MaildropID
		want  []mailbox.Message
	}{{2, account, all}, {0, account, all}, {0, ends, temporary}} {
		m := mailbox.NewestOnly(inner, c.limit)
		if list, err := m.List(t.Context(), c.drop); err != nil || !slices.Equal(list, c.want) {
			t.Errorf("with the limit %d, listed are %v, %v; want %v", c.limit, list, err, c.want)
		}
		sees(t, m, c.drop, mailbox.MessageID{}, 10, mailbox.Newest(c.want, mailbox.MessageID{}, 10))
		sees(t, m, c.drop, c.want[5].ID, 3, mailbox.Newest(c.want, c.want[5].ID, 3))
	}
}

func TestWhatCannotBeListedIsNotEmpty(t *testing.T) {
	m := mailbox.NewestOnly(mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.From(1, mailboxtest.Fail)).Maildrops, 2)
	for _, drop := range []mailbox.MaildropID{{15: 0}, {15: 1}} {
		_, list := m.List(t.Context(), drop)
		_, newest := m.Newest(t.Context(), drop, mailbox.MessageID{}, 1)
		_, older := m.Newest(t.Context(), drop, mailbox.MessageID{1}, 1)
		for _, err := range []error{list, newest, older} {
			if !errors.Is(err, mailbox.ErrUnavailable) {
				t.Errorf("the error is %v; want ErrUnavailable", err)
			}
		}
	}
}

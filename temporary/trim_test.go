package temporary

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// shows checks which messages a mailbox shows, in every way in which it does.
func (s *site) shows(mb Mailbox, want ...mailbox.Message) {
	s.Helper()
	newest, err := s.Newest(s.Context(), mb, mailbox.MessageID{}, 1000)
	if err != nil || len(newest) != len(want) {
		s.Errorf("%d messages are shown, %v; want %d", len(newest), err, len(want))
		return
	}
	for i, m := range want {
		if got := newest[len(newest)-1-i]; got.ID != m.ID {
			s.Errorf("message %d is %v; want %v", i, got, m)
		}
		if _, err := s.Message(s.Context(), mb, m.ID); err != nil {
			s.Errorf("message %d: %v", i, err)
		}
	}
}

func TestAFullMailboxShowsTheNewestAndKeepsNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxMessages = 5 })
		mb := s.create(Request{})
		var all []mailbox.Message
		for i := range 20 {
			all = append(all, s.deliver(mb, fmt.Sprint(i)))
			s.shows(mb, all[max(0, len(all)-5):]...) // also before the others are removed
		}
		synctest.Wait()
		s.holds(mb.Maildrop, 5)
		s.shows(mb, all[15:]...)
		if _, err := s.Message(t.Context(), mb, all[14].ID); err == nil {
			t.Error("a message is shown that is one too many")
		}
		s.counts("messages_trimmed_total", 15)
	})
}

func TestABurstIsTrimmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := func(_ int, name string) mailboxtest.Fault {
			if name == "Maildrops.List" || name == "Maildrops.Remove" {
				return mailboxtest.Delay(time.Second)
			}
			return nil
		}
		s := newSite(t, slow, func(o *Options) { o.MaxMessages = 5 })
		mb := s.create(Request{})
		for range 500 {
			s.deliver(mb, "text")
		}
		s.holds(mb.Maildrop, 500)
		time.Sleep(time.Minute)
		s.holds(mb.Maildrop, 5)
		lists := 0
		for _, call := range s.stores.Calls() {
			if call == "Maildrops.List" {
				lists++
			}
		}
		if lists > 3 {
			t.Errorf("it was listed %d times", lists)
		}
	})
}

func TestAMailboxWithRoomIsNotListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxMessages = 5 })
		mb := s.create(Request{})
		for range 5 {
			s.deliver(mb, "text")
		}
		synctest.Wait()
		for _, call := range s.stores.Calls() {
			if call == "Maildrops.List" {
				t.Error("the mailbox was listed")
			}
		}
	})
}

// Of a mailbox that was there before, nothing is known.
func TestAnOldMailboxIsTrimmedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
		s := openSite(t, stores)
		mb := s.create(Request{})
		for range 20 {
			s.deliver(mb, "text")
		}
		s = openSite(t, stores, func(o *Options) { o.MaxMessages = 5 })
		s.deliver(mb, "text")
		synctest.Wait()
		s.holds(mb.Maildrop, 5)
	})
}

func TestOnlyTemporaryMailboxesAreTrimmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxMessages = 2 })
		mb := s.create(Request{})
		fred := mailbox.Address{Local: "fred", Domain: "example.org"}
		r, err := s.directory.Create(t.Context(), fred, mailbox.Route{Kind: mailbox.Account})
		if err != nil {
			t.Fatal(err)
		}
		texts, err := s.directory.Resolve(t.Context(), mailbox.Address{Local: "fred", Domain: "text.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		everyone := append(texts, mailbox.Recipient{Address: fred, Maildrop: r.Maildrop},
			mailbox.Recipient{Address: mb.Address, Maildrop: mb.Maildrop, Expires: mb.Expires})
		for range 7 {
			if _, err := s.deliveries.Deliver(t.Context(), mailbox.Envelope{Recipients: everyone}, strings.NewReader("text")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		s.holds(mb.Maildrop, 2)
		s.holds(r.Maildrop, 7)
		s.holds(texts[0].Maildrop, 7)
	})
}

func TestAMailboxThatCouldNotBeTrimmedIsTrimmedAfterTheNextDelivery(t *testing.T) {
	for _, call := range []string{"Maildrops.List", "Maildrops.Remove"} {
		for name, fault := range map[string]mailboxtest.Fault{"fails": mailboxtest.Fail, "hangs": mailboxtest.Hang, "is half done": mailboxtest.Halve} {
			t.Run(call+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					away := true
					s := newSite(t, func(_ int, name string) mailboxtest.Fault {
						if name == call && away {
							return fault
						}
						return nil
					}, func(o *Options) { o.MaxMessages = 5 })
					mb := s.create(Request{})
					for range 20 {
						s.deliver(mb, "text")
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					away = false
					s.deliver(mb, "text")
					synctest.Wait()
					s.holds(mb.Maildrop, 5)
				})
			})
		}
	}
}

func TestTooManyFullMailboxesWaitForTheNextDelivery(t *testing.T) {
	trims := newTrims(0)
	for i := range trimQueue {
		if !trims.delivered(mailbox.MaildropID{byte(i), byte(i >> 8)}) {
			t.Fatalf("no room for maildrop %d", i)
		}
	}
	last := mailbox.MaildropID{15: 1}
	if trims.delivered(last) {
		t.Error("there is room for one more than there is room for")
	}
	if !trims.delivered(mailbox.MaildropID{}) {
		t.Error("one that waits is refused")
	}
	first := <-trims.queue
	trims.begin(first)
	trims.end(first, 0, nil)
	if !trims.delivered(last) {
		t.Error("there is no room when one left")
	}
}

func TestLengthsAreForgottenWhenTheyAreMany(t *testing.T) {
	trims := newTrims(5)
	for i := range maxLengths + 1000 {
		trims.made(mailbox.MaildropID{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if len(trims.lengths) != maxLengths {
		t.Errorf("%d lengths are known; want %d", len(trims.lengths), maxLengths)
	}
}

package mailboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

// Inline checks that a store keeps what it promises of messages that are listed with
// their content in temporary maildrops. It calls open once.
func Inline(t *testing.T, open func(t *testing.T) Stores) { Options{}.Inline(t, open) }

// Inline is the function of the same name with these options.
func (o Options) Inline(t *testing.T, open func(t *testing.T) Stores) {
	s := inlineSuite{o.withDefaults(), open(t), newTemporaryDrop, mailbox.MaxInline}
	s.run(t)
	t.Run("a message that expires leaves nothing", s.expires)
}

// InlineThatStays is Inline for other maildrops, where a store lists contents of up to so
// many octets.
func (o Options) InlineThatStays(t *testing.T, most int, open func(t *testing.T) Stores) {
	inlineSuite{o.withDefaults(), open(t), newDrop, most}.run(t)
}

func (s inlineSuite) run(t *testing.T) {
	t.Run("what is listed comes back octet for octet", s.comesBack)
	t.Run("messages with and without are in the order of their ids", s.mixed)
	t.Run("a message added again is listed once", s.addedAgain)
	t.Run("a removed message is gone and the others stay", s.removed)
	t.Run("a late addition stays removed", s.addedLate)
	t.Run("a removal that comes first wins", s.removedFirst)
	t.Run("thousands of messages are seen page by page", s.pages)
	t.Run("writers at the same time each see what they wrote", s.writers)
}

type inlineSuite struct {
	Options
	stores  Stores
	newDrop func() mailbox.MaildropID
	most    int // octets
}

// An inlineMessage is a message as it was added.
type inlineMessage struct {
	entry  []mailbox.Entry // one
	octets []byte
}

// newInline is a message that is listed with its content.
func newInline(drop mailbox.MaildropID, octets []byte) inlineMessage {
	m := mailbox.Message{ID: ids.Next(), Octets: int64(len(octets)), Recipients: 1, Inline: string(octets)}
	if drop.Temporary() {
		m.Expires = time.Now().Add(time.Hour).Truncate(time.Second)
	}
	return inlineMessage{entries(drop, m), octets}
}

func newInlines(drop mailbox.MaildropID, n int) []inlineMessage {
	messages := make([]inlineMessage, n)
	for i := range messages {
		messages[i] = newInline(drop, octets(1+i%100, uint64(i)))
	}
	return messages
}

func (s inlineSuite) comesBack(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	samples := []Sample{
		{"one octet", []byte("x")}, {"a NUL", []byte{0}}, {"every octet", all}, {"random octets", octets(1000, 1)},
		{"an octet less than the most", octets(s.most-1, 2)}, {"the most", octets(s.most, 3)},
	}
	for _, sample := range append(samples, Samples()...) {
		if len(sample.Octets) == 0 || len(sample.Octets) > s.most {
			continue
		}
		t.Run(sample.Name, func(t *testing.T) {
			drop := s.newDrop()
			m := newInline(drop, sample.Octets)
			s.add(t, m)
			s.lists(t, drop, m)
		})
	}
}

func (s inlineSuite) mixed(t *testing.T) {
	drop := s.newDrop()
	messages := newInlines(drop, 12)
	for i := 0; i < len(messages); i += 3 {
		m := &messages[i].entry[0].Message
		m.Inline = ""
		c := mailbox.Content{ID: m.ID, Maildrops: []mailbox.MaildropID{drop}, Expires: m.Expires}
		if _, err := s.stores.Contents.Put(t.Context(), c, bytes.NewReader(messages[i].octets)); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range rand.Perm(len(messages)) {
		s.add(t, messages[i])
	}
	s.lists(t, drop, messages...)
}

func (s inlineSuite) addedAgain(t *testing.T) {
	drop := s.newDrop()
	messages := newInlines(drop, 3)
	s.add(t, messages...)
	s.add(t, messages[1], messages[0])
	s.lists(t, drop, messages...)
	s.add(t, messages...)
	s.lists(t, drop, messages...)
}

func (s inlineSuite) removed(t *testing.T) {
	for name, named := range howToRemove {
		t.Run(name, func(t *testing.T) {
			drop := s.newDrop()
			messages := newInlines(drop, 5)
			s.add(t, messages...)
			list := s.lists(t, drop, messages...)
			s.remove(t, drop, named(list[3]), named(list[0]))
			s.lists(t, drop, messages[1], messages[2], messages[4])
			s.remove(t, drop, named(list[3]))
			s.lists(t, drop, messages[1], messages[2], messages[4])
			s.notFound(t, list[3])
		})
	}
}

func (s inlineSuite) addedLate(t *testing.T) {
	drop := s.newDrop()
	messages := newInlines(drop, 3)
	s.add(t, messages...)
	list := s.lists(t, drop, messages...)
	s.remove(t, drop, list[1])
	s.add(t, messages...)
	s.lists(t, drop, messages[0], messages[2])
	s.notFound(t, list[1])
}

func (s inlineSuite) removedFirst(t *testing.T) {
	drop := s.newDrop()
	messages := newInlines(drop, 2)
	if err := s.stores.Maildrops.Add(ended(t), messages[0].entry); err == nil {
		t.Error("Add succeeded with a context that had ended")
	}
	s.remove(t, drop, messages[0].entry[0].Message)
	s.add(t, messages...)
	s.lists(t, drop, messages[1])
	s.notFound(t, messages[0].entry[0].Message)
}

func (s inlineSuite) pages(t *testing.T) {
	drop := s.newDrop()
	messages := newInlines(drop, s.Many)
	for chunk := range slices.Chunk(messages, 100) {
		s.add(t, chunk...)
	}
	list := s.lists(t, drop, messages...)
	var kept []inlineMessage
	var gone []mailbox.Message
	for i, m := range messages {
		if i%7 == 0 {
			gone = append(gone, list[i])
		} else {
			kept = append(kept, m)
		}
	}
	s.remove(t, drop, gone...)
	bound := mailbox.MessageID{}
	for end := len(kept); end > 0; end -= 90 {
		page := kept[max(0, end-90):end]
		s.sees(t, drop, bound, 90, page...)
		bound = page[0].entry[0].Message.ID
	}
	s.sees(t, drop, bound, 90)
}

func (s inlineSuite) writers(t *testing.T) {
	drop := s.newDrop()
	var all sync.WaitGroup
	for w := range s.Writers {
		all.Go(func() {
			for i := range 10 {
				m := newInline(drop, octets(100, uint64(w<<8|i)))
				s.add(t, m)
				newest, err := s.stores.Maildrops.Newest(t.Context(), drop, mailbox.MessageID{}, 10*s.Writers)
				at := slices.IndexFunc(newest, func(l mailbox.Message) bool { return l.ID == m.entry[0].Message.ID })
				if err != nil || at < 0 {
					t.Errorf("a message that was added is not among %d, %s", len(newest), outcome(err))
					continue
				}
				s.reads(t, newest[at], m.octets)
				if i%2 == 0 {
					s.remove(t, drop, newest[at])
				}
			}
		})
	}
	all.Wait()
	list, err := s.stores.Maildrops.List(t.Context(), drop)
	if want := 5 * s.Writers; err != nil || len(list) != want {
		t.Errorf("%d messages are left, %s; want %d", len(list), outcome(err), want)
	}
}

func (s inlineSuite) expires(t *testing.T) {
	t.Parallel() // only waits
	drop := s.newDrop()
	messages := newInlines(drop, 3)
	expires := time.Now().Add(s.Lifetime)
	messages[1].entry[0].Message.Expires = expires
	s.add(t, messages...)
	within(t, s.Lifetime+s.Settle+time.Second, func() error {
		list, err := s.stores.Maildrops.List(t.Context(), drop)
		if want := messagesOf(messages[0], messages[2]); err != nil || !sameMessages(list, want) {
			return fmt.Errorf("listed are %v, %s; want the two that do not expire", list, outcome(err))
		}
		return nil
	})
	if time.Now().Before(expires.Add(-time.Second)) {
		t.Error("the message was gone long before it expired")
	}
	s.add(t, messages...)
	s.lists(t, drop, messages[0], messages[2])
}

// add lists messages, each by itself.
func (s inlineSuite) add(t *testing.T, messages ...inlineMessage) {
	t.Helper()
	for _, m := range messages {
		if err := s.stores.Maildrops.Add(t.Context(), m.entry); err != nil {
			t.Errorf("Add: %v", err)
		}
	}
}

// remove takes messages off the listing and releases them.
func (s inlineSuite) remove(t *testing.T, drop mailbox.MaildropID, messages ...mailbox.Message) {
	t.Helper()
	if err := s.stores.Maildrops.Remove(t.Context(), drop, messages...); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if err := s.stores.Contents.Release(t.Context(), drop, messages...); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// lists checks that the maildrop has these messages in this order, each with its
// content.
func (s inlineSuite) lists(t *testing.T, drop mailbox.MaildropID, want ...inlineMessage) []mailbox.Message {
	t.Helper()
	s.sees(t, drop, mailbox.MessageID{}, len(want)+1, want...)
	list, err := s.stores.Maildrops.List(t.Context(), drop)
	s.same(t, list, err, want)
	s.sees(t, drop, mailbox.MessageID{}, 2, want[max(0, len(want)-2):]...)
	return list
}

// sees checks that the newest before a bound are these, the last of them first.
func (s inlineSuite) sees(t *testing.T, drop mailbox.MaildropID, before mailbox.MessageID, n int, want ...inlineMessage) {
	t.Helper()
	newest, err := s.stores.Maildrops.Newest(t.Context(), drop, before, n)
	slices.Reverse(newest)
	s.same(t, newest, err, want)
}

func (s inlineSuite) same(t *testing.T, got []mailbox.Message, err error, want []inlineMessage) {
	t.Helper()
	if err != nil || !sameMessages(got, messagesOf(want...)) {
		t.Fatalf("listed are %v, %s; want %v", shorten(got), outcome(err), shorten(messagesOf(want...)))
	}
	for i, m := range got {
		s.reads(t, m, want[i].octets)
	}
}

func messagesOf(messages ...inlineMessage) []mailbox.Message {
	list := make([]mailbox.Message, len(messages))
	for i, m := range messages {
		list[i] = m.entry[0].Message
	}
	return list
}

// reads checks that a listed message has this content.
func (s inlineSuite) reads(t *testing.T, m mailbox.Message, want []byte) {
	t.Helper()
	r, err := s.stores.Contents.Open(t.Context(), m)
	if err != nil {
		t.Errorf("%s is listed and cannot be opened: %v", m.ID, err)
		return
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d octets, %v; want the %d that were added", len(got), err, len(want))
	}
}

// notFound checks that nothing is left of a message that is listed no more.
func (s inlineSuite) notFound(t *testing.T, m mailbox.Message) {
	t.Helper()
	m.Inline = "" // else it is read from the listing that the caller holds
	within(t, s.Settle, func() error {
		r, err := s.stores.Contents.Open(t.Context(), m)
		if err == nil {
			r.Close()
		}
		if !errors.Is(err, mailbox.ErrNotFound) {
			return fmt.Errorf("opened, %s; want not found", outcome(err))
		}
		return nil
	})
}

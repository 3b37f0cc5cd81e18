package mailboxtest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"restante/mailbox"
)

// ids mints the message ids of the suites.
var ids mailbox.MessageIDs

// newDrop is a maildrop that no other test uses, of an address that stays.
func newDrop() mailbox.MaildropID {
	return mailbox.MaildropOf(mailbox.Address{Local: "fred", Domain: newDomain()}, 1)
}

// newTemporaryDrop is a maildrop that no other test uses, of an address that ends.
func newTemporaryDrop() mailbox.MaildropID {
	return mailbox.TemporaryMaildropOf(mailbox.Address{Local: "fred", Domain: newDomain()}, 1)
}

func newDrops(n int) []mailbox.MaildropID {
	drops := make([]mailbox.MaildropID, n)
	for i := range drops {
		drops[i] = newDrop()
	}
	return drops
}

// newDomain is a domain that no other test uses.
func newDomain() string { return strings.ToLower(rand.Text()) + ".example" }

// newMessages are n messages with increasing ids and sizes of their own.
func newMessages(n int) []mailbox.Message {
	messages := make([]mailbox.Message, n)
	for i := range messages {
		messages[i] = mailbox.Message{ID: ids.Next(), Octets: int64(1000 + i)}
	}
	return messages
}

// entries lists the messages in one maildrop.
func entries(drop mailbox.MaildropID, messages ...mailbox.Message) []mailbox.Entry {
	list := make([]mailbox.Entry, len(messages))
	for i, m := range messages {
		list[i] = mailbox.Entry{Maildrop: drop, Message: m}
	}
	return list
}

// byID are messages of which nothing but the id is known.
func byID(ids []mailbox.MessageID) []mailbox.Message {
	messages := make([]mailbox.Message, len(ids))
	for i, id := range ids {
		messages[i].ID = id
	}
	return messages
}

// idAt is the id with this time, in 100 ns since 1970, and these last eight
// octets, of which the first gets the variant bits (RFC 9562, section 5.1).
func idAt(ticks uint64, tail [8]byte) (id mailbox.MessageID) {
	const gregorian = 122192928000000000
	ticks += gregorian
	binary.BigEndian.PutUint32(id[0:], uint32(ticks))
	binary.BigEndian.PutUint16(id[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(id[6:], uint16(ticks>>48)&0x0fff|0x1000)
	copy(id[8:], tail[:])
	id[8] = id[8]&0x3f | 0x80
	return id
}

// octets are n octets of which every run differs from every other, so that no
// two parts of a content can change places unseen.
func octets(n int, seed uint64) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	mathrand.NewChaCha8(key).Read(b) //nolint:errcheck // never fails
	return b
}

// ended is a context that was cancelled already.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// within tries until check succeeds or the time is over. It tries at least
// once, and reports the last failure.
func within(t reporter, d time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Errorf("after %v: %v", d, err)
			return
		case <-tick.C:
		}
	}
}

// A reporter is a testing.T or a rapid.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// outcome is how a call ended, in words.
func outcome(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// readAll reads a content to its end and closes it.
func readAll(ctx context.Context, store mailbox.Contents, id mailbox.MessageID) ([]byte, error) {
	r, err := store.Open(ctx, mailbox.Message{ID: id})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// shorten makes a long text fit to be read in a failure.
func shorten[T any](list []T) string {
	if len(list) <= 8 {
		return fmt.Sprint(list)
	}
	return fmt.Sprintf("%v … (%d in all)", list[:8], len(list))
}

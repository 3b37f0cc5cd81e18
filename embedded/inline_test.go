package embedded

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestInline(t *testing.T) {
	mailboxtest.Inline(t, func(t *testing.T) mailboxtest.Stores { return stores(openStore(t, Options{})) })
}

func TestInlineFromDisk(t *testing.T) {
	mailboxtest.Inline(t, func(t *testing.T) mailboxtest.Stores {
		return stores(openStore(t, Options{CachedMessages: 1}))
	})
}

// addShort lists a message with its content.
func addShort(t *testing.T, s *Store, drop mailbox.MaildropID, id mailbox.MessageID, expires time.Time, content string) mailbox.Message {
	t.Helper()
	m := mailbox.Message{ID: id, Octets: int64(len(content)), Expires: expires, Recipients: 1, Inline: content}
	if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}); err != nil {
		t.Fatal(err)
	}
	return m
}

// What is listed with a message goes with its line, however that goes.
func TestAShortMessageLeavesNothing(t *testing.T) {
	expunge := func(s *Store, drop mailbox.MaildropID, m mailbox.Message) error {
		return errors.Join(s.Maildrops().Remove(t.Context(), drop, m), s.Contents().Release(t.Context(), drop, m))
	}
	for name, end := range map[string]func(s *Store, drop mailbox.MaildropID, m mailbox.Message) error{
		"that expires":    func(*Store, mailbox.MaildropID, mailbox.Message) error { return nil },
		"that is removed": expunge,
		"that is removed and not released": func(s *Store, drop mailbox.MaildropID, m mailbox.Message) error {
			return s.Maildrops().Remove(t.Context(), drop, m)
		},
		"that is added late": func(s *Store, drop mailbox.MaildropID, m mailbox.Message) error {
			return errors.Join(expunge(s, drop, m), s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: m}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, clock, ids := sweepable(t)
			drop := ending(1)
			m := addShort(t, s, drop, ids.Next(), clock.now.Add(time.Hour), "content")
			if n := keys(t, s, prefixRow) + keys(t, s, prefixContent) + keys(t, s, prefixExpiry); n != 3 || allKeys(t, s) != 3 {
				t.Errorf("%d keys for a line, its content and its end, of %d; want 3", n, allKeys(t, s))
			}
			if err := end(s, drop, m); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the head of the maildrop is the last to go
				clock.now = clock.now.Add(removalAge + 2*halfDay)
				if _, err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := allKeys(t, s); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

// A listing in memory holds lines and no contents.
func TestAListingDoesNotKeepWhatItsMessagesConsistOf(t *testing.T) {
	s, clock, ids := sweepable(t)
	drop := ending(1)
	addShort(t, s, drop, ids.Next(), clock.now.Add(time.Hour), "one")
	mustList(t, s, drop) // it is in memory from now on
	addShort(t, s, drop, ids.Next(), clock.now.Add(time.Hour), "two")
	for _, m := range mustList(t, s, drop) {
		if m.Inline != "" {
			t.Errorf("%s is listed with %q", m.ID, m.Inline)
		}
	}
}

// TestAShortMessageIsWholeAfterPowerLoss pulls the plug before and after every sync:
// what was acknowledged is listed, and what is listed can be read.
func TestAShortMessageIsWholeAfterPowerLoss(t *testing.T) {
	mem := newCrashable()
	var mu sync.Mutex
	var crashes []*vfs.MemFS
	var acknowledged []int // at each crash
	added := 0
	s := openStore(t, Options{FS: syncHook{mem, func() {
		mu.Lock()
		defer mu.Unlock()
		crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{}))
		acknowledged = append(acknowledged, added)
	}}, memTableSize: smallMemTable})
	drop, ids := ending(1), new(mailbox.MessageIDs)
	contents := make(map[mailbox.MessageID]string)
	for n := range 20 {
		id, content := ids.Next(), strings.Repeat(fmt.Sprint(n, "\n"), 1+50*n)
		contents[id] = content
		addShort(t, s, drop, id, time.Now().Add(time.Hour), content)
		mu.Lock()
		added++
		mu.Unlock()
		if n%10 == 9 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(crashes) < 40 {
		t.Errorf("only %d moments to crash at", len(crashes))
	}
	for n, fs := range crashes {
		s, err := Open(Options{Dir: "mail", FS: fs, memTableSize: smallMemTable})
		if err != nil {
			t.Fatalf("at sync %d: %v", n, err)
		}
		list := mustList(t, s, drop)
		if len(list) < acknowledged[n] {
			t.Errorf("at sync %d, %d messages are listed of %d acknowledged", n, len(list), acknowledged[n])
		}
		for _, m := range list {
			if err := reads(t.Context(), s, m.ID, []byte(contents[m.ID])); err != nil {
				t.Errorf("at sync %d, %s is listed and not as it was: %v", n, m.ID, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

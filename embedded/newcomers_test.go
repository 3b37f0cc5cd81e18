package embedded

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
)

func TestANewcomerIsNewOnce(t *testing.T) {
	var ids mailbox.MessageIDs
	early, latest, late, stray := ids.Next(), ids.Next(), ids.Next(), ids.Next()
	n := newNewcomers(early, latest)
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"what was there before may be known", n.arrive(early), false},
		{"the last that was there is known", n.arrive(latest), false},
		{"what never arrived is looked up", n.touch(stray), false},
		{"also when it arrives later", n.arrive(stray), false},
		{"and is touched again", n.touch(stray), false},
		{"what is later is new", n.arrive(late), true},
		{"but only once", n.arrive(late), false},
		{"the first to touch it is told so", n.touch(late), true},
		{"the second is not", n.touch(late), false},
		{"and it does not arrive again", n.arrive(late), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %t", c.name, c.got)
		}
	}
}

func TestANewcomerThatIsForgottenIsLookedUp(t *testing.T) {
	var ids mailbox.MessageIDs
	n := newNewcomers(ids.Next(), mailbox.MessageID{})
	old := ids.Next()
	n.arrive(old)
	for range 2 * maxNewcomers {
		if !n.arrive(ids.Next()) {
			t.Fatal("a later one is not new")
		}
	}
	if n.arrive(old) || n.touch(old) {
		t.Error("what was forgotten counts as new")
	}
	if len(n.alone) != maxNewcomers || len(n.ring) != maxNewcomers {
		t.Errorf("%d and %d are remembered; want %d", len(n.alone), len(n.ring), maxNewcomers)
	}
}

// TestAnOldContentIsNoNewcomerAfterARestart puts a content again.
func TestAnOldContentIsNoNewcomerAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, Options{FS: fs})
	id, drop := new(mailbox.MessageIDs).Next(), mailbox.MaildropID{1}
	if err := put(t.Context(), s, id, []byte("first"), drop); err != nil {
		t.Fatal(err)
	}
	if err := s.Maildrops().Remove(t.Context(), drop, mailbox.Message{ID: id}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{FS: fs})
	if _, err := s.Contents().Put(t.Context(), mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{drop}}, bytes.NewReader([]byte("other"))); err != nil {
		t.Fatal(err)
	}
	if err := reads(t.Context(), s, id, []byte("first")); err != nil {
		t.Error(err)
	}
	if err := s.Maildrops().Add(t.Context(), []mailbox.Entry{{Maildrop: drop, Message: mailbox.Message{ID: id}}}); err != nil {
		t.Fatal(err)
	}
	if list := mustList(t, s, drop); len(list) != 0 {
		t.Errorf("List = %v; want none, as it was removed", list)
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func messages(all ...string) [][]byte {
	var b [][]byte
	for _, m := range all {
		b = append(b, []byte(m))
	}
	return b
}

func TestTheOrderOfMessagesDoesNotMatter(t *testing.T) {
	if err := sameMessages(messages("b", "aa", "a"), messages("aa", "a", "b")); err != nil {
		t.Error(err)
	}
}

func TestMessagesThatDifferAreNotTheSame(t *testing.T) {
	for name, got := range map[string][][]byte{
		"one is missing":        messages("a"),
		"one is there twice":    messages("a", "b", "b"),
		"one has another octet": messages("a", "c"),
		"one has an octet more": messages("a", "b "),
		"one replaces another":  messages("a", "a"),
	} {
		if sameMessages(got, messages("a", "b")) == nil {
			t.Errorf("%s: the same", name)
		}
	}
}

func TestAFieldIsCutOnlyWhereItIsAdded(t *testing.T) {
	const added = "Received: from a\n\tby b;\n date\n"
	for _, c := range []struct {
		name, in, want string
		behind         int
	}{
		{"on top", added + "To: c\n\nbody\n", "To: c\n\nbody\n", 0},
		{"behind another", "To: c\n d\n" + added + "\nbody\n", "To: c\n d\n\nbody\n", 1},
		{"not on top", "To: c\n" + added + "\nbody\n", "To: c\n" + added + "\nbody\n", 0},
		{"one of two", added + added + "\n", added + "\n", 0},
		{"nothing else there", added, "", 0},
		{"not there", "", "", 1},
	} {
		if got := cutField([]byte(c.in), c.behind, "Received: "); string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLineEndsComeBackAndAStrayCRStays(t *testing.T) {
	if got := toCRLF([]byte("a\n\nb\n")); string(got) != "a\r\n\r\nb\r\n" {
		t.Errorf("%q", got)
	}
	if got := toCRLF([]byte("a\r\n")); bytes.Equal(got, []byte("a\r\n")) {
		t.Error("a CR that was stored is not to be seen")
	}
}

func TestCollectTakesWhatIsThereOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][][]byte{messages("hello"), nil} {
		got, err := collect(dir)
		if err == nil {
			err = sameMessages(got, want)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

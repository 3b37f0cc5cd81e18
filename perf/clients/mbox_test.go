package main

import (
	"bytes"
	"testing"
)

func TestAMailboxInOneFileIsTakenApart(t *testing.T) {
	const file = "From - Sun Nov 22 10:58:52 2026\nSubject: a\n\n>From here\n>>From there\n> From nowhere\n\n\r\n" +
		"From - Sun Nov 22 10:58:53 2026\nSubject: b\n\n\n\n"
	want := []string{
		"Subject: a\n\nFrom here\n>From there\n> From nowhere\n\n",
		"Subject: b\n\n\n",
	}
	got := readMbox([]byte(file))
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], []byte(want[i])) {
			t.Errorf("message %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestAnEmptyFileHoldsNoMessage(t *testing.T) {
	if got := readMbox(nil); len(got) != 0 {
		t.Errorf("%d messages", len(got))
	}
}

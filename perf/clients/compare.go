package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// sameMessages reports how two sets of messages differ. Their order does not
// matter: a client may store them as it likes.
func sameMessages(got, want [][]byte) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d messages, want %d", len(got), len(want))
	}
	got, want = bySize(got), bySize(want)
	for i := range want {
		if err := difference(got[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

// bySize puts alike messages at like places.
func bySize(messages [][]byte) [][]byte {
	return slices.SortedFunc(slices.Values(messages), func(a, b []byte) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
	})
}

// difference says where got stops being want.
func difference(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, at-40):min(len(b), at+40)] }
	return fmt.Errorf("octet %d of %d differs: %q, want (of %d) %q", at, len(got), around(got), len(want), around(want))
}

// toCRLF undoes what programs do that store mail with the line ends of Unix. The
// server's mail has no CR and no LF outside of a CRLF, so nothing is hidden: a
// CR that was stored stays a difference.
func toCRLF(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }

// cutField takes out one header field with the given start, which the client is
// known to add, where the client puts it: right behind the given number of
// fields. It leaves the message alone if there is something else.
func cutField(message []byte, behind int, start string) []byte {
	at := 0
	for range behind {
		at += fieldLength(message[at:])
	}
	if !bytes.HasPrefix(message[at:], []byte(start)) {
		return message
	}
	return slices.Concat(message[:at], message[at+fieldLength(message[at:]):])
}

// fieldLength is the length of the header field that begins b, with its
// continuation lines (RFC 5322, section 2.2.3).
func fieldLength(b []byte) int {
	for n := 0; ; {
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			return len(b)
		}
		n += end + 1
		if n == len(b) || b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

// collect takes the files out of a directory.
func collect(dir string) ([][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		raw, err := os.ReadFile(name)
		if err = errors.Join(err, os.Remove(name)); err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return all, nil
}

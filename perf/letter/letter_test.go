package letter

import (
	"bytes"
	"errors"
	"net/mail"
	"strings"
	"testing"
)

// unstuff undoes RFC 5321, section 4.5.2 the slow and obvious way.
func unstuff(t *testing.T, wire []byte) []byte {
	t.Helper()
	body, ended := strings.CutSuffix(string(wire), "\r\n.\r\n")
	if !ended {
		t.Fatalf("the message does not end with a dot: %q", wire[max(0, len(wire)-20):])
	}
	lines := strings.Split(body, "\r\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, ".")
		if strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "..") {
			t.Fatalf("line %q is not stuffed", line)
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

func check(message []byte, piece int) (ID, error) {
	var c Checker
	c.Reset()
	for len(message) > 0 {
		n := min(piece, len(message))
		_, _ = c.Write(message[:n])
		message = message[n:]
	}
	id, _, err := c.Check()
	return id, err
}

func TestALetterProvesItselfHoweverItIsCut(t *testing.T) {
	var w Writer
	for _, octets := range []int{1, 3, 77, 78, 79, 80, 81, 4096, 300_000} {
		id := ID{Run: 7, Seq: uint64(octets)}
		message := unstuff(t, w.Compose(id, "a@example.test", "b@example.test", octets).Wire)
		trace := []byte("Return-Path: <a@example.test>\r\nReceived: from there\r\n by here\r\n")
		for _, piece := range []int{1, 2, 63, 4096, 1 << 20} {
			got, err := check(append(trace[:len(trace):len(trace)], message...), piece)
			if err != nil || got != id {
				t.Fatalf("%d octets in pieces of %d: %v, %v", octets, piece, got, err)
			}
		}
	}
}

func TestTheBodyHasTheAskedNumberOfOctets(t *testing.T) {
	var w Writer
	for octets := 3; octets < 400; octets++ {
		message := unstuff(t, w.Compose(ID{Seq: 1}, "a@b", "c@d", octets).Wire)
		_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
		if len(body) != octets {
			t.Errorf("asked for %d octets, the body has %d", octets, len(body))
		}
	}
}

func TestAChangedLetterIsDamaged(t *testing.T) {
	var w Writer
	message := unstuff(t, w.Compose(ID{Run: 1, Seq: 2}, "a@b", "c@d", 2000).Wire)
	change := func(f func(m []byte) []byte) []byte { return f(bytes.Clone(message)) }
	for name, m := range map[string][]byte{
		"one bit of the body":  change(func(m []byte) []byte { m[len(m)-5] ^= 1; return m }),
		"one bit of the field": change(func(m []byte) []byte { m[60] ^= 1; return m }),
		"one bit of a header":  change(func(m []byte) []byte { m[fieldSize+3] ^= 1; return m }),
		"the last line gone":   change(func(m []byte) []byte { return m[:len(m)-78] }),
		"a line end added":     change(func(m []byte) []byte { return append(m, "\r\n"...) }),
		"no field":             change(func(m []byte) []byte { return m[fieldSize:] }),
		"another message":      bytes.Repeat([]byte("Subject: x\r\n"), 20_000),
		"nothing":              nil,
	} {
		for _, piece := range []int{100, 1 << 20} {
			if _, err := check(m, piece); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, in pieces of %d: %v", name, piece, err)
			}
		}
	}
}

func TestAShortLetterIsToldFromAChangedOne(t *testing.T) {
	var w Writer
	message := unstuff(t, w.Compose(ID{Run: 1, Seq: 2}, "a@b", "c@d", 2000).Wire)
	_, err := check(message[:len(message)-1], 100)
	if err == nil || !strings.Contains(err.Error(), "octets of") {
		t.Errorf("a letter without its last octet: %v", err)
	}
}

func TestTheHeaderIsOneThatMailReadersUnderstand(t *testing.T) {
	var w Writer
	message := unstuff(t, w.Compose(ID{Run: 1, Seq: 2}, "a@example.test", "b@example.test", 200).Wire)
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	for _, field := range []string{"From", "To"} {
		if _, err := m.Header.AddressList(field); err != nil {
			t.Error(field, err)
		}
	}
}

func TestALetterIsTheSameEachTime(t *testing.T) {
	var w, x Writer
	first := bytes.Clone(w.Compose(ID{1, 2}, "a@b", "c@d", 5000).Wire)
	w.Compose(ID{1, 3}, "a@b", "c@d", 9000)
	if !bytes.Equal(first, x.Compose(ID{1, 2}, "a@b", "c@d", 5000).Wire) {
		t.Error("two writers compose different letters")
	}
}

func BenchmarkCompose4KiB(b *testing.B) {
	var w Writer
	b.SetBytes(4096)
	for i := range b.N {
		w.Compose(ID{1, uint64(i)}, "a@example.test", "b@example.test", 4096)
	}
}

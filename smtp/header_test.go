package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

func readHeader(message string, size int) (string, error) {
	b, err := io.ReadAll(&header{src: bufio.NewReaderSize(strings.NewReader(message), size)})
	return string(b), err
}

func TestReturnPathFieldsAreTakenOut(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, in, want string }{
		{"none", "A: 1\r\n\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n"},
		{"one", "Return-Path: <a@example.net>\r\nA: 1\r\n\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n"},
		{"two, in any case", "RETURN-PATH:<>\r\nA: 1\r\nreturn-path: <>\r\n\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n"},
		{"folded", "Return-Path:\r\n <a@example.net>\r\n\t(x)\r\nA: 1\r\n 2\r\n\r\n", "A: 1\r\n 2\r\n\r\n"},
		{"longer than any buffer", "Return-Path: <" + long + ">\r\nA: " + long + "\r\n\r\n", "A: " + long + "\r\n\r\n"},
		{"the last field", "A: 1\r\nReturn-Path: <>\r\n\r\nReturn-Path: <>\r\n", "A: 1\r\n\r\nReturn-Path: <>\r\n"},
		{"a name that only begins so", "Return-Path-X: 1\r\nReturn-Pat: 2\r\n\r\n", "Return-Path-X: 1\r\nReturn-Pat: 2\r\n\r\n"},
		{"in the body", "\r\nReturn-Path: <>\r\n", "\r\nReturn-Path: <>\r\n"},
		{"a message that is one field", "Return-Path: <>\r\n", ""},
		{"an empty message", "", ""},
		{"no header at all", long + "\x00\xff\r\n", long + "\x00\xff\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{16, 100, 4096} {
				if got, err := readHeader(c.in, size); got != c.want || err != nil {
					t.Errorf("with a buffer of %d: got %.100q, %v; want %.100q", size, got, err, c.want)
				}
			}
		})
	}
}

// RFC 5321, section 6.3.
func TestAHundredHopsAreEnough(t *testing.T) {
	const hop = "Received: from a by b;\r\n Sun, 22 Nov 2026 10:00:00 +0000\r\n"
	message := strings.Repeat(hop, 100) + "\r\n" + hop
	if got, err := readHeader(message, 4096); got != message || err != nil {
		t.Errorf("100 hops: %d octets, %v; want %d octets", len(got), err, len(message))
	}
	if _, err := readHeader("received:x\r\n"+message, 4096); !errors.Is(err, errHops) {
		t.Errorf("101 hops: %v", err)
	}
}

func TestAHeaderWithoutEndIsLookedAtToALimit(t *testing.T) {
	const line = "A: 1\r\n"
	message := strings.Repeat(line, maxHeader/len(line)+1) + strings.Repeat("Received: x\r\n", 200) + "Return-Path: <>\r\n"
	if got, err := readHeader(message, 4096); got != message || err != nil {
		t.Errorf("%d octets, %v; want %d octets", len(got), err, len(message))
	}
}

func TestAHeaderFailsAsItsSourceDoes(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("A: 1\r\nB"), &failing{io.ErrUnexpectedEOF})
	got, err := io.ReadAll(&header{src: bufio.NewReader(broken)})
	if string(got) != "A: 1\r\nB" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", got, err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// A whole field, in a header that ends in CRLF.
var returnPath = regexp.MustCompile(`(?im)^return-path:[^\n]*\n([ \t][^\n]*\n)*`)

func FuzzHeader(f *testing.F) {
	f.Add("Return-Path: <>\r\nA: 1\r\n\r\nbody\r\n", 16)
	f.Add("A: 1\r\n 2\r\nreturn-path:\r\n 3\r\n", 40)
	f.Fuzz(func(t *testing.T, message string, size int) {
		if strings.ContainsAny(message, "\u017f\u212a") {
			return // the expression folds these letters to s and k
		}
		message = strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "").Replace(message), "\n", "\r\n")
		if message != "" && !strings.HasSuffix(message, "\n") {
			message += "\r\n"
		}
		head, body := message, ""
		if strings.HasPrefix(message, "\r\n") {
			head, body = "", message
		} else if i := strings.Index(message, "\r\n\r\n"); i >= 0 {
			head, body = message[:i+2], message[i+2:]
		}
		want := returnPath.ReplaceAllString(head, "") + body
		got, err := readHeader(message, 16+int(uint(size)%100))
		if errors.Is(err, errHops) && bytes.Count([]byte(strings.ToLower(head)), []byte("received:")) > maxHops {
			return
		}
		if got != want || err != nil {
			t.Fatalf("%q: got %q, %v; want %q", message, got, err, want)
		}
	})
}

package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readData reads content from a wire that gives pieces, and returns it with what
// is left on the wire.
func readData(t testing.TB, pieces ...string) (content, rest string, err error) {
	t.Helper()
	readers := make([]io.Reader, len(pieces))
	for i, p := range pieces {
		readers[i] = strings.NewReader(p)
	}
	src := bufio.NewReader(io.MultiReader(readers...))
	b, err := io.ReadAll(&dataReader{src: src})
	left, rerr := io.ReadAll(src)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return string(b), string(left), err
}

// RFC 5321, section 4.1.1.4: only CRLF.CRLF ends the data. Everything else that
// looks like it is where servers have disagreed, and mail was smuggled.
func TestOnlyCRLFDotCRLFEndsData(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"an empty message", "", ""},
		{"one line", "a\r\n", "a\r\n"},
		{"LF . LF", "a\n.\nb\r\n", "a\n.\nb\r\n"},
		{"LF . CRLF", "a\n.\r\nb\r\n", "a\n.\r\nb\r\n"},
		{"LF . CR", "a\n.\rb\r\n", "a\n.\rb\r\n"},
		{"CR . CR", "a\r.\rb\r\n", "a\r.\rb\r\n"},
		{"CR . LF", "a\r.\nb\r\n", "a\r.\nb\r\n"},
		{"CR . CRLF", "a\r.\r\nb\r\n", "a\r.\r\nb\r\n"},
		{"CRLF . LF", "a\r\n.\nb\r\n", "a\r\n\nb\r\n"},
		{"CRLF . CR", "a\r\n.\rb\r\n", "a\r\n\rb\r\n"},
		{"CRLF . CR CR LF", "a\r\n.\r\r\nb\r\n", "a\r\n\r\r\nb\r\n"},
		{"CRLF . CR NUL LF", "a\r\n.\r\x00\nb\r\n", "a\r\n\r\x00\nb\r\n"},
		{"CRLF NUL . CRLF", "a\r\n\x00.\r\nb\r\n", "a\r\n\x00.\r\nb\r\n"},
		{"CRLF . . CRLF", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"},
		{"CRLF . SP CRLF", "a\r\n. \r\nb\r\n", "a\r\n \r\nb\r\n"},
		{"LF CR . CR LF", "a\n\r.\r\nb\r\n", "a\n\r.\r\nb\r\n"},
		{"CR CR LF before the end", "a\r\r\n", "a\r\r\n"},
		{"CR LF LF before the end", "a\r\n\n\r\n", "a\r\n\n\r\n"},
		{"LF CR LF before the end", "a\n\r\n", "a\n\r\n"},
		{"a stuffed dot first", "..a\r\n", ".a\r\n"},
		{"a dot and CR first", ".\ra\r\n", "\ra\r\n"},
		{"dots inside lines", "a.\r\nb.b\r\n", "a.\r\nb.b\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rest = "QUIT\r\n.\r\n"
			in := c.in + ".\r\n" + rest
			for split := range len(in) {
				got, left, err := readData(t, in[:split], in[split:])
				if err != nil || got != c.want || left != rest {
					t.Fatalf("split at %d: %q, %v, leaving %q; want %q, leaving %q", split, got, err, left, c.want, rest)
				}
			}
		})
	}
}

func TestDataThatBreaksOffIsAnError(t *testing.T) {
	for _, in := range []string{"", "a", "a\r\n", "a\r\n.", "a\r\n.\r", ".", ".\r", "a\r\n.\n", "a\n.\r\n"} {
		if got, _, err := readData(t, in); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

func TestDataReaderFillsSmallBuffers(t *testing.T) {
	const in = "..one\r\n.\r\r\n\r\n.two\r\n.\r\nQUIT\r\n"
	const want = ".one\r\n\r\r\n\r\ntwo\r\n"
	r := iotest.OneByteReader(&dataReader{src: bufio.NewReader(strings.NewReader(in))})
	if got, err := io.ReadAll(r); string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// expectData says in terms of whole strings what dataReader does octet by octet.
func expectData(in []byte) (content, rest []byte, ok bool) {
	all := append([]byte("\r\n"), in...) // DATA's own line end counts
	end := bytes.Index(all, []byte("\r\n.\r\n"))
	if end < 0 {
		return nil, nil, false
	}
	content = bytes.ReplaceAll(all[:end+2], []byte("\r\n."), []byte("\r\n"))
	return content[2:], all[end+5:], true
}

func FuzzData(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nQUIT\r\n"), 3)
	f.Add([]byte("..\r\r\n.\r\r\n.\r\n"), 1)
	f.Add([]byte(".\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		want, rest, ok := expectData(in)
		src := bufio.NewReaderSize(bytes.NewReader(in), 16)
		d := &dataReader{src: src}
		var got []byte
		p := make([]byte, 1+uint(size)%64)
		var err error
		for err == nil {
			var n int
			n, err = d.Read(p)
			got = append(got, p[:n]...)
		}
		if !ok {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%q has no end, got %q, %v", in, got, err)
			}
			return
		}
		left, _ := io.ReadAll(src) // from memory
		if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) || !bytes.Equal(left, rest) {
			t.Fatalf("%q: got %q, %v, leaving %q; want %q, leaving %q", in, got, err, left, want, rest)
		}
	})
}

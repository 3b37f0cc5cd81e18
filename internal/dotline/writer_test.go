package dotline_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"strings"
	"testing"

	"restante/internal/dotline"
)

// stuffed sends content in pieces that end at the splits.
func stuffed(t testing.TB, content string, splits ...int) string {
	t.Helper()
	var single bytes.Buffer
	var many gathered
	for _, dst := range []io.Writer{&single, &many} {
		w := dotline.NewWriter(dst)
		for _, piece := range pieces(content, splits) {
			if n, err := io.WriteString(w, piece); n != len(piece) || err != nil {
				t.Fatalf("Write = %d, %v; want %d", n, err, len(piece))
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if single.String() != many.String() {
		t.Fatalf("in one piece each %q, gathered %q", single.String(), many.String())
	}
	return single.String()
}

// gathered takes pieces and forgets where they were.
type gathered struct {
	bytes.Buffer
	writes int
}

func (g *gathered) WritePieces(pieces [][]byte) error {
	g.writes++
	for i, p := range pieces {
		g.Write(p)
		pieces[i] = nil
	}
	return nil
}

func TestPiecesAreGathered(t *testing.T) {
	line := strings.Repeat("x", 70) + "\r\n"
	for _, c := range []struct {
		name, content string
		writes        int
	}{
		{"few dots", strings.Repeat("."+strings.Repeat(line, 100), 9), 1},
		{"more dots than are gathered", strings.Repeat(".\r\n", 310), 11},
		{"more octets than are gathered", strings.Repeat(line, 2<<10), 3},
	} {
		var out gathered
		if n, err := io.WriteString(dotline.NewWriter(&out), c.content); n != len(c.content) || err != nil {
			t.Fatalf("%s: %d octets, %v", c.name, n, err)
		}
		if want := strings.TrimPrefix(strings.ReplaceAll("\n"+c.content, "\n.", "\n.."), "\n"); out.String() != want {
			t.Errorf("%s are not what was sent", c.name)
		}
		if out.writes != c.writes {
			t.Errorf("%s take %d writes, want %d", c.name, out.writes, c.writes)
		}
	}
}

func TestAResetWriterBeginsALine(t *testing.T) {
	var first, second bytes.Buffer
	w := dotline.NewWriter(&first)
	_, _ = io.WriteString(w, "open")
	w.Reset(&second)
	if _, err := io.WriteString(w, ".\r\n"); err != nil || second.String() != "..\r\n" {
		t.Errorf("%q, %v", second.String(), err)
	}
}

func pieces(s string, splits []int) []string {
	var out []string
	for _, at := range splits {
		at = min(max(at, 0), len(s))
		out, s = append(out, s[:at]), s[at:]
	}
	return append(out, s)
}

func TestDotsAreStuffed(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no content is one dot", "", ".\r\n"},
		{"a line without a dot passes", "a\r\n", "a\r\n.\r\n"},
		{"a dot that begins a line gets another", ".\r\n", "..\r\n.\r\n"},
		{"so does one on a later line", "a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"},
		{"dots inside a line stay", "a.b..\r\n", "a.b..\r\n.\r\n"},
		{"lines of one dot in a row", ".\r\n.\r\n..\r\n", "..\r\n..\r\n...\r\n.\r\n"},
		{"an open last line is ended", "a", "a\r\n.\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := stuffed(t, c.in); got != c.want {
				t.Errorf("%q is sent as %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestAFailedWriteIsReported(t *testing.T) {
	full := errors.New("connection reset")
	for room := range 3 {
		w := dotline.NewWriter(&limited{room: room, err: full})
		if _, err := io.WriteString(w, ".a\r\n.b\r\n"); !errors.Is(err, full) {
			t.Errorf("with room for %d writes: %v, want %v", room, err, full)
		}
	}
}

// limited takes a number of writes and then fails.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if l.room == 0 {
		return 0, l.err
	}
	l.room--
	return len(p), nil
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a\r\n.b\r\n..\r\n"), 4, 1)
	f.Add([]byte(".\n.\n"), 1, 1)
	f.Add([]byte(strings.Repeat(".\r\n", 100)), 90, 91)
	f.Add([]byte(strings.Repeat("x", 4095)+"\r\n.\r\n"+strings.Repeat("y.", 2046)+"\r\n.a\r\n"), 4097, 8192)
	f.Fuzz(func(t *testing.T, in []byte, first, second int) {
		content := wanted(string(in))
		whole := stuffed(t, content)
		if parts := stuffed(t, content, first, second); parts != whole {
			t.Fatalf("split at %d and %d it is sent as %q, whole as %q", first, second, parts, whole)
		}
		read, err := textproto.NewReader(bufio.NewReader(strings.NewReader(whole))).ReadDotBytes()
		if err != nil {
			t.Fatal(err)
		}
		// The standard library's reader turns CRLF into LF.
		if want := strings.ReplaceAll(content, "\r\n", "\n"); string(read) != want {
			t.Fatalf("%q is read back as %q", want, read)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	line := strings.Repeat("x", 70) + "\r\n"
	for _, c := range []struct{ name, content string }{
		{"no dots", strings.Repeat(line, 1<<20/len(line))},
		{"dots inside lines", strings.Repeat("a."+line, 1<<20/len(line))},
		{"a dot in each tenth line", strings.Repeat("."+strings.Repeat(line, 10), 1<<20/len(line)/10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(c.content)
			out := bufio.NewWriterSize(io.Discard, 8<<10)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				w := dotline.NewWriter(out)
				for rest := in; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					if _, err := w.Write(rest[:n]); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package dotline_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"restante/internal/dotline"
)

// wanted settles line ends as slowly and plainly as can be.
func wanted(in string) string {
	var out strings.Builder
	for i := 0; i < len(in); {
		j := i
		for j < len(in) && in[j] == '\r' {
			j++
		}
		switch {
		case j < len(in) && in[j] == '\n':
			out.WriteString("\r\n")
			i = j + 1
		case j > i:
			out.WriteString(strings.Repeat("\r\n", j-i))
			i = j
		default:
			out.WriteByte(in[i])
			i++
		}
	}
	if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		out.WriteString("\r\n")
	}
	return out.String()
}

func settle(t testing.TB, r io.Reader) string {
	t.Helper()
	settled := dotline.NewReader(r)
	out, err := io.ReadAll(settled)
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	if settled.Octets() != int64(len(out)) {
		t.Fatalf("Octets() = %d, and %d octets were given out", settled.Octets(), len(out))
	}
	return string(out)
}

var lineEnds = []struct{ name, in, want string }{
	{"empty input stays empty", "", ""},
	{"CRLF passes", "a\r\nb\r\n", "a\r\nb\r\n"},
	{"a bare LF becomes CRLF", "a\nb\n", "a\r\nb\r\n"},
	{"a bare CR becomes CRLF", "a\rb\r\n", "a\r\nb\r\n"},
	{"CRs before an LF collapse", "a\r\r\r\nb\r\n", "a\r\nb\r\n"},
	{"CRs before text are a line end each", "a\r\rb\r\n", "a\r\n\r\nb\r\n"},
	{"LF CR is two line ends", "a\n\rb", "a\r\n\r\nb\r\n"},
	{"a last line without end gets one", "a\r\nb", "a\r\nb\r\n"},
	{"a last CR is a line end", "a\r", "a\r\n"},
	{"two last CRs are two line ends", "a\r\r", "a\r\n\r\n"},
	{"an LF alone is an empty line", "\n", "\r\n"},
	{"a CR alone is an empty line", "\r", "\r\n"},
	{"a good line before a bad one and after", "a\r\nb\nc\r\n", "a\r\nb\r\nc\r\n"},
	{"a line of 200,000 octets stays one line", strings.Repeat("x", 200_000) + "\n", strings.Repeat("x", 200_000) + "\r\n"},
	{"a run of 100,000 CRs is one line end before LF", "a" + strings.Repeat("\r", 100_000) + "\n", "a\r\n"},
	{"NUL and 8-bit octets pass", "\x00\xff\n", "\x00\xff\r\n"},
}

func TestLineEndsAreSettled(t *testing.T) {
	for _, c := range lineEnds {
		t.Run(c.name, func(t *testing.T) {
			if got := settle(t, strings.NewReader(c.in)); got != c.want {
				t.Errorf("%.80q becomes %.80q, want %.80q", c.in, got, c.want)
			}
			if got := settle(t, iotest.OneByteReader(strings.NewReader(c.in))); got != c.want {
				t.Errorf("%.80q in single octets becomes %.80q, want %.80q", c.in, got, c.want)
			}
			if got := settle(t, iotest.DataErrReader(strings.NewReader(c.in))); got != c.want {
				t.Errorf("%.80q with an early EOF becomes %.80q, want %.80q", c.in, got, c.want)
			}
		})
	}
}

func TestReadsOfOneOctetGiveTheSame(t *testing.T) {
	for _, c := range lineEnds {
		var got bytes.Buffer
		r := dotline.NewReader(strings.NewReader(c.in))
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, r, make([]byte, 1)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got.String() != c.want {
			t.Errorf("%s: %.80q, want %.80q", c.name, got.String(), c.want)
		}
	}
}

func TestAFailureOfTheSourceIsPassedOnAndEndsNoLine(t *testing.T) {
	broken := errors.New("connection reset")
	src := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken))
	got, err := io.ReadAll(dotline.NewReader(src))
	if !errors.Is(err, broken) || string(got) != "a\r\nb" {
		t.Errorf("got %q, %v; want the octets before the failure, and the failure", got, err)
	}
}

func TestASourceThatNeverGivesAnythingIsGivenUp(t *testing.T) {
	_, err := io.ReadAll(dotline.NewReader(idle{}))
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func FuzzSettle(f *testing.F) {
	for _, c := range lineEnds {
		if len(c.in) < 100 {
			f.Add([]byte(c.in), 1, 2)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, split, size int) {
		want := wanted(string(in))
		if got := settle(t, bytes.NewReader(in)); got != want {
			t.Fatalf("%q becomes %q, want %q", in, got, want)
		}
		if got := settle(t, strings.NewReader(want)); got != want {
			t.Fatalf("settling twice: %q becomes %q", want, got)
		}
		split = min(max(split, 0), len(in))
		parts := dotline.NewReader(io.MultiReader(bytes.NewReader(in[:split]), bytes.NewReader(in[split:])))
		var got bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, parts, make([]byte, min(max(size, 1), 1000))); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Fatalf("%q split at %d becomes %q, want %q", in, split, got.String(), want)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	line := strings.Repeat("x", 70)
	for _, c := range []struct{ name, end string }{{"CRLF", "\r\n"}, {"LF", "\n"}, {"CR", "\r"}} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(strings.Repeat(line+c.end, 1<<20/len(line)))
			buf := make([]byte, 32<<10)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				src := bytes.NewReader(in)
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, dotline.NewReader(src), buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

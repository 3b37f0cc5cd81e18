package dotline_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"restante/internal/dotline"
)

func TestHeadIsTheHeaderAndTheFirstLines(t *testing.T) {
	const message = "A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\n"
	for _, c := range []struct {
		name  string
		in    string
		lines int
		want  string
	}{
		{"no lines of the body", message, 0, "A: 1\r\nB: 2\r\n\r\n"},
		{"one line", message, 1, "A: 1\r\nB: 2\r\n\r\none\r\n"},
		{"an empty line of the body counts", message, 2, "A: 1\r\nB: 2\r\n\r\none\r\n\r\n"},
		{"as many as there are", message, 3, message},
		{"more than there are", message, 1000, message},
		{"a message without a body", "A: 1\r\n", 3, "A: 1\r\n"},
		{"a message without a header", "\r\none\r\ntwo\r\n", 1, "\r\none\r\n"},
		{"an empty message", "", 1, ""},
		{"a CR in a header line does not end the header", "A: 1\r\r\nB\r\n\r\none\r\n", 0, "A: 1\r\r\nB\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				got, err := io.ReadAll(dotline.Head(src, c.lines))
				if err != nil || string(got) != c.want {
					t.Errorf("got %q, %v; want %q", got, err, c.want)
				}
			}
		})
	}
}

func TestHeadDoesNotReadOn(t *testing.T) {
	src := io.MultiReader(strings.NewReader("A: 1\r\n\r\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := io.ReadAll(dotline.Head(src, 0)); err != nil {
		t.Errorf("read beyond what was asked for: %v", err)
	}
}

func TestHeadPassesAFailureOn(t *testing.T) {
	src := io.MultiReader(strings.NewReader("A: 1\r\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := io.ReadAll(dotline.Head(src, 0)); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

package textman

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/mail"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"restante/mailbox"
)

var fred = mailbox.Address{Local: "fred", Domain: "text.example"}

func FuzzATextComesBackOctetForOctet(f *testing.F) {
	for _, text := range []string{
		"hello", " ", "\n", "\r", "\r\n", "\n\r", "a\nb\n", "a\r\nb\r\n", "a\rb", "a\r\n\nb", "ends in blanks \t ", "blanks \t\nbefore a break",
		".", "..\n.\n", "\r\n.\r\n", "=", "=0A", "=\r\n", "\x00\x01\x7f", "Grüße, 😀", "\u2028", "Text-ID: 7; line-breaks=lf\r\n\r\n",
		strings.Repeat("long ", 1000), strings.Repeat("ü", 998), strings.Repeat("\n", 1000), strings.Repeat("\r\n \r\n", 100), strings.Repeat("\xf0\x9f\x98\x80", MaxText/4),
	} {
		f.Add(text, int64(4711))
	}
	f.Fuzz(func(t *testing.T, text string, id int64) {
		if !utf8.ValidString(text) || len(text) > MaxText || id <= 0 {
			return
		}
		content := compose(fred, Text{id, text}, someTime, someTime.Add(time.Minute))
		if len(content) > maxContent {
			t.Errorf("%d octets became %d", len(text), len(content))
		}
		got, err := read(iotest.OneByteReader(bytes.NewReader(content)))
		if err != nil || got != (Text{id, text}) {
			t.Errorf("%q came back as %d, %q, %v", text, got.ID, got.Text, err)
		}
		if bytes.Count(content, []byte("\n")) != bytes.Count(content, []byte("\r\n")) || !bytes.HasSuffix(content, []byte("\r\n")) {
			t.Errorf("a line of %q does not end in CRLF", content)
		}
		for line := range bytes.SplitSeq(content, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\x00") {
				t.Errorf("line %q", line)
			}
		}
		message, err := mail.ReadMessage(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%q is not a message: %v", content, err)
		}
		if len(message.Header) != 10 {
			t.Errorf("the header has %d fields: %v", len(message.Header), message.Header)
		}
	})
}

func TestATextIsAMessageToRead(t *testing.T) {
	content := compose(fred, Text{4711, "Grüße aus der Küche\nund dem Garten"}, someTime, someTime.Add(time.Minute))
	message, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil || subject != "Grüße aus der Küche" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if date, err := message.Header.Date(); err != nil || !date.Equal(someTime.Truncate(time.Second)) {
		t.Errorf("date %v, %v", date, err)
	}
	for field, want := range map[string]string{
		"From": "<fred@text.example>", "To": "<fred@text.example>", "Message-ID": "<4711@text.example>",
		"Expires": "Sun, 22 Nov 2026 10:01:00 +0000", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := message.Header.Get(field); got != want {
			t.Errorf("%s: %s; want %s", field, got, want)
		}
	}
}

func TestASubjectIsShort(t *testing.T) {
	for text, want := range map[string]string{
		"short": "short", " \r\nsecond line": "", strings.Repeat("x", 60): strings.Repeat("x", 60),
		strings.Repeat("ü", 61): strings.Repeat("ü", 60) + "…",
	} {
		got, err := new(mime.WordDecoder).DecodeHeader(subject(text))
		if err != nil || got != want {
			t.Errorf("the subject of %q is %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestAReaderThatFailsIsNoText(t *testing.T) {
	broken := errors.New("broken")
	content := compose(fred, Text{1, strings.Repeat("text ", 100)}, someTime, someTime)
	for n := range len(content) {
		r := io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(broken))
		if got, err := read(r); !errors.Is(err, broken) {
			t.Fatalf("after %d octets: %v, %v", n, got, err)
		}
	}
}

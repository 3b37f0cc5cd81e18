package relay

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"restante/mailbox"
)

// completed is a message as it leaves the completion of its header.
func completed(content string) (string, *header, error) {
	h, body, err := readHeader(iotest.OneByteReader(strings.NewReader(content)))
	if err != nil {
		return "", nil, err
	}
	id := mailbox.MessageIDOf("a message", time.Unix(0, 0))
	if err := h.complete(id, "mx.example.org", time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)); err != nil {
		return "", nil, err
	}
	var b strings.Builder
	if _, err := h.WriteTo(&b); err != nil {
		return "", nil, err
	}
	_, err = io.Copy(&b, body)
	return b.String(), h, err
}

// RFC 6409, section 8.
func TestTheHeaderOfWhatIsSubmittedIsCompleted(t *testing.T) {
	const (
		date  = "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
		id    = "Message-ID: <13814000-1dd2-11b2-ID@mx.example.org>\r\n"
		whole = "Date: x\r\nMessage-ID: <y@z>\r\n"
	)
	fill := strings.Repeat("x", 10000)
	for _, c := range []struct{ name, in, want string }{
		{"all there", whole + "\r\nbody\r\n", whole + "\r\nbody\r\n"},
		{"in any case, folded", "DATE:\r\n x\r\nmessage-id : <y>\r\n\r\n", "DATE:\r\n x\r\nmessage-id : <y>\r\n\r\n"},
		{"no date", "Message-ID: <y>\r\n\r\n", "Message-ID: <y>\r\n" + date + "\r\n"},
		{"no id", "Date: x\r\n\r\n", "Date: x\r\n" + id + "\r\n"},
		{"an empty id", "Date: x\r\nMessage-ID: <>\r\nMessage-ID:\r\n\r\n", "Date: x\r\n" + id + "\r\n"},
		{"an empty date", "Date:\r\n \r\nMessage-ID: <y>\r\n\r\n", "Message-ID: <y>\r\n" + date + "\r\n"},
		{"blind copies", "Bcc: a@b\r\n" + whole + "bcc:\r\n a@b,\r\n\tc@d\r\nBCC : e\r\nBcc-X: f\r\n\r\nBcc: in the body\r\n", whole + "Bcc-X: f\r\n\r\nBcc: in the body\r\n"},
		{"blind copies of what is sent again", whole + "Resent-To: a@b\r\nResent-Bcc: c@d\r\n\r\n", whole + "Resent-To: a@b\r\n\r\n"},
		{"fields of what is sent again do not count", "Resent-Date: x\r\nResent-Message-ID: <y>\r\n\r\n", "Resent-Date: x\r\nResent-Message-ID: <y>\r\n" + date + id + "\r\n"},
		{"nothing", "", date + id + "\r\n"},
		{"no header", "\r\nbody\r\n", date + id + "\r\nbody\r\n"},
		{"no empty line before the body", whole + "body\r\nDate: y\r\n", whole + "\r\nbody\r\nDate: y\r\n"},
		{"a body without a header", "body\r\n", date + id + "\r\nbody\r\n"},
		{"a body that begins like the rest of a field", " body\r\n", date + id + "\r\n body\r\n"},
		{"a line that is longer than a buffer", whole + "X: " + fill + "\r\n\t" + fill + "\r\n\r\n" + fill, whole + "X: " + fill + "\r\n\t" + fill + "\r\n\r\n" + fill},
		{"a body that is longer, without a header", fill + fill + ": x\r\n", date + id + "\r\n" + fill + fill + ": x\r\n"},
		{"a header that breaks off", "Date: x\r\nMessage-ID: <y>", "Date: x\r\nMessage-ID: <y>\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.ReplaceAll(c.want, "13814000-1dd2-11b2-ID", mailbox.MessageIDOf("a message", time.Unix(0, 0)).String())
			if got, _, err := completed(c.in); got != want || err != nil {
				t.Errorf("got  %.200q, %v\nwant %.200q", got, err, want)
			}
			if again, _, err := completed(want); again != want || err != nil {
				t.Errorf("completed again it is %.200q, %v", again, err)
			}
		})
	}
}

func TestAHeaderIsBounded(t *testing.T) {
	field := "X: " + strings.Repeat("x", 1019) + "\r\n" // 1024 octets
	added := 150
	for octets, want := range map[int]error{MaxHeader - 1024: nil, MaxHeader: ErrHeader, MaxHeader + 1024: ErrHeader} {
		content := strings.Repeat(field, octets/len(field)) + "\r\n" + strings.Repeat(field, 100)
		if got, _, err := completed(content); !errors.Is(err, want) || err == nil && len(got) > len(content)+added {
			t.Errorf("a header of %d octets: %v; want %v", octets, err, want)
		}
	}
	endless := io.MultiReader(strings.NewReader("X: "), iotest.OneByteReader(neverEnds{}))
	if _, _, err := readHeader(endless); !errors.Is(err, ErrHeader) {
		t.Errorf("a field without an end: %v", err)
	}
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) { p[0] = 'x'; return 1, nil }

func TestAHeaderThatCannotBeReadFails(t *testing.T) {
	for _, content := range []string{"", "X", "X: y", "X: y\r\n", "X: y\r\n "} {
		broken := io.MultiReader(strings.NewReader(content), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, body, err := readHeader(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
			if err != nil {
				t.Errorf("%q: %v", content, err)
				continue
			}
			if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body after %q: %v", content, err)
			}
		}
	}
}

func TestWhatAHeaderSays(t *testing.T) {
	for _, c := range []struct {
		in, id, author string
		signed         bool
	}{
		{"Message-ID: <a@b>\r\nFrom: Fred <fred@Example.ORG>\r\nContent-Type: multipart/signed; x=y\r\n\r\n", "a@b", "example.org", true},
		{"Message-ID:\r\n <a@b> (c)\r\nFrom: a@example.org, b@example.com\r\nContent-Type: Multipart/Encrypted\r\n\r\n", "a@b", "example.org", true},
		{"Message-ID: bare\r\nFrom: nobody\r\nContent-Type: multipart/mixed\r\n\r\n", "bare", "", false},
		{"Message-ID: <a>\r\nFrom: undisclosed:;\r\n\r\n", "a", "", false},
		{"Message-ID: <a>\r\n\r\nFrom: fred@example.org\r\n", "a", "", false},
	} {
		_, h, err := completed(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if h.messageID() != c.id || h.authorDomain() != c.author || h.sealed() != c.signed {
			t.Errorf("%q: %q of %q, %v; want %q of %q, %v", c.in, h.messageID(), h.authorDomain(), h.sealed(), c.id, c.author, c.signed)
		}
	}
}

// Whatever is submitted, what leaves has each of both fields, nobody's blind copies, and
// is left as it is when it is submitted again.
func FuzzHeader(f *testing.F) {
	f.Add("From: a@b\r\nBcc: c\r\n d\r\n\r\nbody\r\n")
	f.Add("Date : x\r\n\tMessage-ID:\r\nmessage-id: <\r\nbody")
	f.Fuzz(func(t *testing.T, content string) {
		content = strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "").Replace(content), "\n", "\r\n")
		got, h, err := completed(content)
		if errors.Is(err, ErrHeader) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		_, hasDate := h.value("date")
		_, hasBcc := h.value("bcc")
		if !hasDate || hasBcc || h.messageID() == "" {
			t.Fatalf("%q became %q", content, got)
		}
		if again, _, err := completed(got); again != got || err != nil {
			t.Fatalf("%q became %q and that %q, %v", content, got, again, err)
		}
	})
}

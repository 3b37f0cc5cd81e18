package textman

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strconv"
	"strings"
	"time"

	"restante/letter"
	"restante/mailbox"
)

// A text that was posted is a message that begins with this field. Mail cannot: the
// first field of mail is one that the server wrote on arrival (RFC 5321, section
// 4.4). So nobody can make up a text under the id of another.
const idField = "Text-ID: "

// How the line breaks of a text became those of the message, which are CRLF.
const (
	breaksLF   = "lf"   // from LF
	breaksCRLF = "crlf" // from CRLF
	breaksNone = "none" // there are none: whatever the text has is encoded
)

// subjectRunes is how much of its first line is the subject of a text.
const subjectRunes = 60

// compose is the message of a text, from which read takes it octet for octet. The
// body is quoted-printable (RFC 2045, section 6.7), and ends in a line break that is
// not part of the text.
func compose(a mailbox.Address, t Text, now, expires time.Time) []byte {
	var b bytes.Buffer
	b.Grow(512 + len(t.Text) + len(t.Text)/8)
	breaks := breaksOf(t.Text)
	fmt.Fprintf(&b, idField+"%d; line-breaks=%s\r\n", t.ID, breaks)
	fmt.Fprintf(&b, "Date: %s\r\n", now.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\n", a, a)
	fmt.Fprintf(&b, "Subject: %s\r\n", subject(t.Text))
	fmt.Fprintf(&b, "Message-ID: <%d@%s>\r\n", t.ID, a.Domain)
	fmt.Fprintf(&b, "Expires: %s\r\n", expires.Format(time.RFC1123Z)) // RFC 4021, section 2.1.54
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	body := quotedprintable.NewWriter(&b)
	body.Binary = breaks == breaksNone
	io.WriteString(body, t.Text) //nolint:errcheck // a Buffer takes everything
	body.Close()                 //nolint:errcheck
	b.WriteString("=\r\n")
	return b.Bytes()
}

func breaksOf(text string) string {
	both := strings.Count(text, "\r\n")
	switch {
	case !strings.Contains(text, "\r"):
		return breaksLF
	case strings.Count(text, "\r") == both && strings.Count(text, "\n") == both:
		return breaksCRLF
	}
	return breaksNone
}

// subject is the first line of a text for those who see it as mail (RFC 2047).
func subject(text string) string {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	n := 0
	for i := range text {
		if n++; n > subjectRunes {
			text = text[:i] + "…"
			break
		}
	}
	return mime.QEncoding.Encode("utf-8", strings.TrimSpace(text))
}

// maxContent is more than compose makes of any text.
const maxContent = 4*MaxText + 4<<10

// mailLimits bound what is read of a message that came as mail.
var mailLimits = letter.Limits{Text: MaxText, HTML: 4 * MaxText, Octets: 4 << 20, Time: 2 * time.Second}

// read is the text of a message, its id zero if it came as mail. The error is that
// of r.
func read(r io.Reader) (Text, error) {
	begin := bufio.NewReader(r)
	if field, err := begin.Peek(len(idField)); string(field) == idField {
		content, err := io.ReadAll(io.LimitReader(begin, maxContent))
		if err != nil {
			return Text{}, err
		}
		if t, ok := parse(content); ok {
			return t, nil
		}
		begin = bufio.NewReader(io.MultiReader(bytes.NewReader(content), begin))
	} else if err != nil && err != io.EOF {
		return Text{}, err
	}
	l, err := letter.Read(begin, mailLimits)
	if err != nil {
		return Text{}, err
	}
	text := strings.TrimRight(strings.ReplaceAll(l.Text, "\r\n", "\n"), "\n")
	if strings.TrimSpace(text) == "" {
		text = l.Subject
	}
	return Text{Text: text}, nil
}

// parse reads what compose wrote.
func parse(content []byte) (t Text, ok bool) {
	head, body, ok := bytes.Cut(content, []byte("\r\n\r\n"))
	first, _, whole := bytes.Cut(head, []byte("\r\n"))
	if !ok || !whole {
		return t, false
	}
	id, breaks, ok := strings.Cut(strings.TrimPrefix(string(first), idField), "; line-breaks=")
	if !ok {
		return t, false
	}
	var err error
	if t.ID, err = strconv.ParseInt(id, 10, 64); err != nil || t.ID <= 0 {
		return t, false
	}
	octets, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	if err != nil {
		return t, false
	}
	if t.Text = string(octets); breaks == breaksLF {
		t.Text = strings.ReplaceAll(t.Text, "\r\n", "\n")
	}
	return t, true
}

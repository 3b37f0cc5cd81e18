package letter

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"
)

// ErrDraft says that a field of the draft has a line break or another control
// character, is too long, or cannot be a field at all.
var ErrDraft = errors.New("letter: cannot be in a header")

// A Draft is what a plain message is composed from.
type Draft struct {
	From, To  string // addresses as in a header, in UTF-8. Text that has none becomes a group's name (RFC 6854)
	Subject   string
	Text      string            // line ends are LF or CRLF
	Date      time.Time         // zero: no Date field
	MessageID string            // without angle brackets; empty: no such field
	Header    map[string]string // further fields, which are written in the order of their names
}

// mostField is how many octets a field of a draft may have.
const mostField = 8192

// Compose is a message of RFC 5322 with CRLF line ends. Its header is
// US-ASCII by RFC 2047, but for the addresses of RFC 6532; the text is UTF-8 in
// the encoding that keeps it as it is. Read gives back what went in, less the
// control characters of the text. The error wraps [ErrDraft].
func Compose(d Draft) ([]byte, error) {
	var h message.Header
	add := func(name, value string) {
		if value != "" {
			h.Add(name, value)
		}
	}
	text := []byte(strings.ReplaceAll(strings.ToValidUTF8(d.Text, "\ufffd"), "\r\n", "\n"))
	text = append(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), "\r\n"...)
	add("Content-Transfer-Encoding", encodingFor(text))
	add("Content-Type", "text/plain; charset=utf-8")
	add("MIME-Version", "1.0")
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(d.Header))) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if err := check(name, d.Header[name]); err != nil {
			return nil, err
		}
		add(name, encodeWords(d.Header[name]))
	}
	for _, f := range []struct{ name, value string }{
		{"Message-ID", d.MessageID}, {"Subject", d.Subject}, {"To", d.To}, {"From", d.From},
	} {
		if err := check(f.name, f.value); err != nil {
			return nil, err
		}
	}
	if d.MessageID != "" {
		if strings.ContainsAny(d.MessageID, "<> ") || !only(d.MessageID, "!#$%&'*+-/=?^_`{|}~.@[]:") {
			return nil, fmt.Errorf("%w: Message-ID: not an identifier", ErrDraft)
		}
		add("Message-ID", "<"+d.MessageID+">")
	}
	if !d.Date.IsZero() {
		add("Date", d.Date.Format(time.RFC1123Z))
	}
	add("Subject", encodeWords(d.Subject))
	add("To", encodeAddresses(d.To))
	add("From", encodeAddresses(d.From))

	var out bytes.Buffer
	w, err := message.CreateWriter(&out, h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDraft, err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("letter: compose text: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("letter: compose text: %w", err)
	}
	if !bytes.HasSuffix(out.Bytes(), []byte("\r\n")) {
		out.WriteString("\r\n") // which base64 leaves out
	}
	return out.Bytes(), nil
}

// check refuses what would end a field, or hide in it.
func check(name, value string) error {
	switch {
	case len(value) > mostField:
		return fmt.Errorf("%w: %s: longer than %d octets", ErrDraft, name, mostField)
	case !utf8.ValidString(value):
		return fmt.Errorf("%w: %s: not UTF-8", ErrDraft, name)
	}
	for _, r := range value {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || turns(r) {
			return fmt.Errorf("%w: %s: control character %U", ErrDraft, name, r)
		}
	}
	return nil
}

// checkName refuses names that are none, and those of the fields that Compose
// writes by itself.
func checkName(name string) error {
	if len(name) > 70 || !only(name, "-_") || name == "" {
		return fmt.Errorf("%w: name of a field", ErrDraft)
	}
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "content-") || lower == "mime-version" || slices.Contains([]string{"from", "to", "subject", "date", "message-id"}, lower) {
		return fmt.Errorf("%w: %s is a field of its own", ErrDraft, name)
	}
	return nil
}

// encodeAddresses writes an address-list anew.
func encodeAddresses(s string) string {
	list, text := parseAddresses(s)
	if len(list) == 0 {
		if text == "" {
			return ""
		}
		return encodePhrase(text) + ":;"
	}
	written := make([]string, len(list))
	for i, a := range list {
		written[i] = encodeAddress(a)
	}
	return strings.Join(written, ", ")
}

func encodeAddress(a *mail.Address) string {
	bare := (&mail.Address{Address: a.Address}).String()
	if !strings.Contains(a.Address, "@") {
		bare = "<" + a.Address + ">"
	}
	if a.Name == "" {
		return bare
	}
	return encodePhrase(a.Name) + " " + bare
}

// encodePhrase is a display-name: a quoted-string, or encoded-words where that
// is not enough.
func encodePhrase(s string) string {
	if !plain(s) {
		return encodeWords(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// encodingFor is the Content-Transfer-Encoding that keeps text as it is.
func encodingFor(text []byte) string {
	run, high, seven := 0, 0, true
	for i, c := range text {
		switch {
		case c == '\n':
			run = 0
			seven = seven && (i < 2 || text[i-2] != ' ' && text[i-2] != '\t')
			continue
		case c == '\r':
			seven = seven && text[i+1] == '\n' // the last octet is LF
			continue
		case c >= 0x80:
			high++
			seven = false
		case c < ' ' && c != '\t' || c == 0x7f:
			seven = false
		}
		if run++; run > 900 {
			seven = false
		}
	}
	switch {
	case seven:
		return "7bit"
	case high > len(text)/4:
		return "base64"
	}
	return "quoted-printable"
}

package letter

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"strings"
	"time"
)

// The fields that are looked at.
type field int

const (
	from field = iota
	sender
	to
	cc
	replyTo
	subject
	messageID
	date
	contentType
	contentTransferEncoding
	contentDisposition
	contentID
	fields
	other field = -1
)

var names = [fields]string{
	from: "From", sender: "Sender", to: "To", cc: "Cc", replyTo: "Reply-To",
	subject: "Subject", messageID: "Message-ID", date: "Date",
	contentType: "Content-Type", contentTransferEncoding: "Content-Transfer-Encoding",
	contentDisposition: "Content-Disposition", contentID: "Content-ID",
}

// fieldOf knows a field by its name.
func fieldOf(name []byte) field {
	for f, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, string(name)) {
			return field(f)
		}
	}
	return other
}

// A header holds the values of one header, unfolded but not decoded. Of a
// field that comes twice the first counts (RFC 5322, section 3.6, allows one).
type header struct {
	value [fields]string
	stray []byte // lines that are no fields, where no empty line ends the header
	cut   bool
}

// read takes a header off l, at most max octets of it. With all, what is beyond
// max is read and left out, up to the empty line; a boundary ends the header
// too. The error is that of the reader, never io.EOF.
func (h *header) read(l *lines, max int, all bool, boundary func([]byte) bool) error {
	var (
		f     = other
		value []byte
		size  int
		found bool // a field, or a line that could be one's
	)
	keep := func() {
		if f != other && h.value[f] == "" {
			h.value[f] = string(value)
		}
		f, value = other, value[:0]
	}
	defer keep()
	for {
		switch err := l.next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if l.start && len(l.chunk) == 0 || l.start && boundary != nil && boundary(l.chunk) {
			l.again = len(l.chunk) > 0
			h.stray = nil
			return nil
		}
		size += len(l.chunk) + len(l.eol)
		if size > max {
			h.cut = true
			if !all {
				return nil
			}
			continue
		}
		switch name, v, ok := cutField(l.chunk); {
		case !l.start || l.chunk[0] == ' ' || l.chunk[0] == '\t':
			if f != other {
				value = append(value, l.chunk...)
			}
			if h.stray != nil {
				h.stray = append(append(h.stray, l.chunk...), l.eol...)
			}
		case ok:
			keep()
			found = true
			if f = fieldOf(name); f != other {
				value = append(value, v...)
			}
		case !found && bytes.HasPrefix(l.chunk, []byte("From ")):
			found = true // of an mbox
		case !found:
			l.again = true // there is no header
			return nil
		default:
			// Most often a line that was folded without white space. Where no
			// header ends, it was the first line of the text.
			keep()
			h.stray = append(append(h.stray, l.chunk...), l.eol...)
		}
	}
}

// cutField splits a line at the colon, if what is before it can be a name
// (RFC 5322, sections 2.2 and 4.5).
func cutField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return nil, nil, false
	}
	name = bytes.TrimRight(line[:colon], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return nil, nil, false
		}
	}
	return name, line[colon+1:], len(name) > 0
}

// letter is what the header alone tells.
func (h *header) letter() *Letter {
	l := &Letter{
		Subject:   decodeText(h.value[subject]),
		MessageID: unbracket(h.value[messageID]),
		Date:      parseDate(h.value[date]),
		Truncated: h.cut,
	}
	l.From, l.Sender = parseAddresses(h.value[from])
	l.To, _ = parseAddresses(h.value[to])
	l.Cc, _ = parseAddresses(h.value[cc])
	l.ReplyTo, _ = parseAddresses(h.value[replyTo])
	if l.Sender == "" {
		_, l.Sender = parseAddresses(h.value[sender])
	}
	return l
}

// unbracket is the identifier of a Message-ID or Content-ID field.
func unbracket(s string) string {
	if open := strings.IndexByte(s, '<'); open >= 0 {
		s = s[open+1:]
		if end := strings.IndexByte(s, '>'); end >= 0 {
			s = s[:end]
		}
	}
	return line(guess([]byte(s)))
}

func parseDate(s string) time.Time {
	s = strings.TrimSpace(s)
	if comment := strings.IndexByte(s, '('); comment > 0 {
		s = strings.TrimSpace(s[:comment])
	}
	if len(s) > 100 {
		return time.Time{}
	}
	// Nearly all dates are of this form; the others take longer.
	_, rest, ok := strings.Cut(s, ", ")
	if !ok {
		rest = s
	}
	t, err := time.Parse("_2 Jan 2006 15:04:05 -0700", rest)
	if err != nil {
		t, err = mail.ParseDate(s)
	}
	// Other years cannot be written as JSON or RFC 3339.
	if y, utc := t.Year(), t.UTC().Year(); err != nil || min(y, utc) < 1 || max(y, utc) > 9999 {
		return time.Time{}
	}
	return t
}

package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"restante/mailbox"
)

// MaxHeader is the most octets that the header of a submitted message has, with what
// is added to it.
const MaxHeader = 64 << 10

// ErrHeader is what submission fails with where the header is larger than MaxHeader.
var ErrHeader = errors.New("relay: header too large")

// A header is the header section of a message (RFC 5322, section 2.2): its fields in
// their order, as they stand there, with their line ends.
type header struct {
	fields [][]byte
	octets int
}

// readHeader takes the header off a message whose lines end in CRLF, and returns the
// body, without the empty line between them. Where that line is missing, the body
// begins with the first line that cannot belong to a field.
func readHeader(content io.Reader) (*header, io.Reader, error) {
	src, h := bufio.NewReader(content), new(header)
	for {
		piece, err := src.ReadSlice('\n')
		switch {
		case len(piece) == 0 && errors.Is(err, io.EOF):
			return h, src, nil
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
			return nil, nil, err
		case string(piece) == "\r\n":
			return h, src, nil
		}
		folded := len(h.fields) > 0 && (piece[0] == ' ' || piece[0] == '\t')
		if !folded && fieldName(piece) == "" {
			return h, io.MultiReader(bytes.NewReader(bytes.Clone(piece)), src), nil
		}
		if !folded {
			h.fields = append(h.fields, nil)
		}
		for last := &h.fields[len(h.fields)-1]; ; {
			*last = append(*last, piece...)
			if h.octets += len(piece); h.octets > MaxHeader {
				return nil, nil, ErrHeader
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
			piece, err = src.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
	}
}

// fieldName is the name of the field that a line begins, in lower case, or empty where
// it begins none (RFC 5322, sections 3.6.8 and 4.5).
func fieldName(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return strings.ToLower(string(name))
}

// value is that of the first field of the name, unfolded, and whether there is one.
func (h *header) value(name string) (string, bool) {
	for _, f := range h.fields {
		if fieldName(f) == name {
			return fieldValue(f), true
		}
	}
	return "", false
}

// fieldValue is what a field says, unfolded.
func fieldValue(field []byte) string {
	_, value, _ := bytes.Cut(field, []byte(":"))
	return strings.TrimSpace(strings.ReplaceAll(string(value), "\r\n", ""))
}

// complete does to the header what a message submission agent does (RFC 6409, section
// 8): it adds Message-ID and Date where they are absent or empty, and takes out who
// receives blind copies (RFC 5322, sections 3.6.3 and 3.6.6).
func (h *header) complete(id mailbox.MessageID, hostname string, now time.Time) error {
	kept := h.fields[:0]
	h.octets = 0
	for _, f := range h.fields {
		switch name := fieldName(f); {
		case name == "bcc", name == "resent-bcc",
			name == "date" && fieldValue(f) == "", name == "message-id" && identifier(fieldValue(f)) == "":
			continue
		}
		kept = append(kept, f)
		h.octets += len(f)
	}
	h.fields = kept
	if _, ok := h.value("date"); !ok {
		h.add("Date: " + now.Format(dateForm))
	}
	if h.messageID() == "" {
		h.add("Message-ID: <" + headerID(id, hostname) + ">")
	}
	if h.octets > MaxHeader {
		return ErrHeader
	}
	return nil
}

func (h *header) add(field string) {
	h.fields = append(h.fields, []byte(field+"\r\n"))
	h.octets += len(field) + 2
}

// messageID is the Message-ID without its angle brackets, or empty.
func (h *header) messageID() string {
	value, _ := h.value("message-id")
	return identifier(value)
}

// identifier is the first msg-id of a value (RFC 5322, section 3.6.4), or what stands there
// in place of one.
func identifier(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		value, _, _ = strings.Cut(rest, ">")
	}
	return oneLine(value)
}

// authorDomain is the domain of the author, or empty where that cannot be told.
func (h *header) authorDomain() string {
	value, _ := h.value("from")
	authors, err := mail.ParseAddressList(value)
	if err != nil || len(authors) == 0 {
		return ""
	}
	a, err := mailbox.ParseAddress(authors[0].Address)
	if err != nil {
		return ""
	}
	return a.Domain
}

// sealed reports whether taking the body apart would break it (RFC 1847).
func (h *header) sealed() bool {
	value, _ := h.value("content-type")
	kind, _, _ := strings.Cut(strings.ToLower(value), ";")
	kind = strings.TrimSpace(kind)
	return kind == "multipart/signed" || kind == "multipart/encrypted"
}

// isASCII reports whether no field has octets beyond ASCII, as only an international one
// does (RFC 6532, section 3.2).
func (h *header) isASCII() bool {
	return !slices.ContainsFunc(h.fields, func(f []byte) bool { return !mailbox.IsASCII(f) })
}

// WriteTo writes the header with the empty line behind it.
func (h *header) WriteTo(w io.Writer) (n int64, err error) {
	for _, f := range append(h.fields, []byte("\r\n")) {
		if !bytes.HasSuffix(f, []byte("\r\n")) {
			f = append(f, "\r\n"...)
		}
		k, err := w.Write(f)
		n += int64(k)
		if err != nil {
			return n, fmt.Errorf("write header: %w", err)
		}
	}
	return n, nil
}

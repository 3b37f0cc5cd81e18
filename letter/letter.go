// Package letter tells what a message says: who wrote it, its text, its HTML
// made safe to show, and its attachments. It reads RFC 5322 and MIME (RFC 2045
// to 2047, 2231, 6532) as they are found in practice, under limits of octets,
// depth, parts and time, and it composes plain messages.
//
// Nothing in a message is an error here. What cannot be understood is shown as
// it is or left out; an error is always one of the reader or the writer that
// the caller brought. That is why the package walks through the lines of a
// message itself: libraries for MIME give up at the first line that is wrong.
// One pass over the lines, whatever they nest, is also what bounds the time.
package letter

import (
	"cmp"
	"net/mail"
	"time"
)

// A Letter is a message as a person reads it. All text is valid UTF-8 without
// control characters; what comes from the header has no line breaks and no
// characters that turn the direction of what follows.
type Letter struct {
	From, To, Cc, ReplyTo []*mail.Address
	Sender                string // the first author as text: name <address>, or whatever stands there
	Subject               string
	MessageID             string    // without angle brackets
	Date                  time.Time // zero where the header has none that can be read

	// Text is the best plain text, or is made from the HTML where there is
	// none. Lines end with LF; the line end that ends the text is left out.
	Text string
	// HTML can be put into a page as it is, or is empty. Nothing in it loads
	// anything: a remote image has its URL in data-remote-src, and one of the
	// letter itself a src of cid: and the ContentID of an attachment.
	HTML string
	// Attachments are all parts that are neither Text nor HTML, in the order of
	// the message.
	Attachments []Attachment
	// Truncated: a limit was met, so that something is not shown.
	Truncated bool
}

// An Attachment is a part that is not shown as the text of the letter. A
// message within the message is one too.
type Attachment struct {
	Number      int    // from 1, in the order of the message
	Name        string // of a file, never empty, without a path or control characters
	ContentType string // type/subtype in lower case, without parameters
	ContentID   string // without angle brackets: what cid: URLs name
	Octets      int64  // decoded
	Inline      bool   // the HTML shows it; only Read can tell
}

// Limits bound what reading a message costs. A zero field stands for the
// default.
type Limits struct {
	Octets int64         // read in all; 64 MiB
	Header int           // octets of a header, and of each part's; 64 KiB
	Text   int           // octets of Text; 1 MiB
	HTML   int           // octets of HTML, before and after it is made safe; 1 MiB
	Depth  int           // of parts within parts; 16. What is deeper is one attachment
	Parts  int           // 1000
	Time   time.Duration // 30 s, looked at between two reads. A read that hangs is the reader's to end
}

const defaultHeader = 64 << 10

func (l Limits) orDefaults() Limits {
	return Limits{
		Octets: cmp.Or(l.Octets, 64<<20),
		Header: cmp.Or(l.Header, defaultHeader),
		Text:   cmp.Or(l.Text, 1<<20),
		HTML:   cmp.Or(l.HTML, 1<<20),
		Depth:  cmp.Or(l.Depth, 16),
		Parts:  cmp.Or(l.Parts, 1000),
		Time:   cmp.Or(l.Time, 30*time.Second),
	}
}

package pop3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"restante/auth"
	"restante/mailbox"
)

// A reply is the response to one command. At most one of list and content is
// set; they make it a multi-line response (RFC 1939, section 3).
type reply struct {
	status  status
	text    string
	list    func(w *bufio.Writer) // writes the lines; a failure sticks to w
	content *content
	then    next
	mistake bool  // of the client; too many end the connection
	fault   error // for the log: what went wrong on our side
}

// A content is a message, or the beginning of one, on its way to the client.
type content struct {
	reader  io.Reader
	closer  io.Closer
	message mailbox.Message
	whole   bool
}

type status string

const (
	positive  status = "+OK"
	negative  status = "-ERR"
	challenge status = "+" // RFC 5034, section 4
)

// A next is what the connection does after a reply.
type next uint8

const (
	proceed   next = iota
	hangUp         // the session is over
	handshake      // the client begins TLS
)

func ok(text string) reply { return reply{status: positive, text: text} }

func refuse(text string) reply { return reply{status: negative, text: text} }

// mistaken refuses what a correct client does not send.
func mistaken(text string) reply { return reply{status: negative, text: text, mistake: true} }

// failed is the one place where an error becomes something that a client reads
// (RFC 3206). The session's id at its end leads to the cause in the log.
func (s *session) failed(err error) reply {
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return mistaken("[AUTH] wrong user name or password")
	case errors.Is(err, mailbox.ErrNotFound):
		return reply{status: negative, fault: err, text: fmt.Sprintf("[SYS/TEMP] the message is not to be had now (%s)", s.id)}
	case errors.Is(err, mailbox.ErrUnavailable), errors.Is(err, mailbox.ErrFull),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return reply{status: negative, fault: err, text: fmt.Sprintf("[SYS/TEMP] try again later (%s)", s.id)}
	}
	return reply{status: negative, fault: err, text: fmt.Sprintf("[SYS/PERM] internal error (%s)", s.id)}
}

// writeLine writes the first line, the only one unless there is a list or a
// content.
func (r reply) writeLine(w *bufio.Writer) {
	// bufio keeps the first failure and gives it to Flush.
	_, _ = w.WriteString(string(r.status))
	if r.text != "" || r.status == challenge {
		_ = w.WriteByte(' ')
	}
	_, _ = w.WriteString(r.text)
	_, _ = w.WriteString("\r\n")
}

// writeList writes the lines of a list and the dot after them. No line of ours
// begins with a dot.
func (r reply) writeList(w *bufio.Writer) {
	r.list(w)
	_, _ = w.WriteString(".\r\n")
}

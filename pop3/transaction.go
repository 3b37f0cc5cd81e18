package pop3

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"restante/internal/dotline"
	"restante/mailbox"
)

// stat is the drop listing (RFC 1939, section 5); marked messages do not count.
func (s *session) stat(context.Context, []string) reply {
	return ok(fmt.Sprintf("%d %d", s.mail.count(), s.mail.size()))
}

// listing is LIST: the scan listing of one message or of all that are not marked.
func (s *session) listing(_ context.Context, args []string) reply {
	return s.each(args, func(b []byte, m *mailbox.Message) []byte {
		return strconv.AppendInt(b, m.Octets, 10)
	})
}

// uidl is the unique-id listing (RFC 1939, section 7).
func (s *session) uidl(_ context.Context, args []string) reply {
	return s.each(args, func(b []byte, m *mailbox.Message) []byte {
		return appendUniqueID(b, m.ID)
	})
}

// each lists message-numbers, each with what field appends.
func (s *session) each(args []string, field func([]byte, *mailbox.Message) []byte) reply {
	if len(args) == 1 {
		n, refusal := s.mail.number(args[0])
		if n == 0 {
			return refusal
		}
		line := append(strconv.AppendInt(nil, int64(n), 10), ' ')
		return ok(string(field(line, &s.mail.messages[n-1])))
	}
	r := ok(s.mail.summary())
	r.list = func(w *bufio.Writer) {
		for i := range s.mail.messages {
			if s.mail.marks.has(i) {
				continue
			}
			b := append(strconv.AppendInt(w.AvailableBuffer(), int64(i+1), 10), ' ')
			b = field(b, &s.mail.messages[i])
			_, _ = w.Write(append(b, '\r', '\n'))
		}
	}
	return r
}

// retr sends a message.
func (s *session) retr(ctx context.Context, args []string) reply {
	n, refusal := s.mail.number(args[0])
	if n == 0 {
		return refusal
	}
	m := s.mail.messages[n-1]
	r, err := s.drop.Open(ctx, m)
	if err != nil {
		return s.failed(err)
	}
	return reply{
		status:  positive,
		text:    strconv.FormatInt(m.Octets, 10) + " octets",
		content: &content{reader: r, closer: r, message: m, whole: true},
	}
}

// top sends the header of a message and the first lines of its body (RFC 1939,
// section 7).
func (s *session) top(ctx context.Context, args []string) reply {
	lines, isNumber := parseNumber(args[1])
	if !isNumber {
		return mistaken("the number of lines is not a number")
	}
	r := s.retr(ctx, args[:1])
	if r.content != nil {
		r.text = "top of message follows"
		r.content.reader = dotline.Head(r.content.reader, lines)
		r.content.whole = false
	}
	return r
}

// dele marks a message; QUIT removes it.
func (s *session) dele(_ context.Context, args []string) reply {
	n, refusal := s.mail.number(args[0])
	if n == 0 {
		return refusal
	}
	s.mail.mark(n)
	return ok("message marked for deletion")
}

// rset takes all marks away.
func (s *session) rset(context.Context, []string) reply {
	s.mail.marks = marks{}
	return ok(s.mail.summary())
}

func (s *session) noop(context.Context, []string) reply { return ok("") }

// number reads a message-number. It is 0 where there is a refusal instead: for
// what is not a number, not in the maildrop, or marked.
func (m *mail) number(arg string) (int, reply) {
	n, isNumber := parseNumber(arg)
	switch {
	case !isNumber:
		return 0, mistaken("the message-number is not a number")
	case n < 1 || n > len(m.messages):
		return 0, refuse("no such message")
	case m.marks.has(n - 1):
		return 0, refuse("message is marked for deletion")
	}
	return n, reply{}
}

// parseNumber reads digits and nothing else; what is too large for a
// message-number becomes the largest int32.
func parseNumber(s string) (n int, isNumber bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int(s[i]-'0'), math.MaxInt32)
	}
	return n, s != ""
}

// appendUniqueID appends the text form of an id without making a string of it.
func appendUniqueID(b []byte, id mailbox.MessageID) []byte {
	b = append(hex.AppendEncode(b, id[:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:])
}

func (m *mail) count() int  { return len(m.messages) - m.marks.count }
func (m *mail) size() int64 { return m.octets - m.marks.octets }

func (m *mail) summary() string {
	return fmt.Sprintf("%d messages (%d octets)", m.count(), m.size())
}

func (m *mail) mark(n int) {
	if m.marks.marked == nil {
		m.marks.marked = make([]bool, len(m.messages))
	}
	m.marks.marked[n-1] = true
	m.marks.count++
	m.marks.octets += m.messages[n-1].Octets
}

func (m *mail) marked() []mailbox.Message {
	if m.marks.count == 0 {
		return nil
	}
	out := make([]mailbox.Message, 0, m.marks.count)
	for i, marked := range m.marks.marked {
		if marked {
			out = append(out, m.messages[i])
		}
	}
	return out
}

func (k *marks) has(i int) bool { return k.marked != nil && k.marked[i] }

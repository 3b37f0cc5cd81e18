package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// A Mail is one transaction.
type Mail struct {
	From string
	To   []string
	// Data is dot-stuffed and ends with the line of one dot.
	Data []byte
	// Answered is called when a step has succeeded, if it is not nil.
	Answered func(Step)
}

// A Step is a part of the transaction of a mail.
type Step int

// The steps of a mail. Commands that are sent in one write have their steps one right
// after the other.
const (
	Envelope Step = iota // MAIL and all RCPT
	Data                 // 354
	Content              // the answer to the last octet
)

func (m *Mail) answered(s Step) {
	if m.Answered != nil {
		m.Answered(s)
	}
}

// An SMTP is a connection that delivers mail by SMTP or LMTP. After any error
// but a *ReplyError it is of no more use. It is not safe for concurrent use.
type SMTP struct {
	conn
	lmtp       bool
	pipelining bool
}

// DialSMTP connects and says EHLO, or LHLO for LMTP.
func DialSMTP(ctx context.Context, addr string, lmtp bool, o Options) (*SMTP, error) {
	c, err := dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	s := &SMTP{conn: *c, lmtp: lmtp}
	if err := s.greet(); err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", addr, err), s.Close())
	}
	return s, nil
}

func (s *SMTP) greet() error {
	if err := s.reply("the connection", 220); err != nil {
		return err
	}
	hello := "EHLO"
	if s.lmtp {
		hello = "LHLO"
	}
	s.put(hello, " perf.example")
	if err := s.flush(); err != nil {
		return err
	}
	return s.replyLines(hello, 250, func(text []byte) {
		s.pipelining = s.pipelining || bytes.EqualFold(text, []byte("PIPELINING"))
	})
}

// Login says AUTH PLAIN (RFC 4616), as users do who submit mail.
func (s *SMTP) Login(user, password string) error {
	s.put("AUTH PLAIN ", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	if err := s.flush(); err != nil {
		return err
	}
	return s.reply("AUTH", 235)
}

// Pipelining tells whether the server offered it (RFC 2920).
func (s *SMTP) Pipelining() bool { return s.pipelining }

// Send delivers m and returns nil when the server has taken it for every
// recipient. With pipelined, the envelope goes out in one write; otherwise each
// command waits for its answer. A *ReplyError leaves the connection ready for
// the next mail; by LMTP some recipients may have the mail all the same.
func (s *SMTP) Send(m Mail, pipelined bool) error {
	err := s.envelope(m, pipelined)
	if err != nil {
		return err
	}
	if _, err := s.net.Write(m.Data); err != nil {
		return err
	}
	answers := 1
	if s.lmtp {
		answers = len(m.To) // RFC 2033, section 4.2: one for each recipient
	}
	for range answers {
		if e := s.reply("the message", 250); e != nil {
			err = firstReply(err, e)
		}
		if fatal(err) {
			return err
		}
	}
	if err == nil {
		m.answered(Content)
	}
	return err
}

// envelope leaves the server waiting for the data, or reset.
func (s *SMTP) envelope(m Mail, pipelined bool) error {
	s.put("MAIL FROM:<", m.From, ">")
	commands := 1
	var err error
	for _, to := range m.To {
		if !pipelined {
			if err = s.settle(commands, err); err != nil {
				return s.abandon(err)
			}
			commands = 0
		}
		s.put("RCPT TO:<", to, ">")
		commands++
	}
	if !pipelined {
		if err = s.settle(commands, err); err != nil {
			return s.abandon(err)
		}
		m.answered(Envelope)
		commands = 0
	}
	s.put("DATA")
	if err = s.settle(commands, err); fatal(err) {
		return err
	}
	if pipelined && err == nil {
		m.answered(Envelope)
	}
	if err = s.data(err); err == nil {
		m.answered(Data)
	}
	return err
}

// data takes the answer to DATA, err being what was refused before it. A server
// may ask for the data although a recipient was refused (RFC 2920, section
// 3.1); nothing must be delivered then, so that error ends the connection.
func (s *SMTP) data(err error) error {
	e := s.reply("DATA", 354)
	switch {
	case fatal(e):
		return e
	case e != nil:
		return s.abandon(firstReply(err, e))
	case err != nil:
		return fmt.Errorf("DATA was accepted after a refusal: %s", err.Error())
	}
	return nil
}

// settle sends what was put and takes the answers of the envelope's commands.
func (s *SMTP) settle(commands int, err error) error {
	if e := s.flush(); e != nil {
		return e
	}
	for range commands {
		if e := s.reply("the envelope", 250); e != nil {
			err = firstReply(err, e)
		}
		if fatal(err) {
			return err
		}
	}
	return err
}

// abandon resets the transaction that err ended.
func (s *SMTP) abandon(err error) error {
	if fatal(err) {
		return err
	}
	s.put("RSET")
	if e := s.settle(1, nil); e != nil {
		return e
	}
	return err
}

// Quit says QUIT and closes.
func (s *SMTP) Quit() error {
	s.put("QUIT")
	err := s.flush()
	if err == nil {
		err = s.reply("QUIT", 221)
	}
	return errors.Join(err, s.Close())
}

// reply takes one answer and fails with a *ReplyError unless its code is want.
func (s *SMTP) reply(command string, want int) error {
	return s.replyLines(command, want, nil)
}

// replyLines hands every line's text to each, if there is one.
func (s *SMTP) replyLines(command string, want int, each func(text []byte)) error {
	for {
		line, err := s.line()
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		code, last, ok := replyLine(line)
		if !ok {
			return fmt.Errorf("%s: not an SMTP reply: %.100q", command, line)
		}
		if each != nil && len(line) > 4 {
			each(line[4:])
		}
		if !last {
			continue
		}
		if code != want {
			return &ReplyError{Command: command, Reply: string(line)}
		}
		return nil
	}
}

// replyLine reads the code and whether the line is the reply's last (RFC 5321,
// section 4.2.1).
func replyLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 || slices.ContainsFunc(line[:3], func(r byte) bool { return r < '0' || r > '9' }) {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	return code, len(line) == 3 || line[3] != '-', true
}

// fatal tells errors after which client and server are no longer in step.
func fatal(err error) bool {
	var refused *ReplyError
	return err != nil && !errors.As(err, &refused)
}

// firstReply keeps the first refusal of a group, but an error of the line wins.
func firstReply(first, next error) error {
	if first == nil || fatal(next) {
		return next
	}
	return first
}

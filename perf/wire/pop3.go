package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// window is how many commands are sent ahead of their answers: their replies
// fit the socket's buffers whatever the server does, so neither side can wait
// for the other.
const window = 100

// A POP3 is one POP3 session. After any error but a *ReplyError it is of no more
// use. It is not safe for concurrent use.
type POP3 struct {
	conn
}

// DialPOP3 connects, reads the greeting and has TLS as the options say.
func DialPOP3(ctx context.Context, addr string, o Options) (*POP3, error) {
	c, err := dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	p := &POP3{conn: *c}
	if err := p.greet(o.Security); err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", addr, err), p.Close())
	}
	return p, nil
}

func (p *POP3) greet(s Security) error {
	if _, err := p.status("the connection"); err != nil {
		return err
	}
	if s != Upgrade {
		return nil
	}
	if _, err := p.command("STLS"); err != nil {
		return err
	}
	p.encrypt()
	return nil
}

// Login says USER and PASS.
func (p *POP3) Login(user, password string) error {
	if _, err := p.command("USER", user); err != nil {
		return err
	}
	_, err := p.command("PASS", password)
	return err
}

// Stat is the number of messages and their octets.
func (p *POP3) Stat() (messages int, octets int64, err error) {
	text, err := p.command("STAT")
	if err != nil {
		return 0, 0, err
	}
	if messages, octets, err = twoNumbers(text); err != nil {
		return 0, 0, fmt.Errorf("STAT: %w", err)
	}
	return messages, octets, nil
}

// UIDL hands the unique-id of every message to each; id is valid during the
// call only.
func (p *POP3) UIDL(each func(number int, id []byte)) error {
	return p.listing("UIDL", func(number int, rest []byte) error {
		each(number, rest)
		return nil
	})
}

// List hands the size of every message to each.
func (p *POP3) List(each func(number int, octets int64)) error {
	return p.listing("LIST", func(number int, rest []byte) error {
		octets, err := strconv.ParseInt(string(rest), 10, 64)
		if err == nil {
			each(number, octets)
		}
		return err
	})
}

func (p *POP3) listing(command string, each func(number int, rest []byte) error) error {
	if _, err := p.command(command); err != nil {
		return err
	}
	for {
		line, err := p.line()
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if len(line) == 1 && line[0] == '.' {
			return nil
		}
		head, rest, found := bytes.Cut(line, []byte(" "))
		number, err := strconv.Atoi(string(head))
		if err == nil && found {
			err = each(number, rest)
		}
		if err != nil || !found {
			return fmt.Errorf("%s: not a line of a listing: %.100q", command, line)
		}
	}
}

// Retr writes message number n to w, freed of its dot-stuffing.
func (p *POP3) Retr(n int, w io.Writer) error {
	if err := p.AskRetr(n); err != nil {
		return err
	}
	return p.body(w)
}

// Discard retrieves message number n and forgets it, at no more cost than
// receiving it, and tells how many octets followed the first line of the answer.
//
// The end is looked for only where what came so far ends: nobody has asked for
// anything behind it, and a server that stuffs dots sends no such line before
// (RFC 1939, section 3).
func (p *POP3) Discard(n int) (octets int64, err error) {
	if err := p.AskRetr(n); err != nil {
		return 0, err
	}
	ending := [...]byte{'\r', '\n', '.', '\r', '\n'}
	last := [len(ending)]byte{3: '\r', 4: '\n'} // of what came, now the first line
	for last != ending {
		if _, err := p.read.Peek(1); err != nil {
			return octets, err
		}
		n := p.read.Buffered()
		b, _ := p.read.Peek(n)
		fresh := min(n, len(last))
		copy(last[:], last[fresh:])
		copy(last[len(last)-fresh:], b[n-fresh:])
		_, _ = p.read.Discard(n)
		octets += int64(n)
	}
	return octets, nil
}

// AskRetr asks for message number n and reads only the first line of the
// answer; the message follows on the line.
func (p *POP3) AskRetr(n int) error {
	_, err := p.command("RETR", strconv.Itoa(n))
	return err
}

// Trickle reads and forgets up to len(buf) octets of what AskRetr asked for.
func (p *POP3) Trickle(buf []byte) (int, error) { return p.read.Read(buf) }

// Dele marks message number n.
func (p *POP3) Dele(n int) error {
	_, err := p.command("DELE", strconv.Itoa(n))
	return err
}

// DeleAll marks messages 1 to n, with many commands under way at once (RFC
// 2449, section 6.6).
func (p *POP3) DeleAll(n int) error {
	for done := 0; done < n; {
		group := min(window, n-done)
		for i := range group {
			p.put("DELE ", strconv.Itoa(done+i+1))
		}
		if err := p.flush(); err != nil {
			return err
		}
		for range group {
			if _, err := p.status("DELE"); err != nil {
				return err
			}
		}
		done += group
	}
	return nil
}

// Quit says QUIT and closes; nil means that the server has removed what was
// marked (RFC 1939, section 6).
func (p *POP3) Quit() error {
	_, err := p.command("QUIT")
	return errors.Join(err, p.Close())
}

// command sends one command and takes the first line of its answer.
func (p *POP3) command(name string, args ...string) ([]byte, error) {
	p.out = append(p.out, name...)
	for _, a := range args {
		p.out = append(append(p.out, ' '), a...)
	}
	p.put()
	if err := p.flush(); err != nil {
		return nil, err
	}
	return p.status(name)
}

// status is the text behind +OK, valid until the next read.
func (p *POP3) status(command string) ([]byte, error) {
	line, err := p.line()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if text, ok := bytes.CutPrefix(line, []byte("+OK")); ok {
		return bytes.TrimPrefix(text, []byte(" ")), nil
	}
	if bytes.HasPrefix(line, []byte("-ERR")) {
		return nil, &ReplyError{Command: command, Reply: string(line)}
	}
	return nil, fmt.Errorf("%s: not a POP3 reply: %.100q", command, line)
}

// body copies a multi-line answer up to its last line, freed of the dots
// (RFC 1939, section 3). It searches whole buffers for the few places where a
// line begins with a dot, as most lines do not.
func (p *POP3) body(w io.Writer) error {
	for {
		first, err := p.read.Peek(1)
		if err != nil {
			return err
		}
		if first[0] == '.' {
			if ended, err := p.dot(); ended || err != nil {
				return err
			}
		}
		if err := p.untilDot(w); err != nil {
			return err
		}
	}
}

// dot takes the dot that begins a line: the end, or one dot too many.
func (p *POP3) dot() (ended bool, err error) {
	b, err := p.read.Peek(3)
	if err != nil {
		return false, err
	}
	n := 1
	if ended = b[1] == '\r' && b[2] == '\n'; ended {
		n = 3
	}
	_, err = p.read.Discard(n)
	return ended, err
}

// untilDot copies up to the next line that begins with a dot.
func (p *POP3) untilDot(w io.Writer) error {
	for need := 1; ; {
		if _, err := p.read.Peek(need); err != nil {
			return err
		}
		b, _ := p.read.Peek(p.read.Buffered())
		n := lineDot(b)
		found := n >= 0
		if !found {
			n = len(b) - beginningOf(b)
		}
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		need = len(b) - n + 1
		if _, err := p.read.Discard(n); err != nil || found {
			return err
		}
	}
}

// lineDot is the index of the first dot behind a CRLF, or -1. Most lines have no
// such dot, and stopping at each LF costs half of what bytes.Index does.
func lineDot(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		if at >= len("\r\n") && at < len(b) && b[at] == '.' && b[at-2] == '\r' {
			return at
		}
	}
}

// beginningOf is how many octets at the end of b may begin a CRLF and a dot.
func beginningOf(b []byte) int {
	switch {
	case bytes.HasSuffix(b, []byte("\r\n")):
		return 2
	case bytes.HasSuffix(b, []byte("\r")):
		return 1
	}
	return 0
}

func twoNumbers(text []byte) (int, int64, error) {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("two numbers expected: %.100q", text)
	}
	a, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return 0, 0, err
	}
	b, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return a, b, err
}

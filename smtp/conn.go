package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"restante/mailbox"
)

// What a refused command costs of the error budget, and what a message that is kept
// gives back. A wrong recipient costs little: a list with a few dead members is still
// delivered. More of them than a message makes up for are somebody who tries addresses.
const (
	errorCost     = 5
	recipientCost = 1
	keptRefund    = 10
)

// A conn is the network as go-smtp sees it. Read hands over one well-formed
// command at a time and nothing beyond it; Write sees every reply, line by line.
// After STARTTLS there is a new conn on the same wire, so that go-smtp remembers
// nothing of what it was told before (RFC 3207, section 4.2).
//
// Only the goroutine of go-smtp that serves the connection uses it.
type conn struct {
	net.Conn // addresses and deadlines
	server   *Server
	wire     *wire

	command  []byte // what go-smtp has not read yet of the line it was given
	held     []byte // a command to handle before the next line is read; nil: none
	mute     bool   // replies are dropped until the next command
	over     bool   // nothing more is read
	parting  bool   // the client is given time to read the last reply
	upgraded bool   // another conn goes on with the wire

	verb     string          // of the last command
	charged  bool            // it has cost something of the error budget
	path     mailbox.Address // of the last MAIL or RCPT
	extended bool            // the client's greeting, as it was accepted, was EHLO or LHLO
	sasl     bool            // the client's next line is not a command
	chunk    int64           // octets of the last BDAT that are not read yet
	last     bool            // the last BDAT ends its message
}

func newConn(w *wire) *conn {
	return &conn{Conn: w.net, server: w.server, wire: w}
}

// Read implements net.Conn. It fails with io.EOF when there is nothing more to
// do, whatever the reason; the client and the log have been told.
func (c *conn) Read(p []byte) (n int, err error) {
	defer c.recovered(&err)
	for len(c.command) == 0 {
		if c.over {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			c.over = true
			return 0, c.farewell(err)
		}
	}
	n = copy(p, c.command)
	c.command = c.command[n:]
	return n, nil
}

// next gets a command for go-smtp, or does without it what the client asks for.
func (c *conn) next() error {
	c.mute = false
	if err := c.wire.open(); err != nil {
		return err
	}
	if err := c.skipChunk(); err != nil {
		return err
	}
	if c.spent() {
		return errBudget
	}
	if line := c.held; line != nil {
		c.held = nil
		return c.dispatch(line)
	}
	limit := maxCommand
	if c.sasl || c.server.opts.Kind == Submission {
		limit = maxSASL
	}
	line, err := c.wire.line(limit, false)
	switch {
	case errors.Is(err, errTooLong) && c.sasl:
		line = []byte("*")
	case errors.Is(err, errTooLong):
		c.verb, c.charged = unknownVerb, false
		return c.reply("500 5.5.2 line too long")
	case err != nil:
		return err
	}
	if c.sasl {
		return c.respond(line)
	}
	return c.dispatch(line)
}

// respond hands over a SASL response; one that cannot be decoded cancels the
// exchange.
func (c *conn) respond(line []byte) error {
	c.sasl = false
	if !isBase64(line) {
		line = []byte("*")
	}
	c.forward(string(line), "", "")
	return nil
}

// dispatch looks at a command before go-smtp does.
func (c *conn) dispatch(line []byte) error {
	var arg []byte
	c.verb, arg = splitCommand(line)
	c.charged = false
	switch {
	case hasControl(line):
		return c.reply("500 5.5.2 control character in a command")
	case c.verb == unknownVerb && isHTTP(line):
		return errHTTP
	case c.verb == unknownVerb:
		return c.reply("500 5.5.2 command not recognized")
	case len(line) > maxCommand && c.verb != "AUTH":
		return c.reply("500 5.5.2 line too long")
	}
	switch c.verb {
	case "HELP":
		return c.reply("214 2.0.0 EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT: see RFC 5321")
	case "MAIL", "RCPT":
		return c.envelope(string(arg))
	case "BDAT":
		return c.chunked(string(arg))
	case "AUTH":
		return c.authenticate(arg)
	case "STARTTLS":
		return c.startTLS(arg)
	}
	c.forward(c.verb, " ", string(arg))
	return nil
}

// envelope reads the path of MAIL and RCPT, because go-smtp's own reading drops
// the quotes of a local-part, and hands over the command in one form.
func (c *conn) envelope(arg string) error {
	keyword, parse := "FROM:", parseReverse
	if c.verb == "RCPT" {
		keyword, parse = "TO:", func(path string) (mailbox.Address, error) {
			return parseForward(path, c.server.opts.Router)
		}
	}
	path, params, err := cutPath(arg, keyword)
	if err == nil {
		c.path, err = parse(path)
	}
	if err != nil {
		code := "501 5.1.7 "
		if c.verb == "RCPT" {
			code = "501 5.1.3 "
		}
		return c.reply(code + err.Error())
	}
	if c.verb == "MAIL" {
		var fits bool
		if params, fits = sized(params, c.server.opts.MaxOctets); !fits {
			return c.reply("552 5.3.4 message too large")
		}
	}
	c.forward(c.verb+" "+keyword+"<"+c.path.String()+">", " ", params)
	return nil
}

// chunked begins a message in chunks; see chunks. Where it cannot be told how
// long the chunk is, the connection must end: the chunk would be taken for
// commands.
func (c *conn) chunked(arg string) (err error) {
	if c.chunk, c.last, err = parseChunk(arg); err != nil {
		return err
	}
	c.forward("DATA", "", "")
	return nil
}

// content is what follows the DATA or BDAT that go-smtp has accepted.
func (c *conn) content() io.Reader {
	if c.verb == "BDAT" {
		return newChunks(c)
	}
	return &dataReader{src: c.wire.in}
}

// endContent lets the session go on behind the content, and go-smtp see its end.
// What is left of a chunk, the next command skips.
func (c *conn) endContent(done *content) {
	err := done.cut
	if _, ok := done.body.(*dataReader); ok && err == nil {
		c.wire.until = time.Now().Add(drainTimeout)
		err = done.drain()
	}
	c.wire.until = time.Time{}
	if err != nil && c.held == nil {
		c.hangUp()
	}
	c.forward(".", "", "")
}

// authenticate hands over AUTH where it is served.
func (c *conn) authenticate(arg []byte) error {
	if c.server.opts.Kind != Submission {
		return c.reply("502 5.5.1 AUTH is not available here")
	}
	_, response, ok := bytes.Cut(arg, []byte(" "))
	if len(arg) == 0 || ok && !isBase64(bytes.TrimSpace(response)) {
		return c.reply("501 5.5.2 AUTH needs a mechanism, and perhaps a response in base64")
	}
	c.forward("AUTH", " ", string(arg))
	return nil
}

// startTLS begins TLS (RFC 3207). What the client sent in clear text behind the
// command is thrown away, since somebody else may have put it there.
func (c *conn) startTLS(arg []byte) error {
	switch {
	case c.server.opts.TLS == nil:
		return c.reply("502 5.5.1 STARTTLS is not available here")
	case c.wire.encrypted():
		return c.reply("503 5.5.1 TLS is on already")
	case len(arg) > 0:
		return c.reply("501 5.5.4 STARTTLS takes no argument")
	}
	if n := c.wire.in.Buffered(); n > 0 {
		_, _ = c.wire.in.Discard(n) // cannot fail: the octets are there
		c.wire.log.Warn("clear text behind STARTTLS thrown away", "octets", n)
	}
	if err := c.reply("220 2.0.0 ready to start TLS"); err != nil {
		return err
	}
	if err := c.wire.out.Flush(); err != nil {
		return err
	}
	if err := c.wire.handshake(); err != nil {
		return err
	}
	c.upgraded = true
	return io.EOF
}

// forward gives go-smtp a command.
func (c *conn) forward(verb, space, arg string) {
	c.command = append(c.command[:0], verb...)
	if arg != "" {
		c.command = append(append(c.command, space...), arg...)
	}
	c.command = append(c.command, "\r\n"...)
}

// hangUp ends the session after the next reply.
func (c *conn) hangUp() { c.over, c.parting = true, true }

// fallSilent ends the session without another word.
func (c *conn) fallSilent() { c.mute, c.over = true, true }

// Close implements net.Conn. go-smtp calls it when it is done.
func (c *conn) Close() error {
	if c.upgraded {
		c.upgraded = false
		next := newConn(c.wire)
		next.mute = true
		if c.server.secure.feed.hand(next) {
			return nil
		}
	}
	c.over = true
	if c.parting {
		c.parting = false
		c.wire.linger()
	}
	c.wire.close()
	return nil
}

// recovered turns a panic into the end of this connection.
func (c *conn) recovered(err *error) {
	if v := recover(); v != nil {
		c.server.metrics.panics.Inc()
		c.wire.log.Error("panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		c.over = true
		*err = io.EOF
	}
}

// Reasons to hang up.
var (
	errBudget    = errors.New("too many errors")
	errHTTP      = errors.New("HTTP request")
	errHugeChunk = errors.New("chunk too large to skip")
)

// farewell tells the client why the connection ends, as far as it can be told.
func (c *conn) farewell(why error) error {
	if errors.Is(why, io.EOF) || errors.Is(why, net.ErrClosed) || errors.Is(why, io.ErrClosedPipe) {
		return io.EOF
	}
	c.wire.log.Info("hanging up", "err", why)
	text := c.lastWords(why)
	if text == "" || c.wire.encrypted() && !c.wire.ready {
		return io.EOF
	}
	c.verb = "" // it answers no command
	if c.reply(text) == nil && !errors.Is(why, errStopping) {
		c.wire.linger()
	}
	return io.EOF
}

// lastWords is the reply for a reason to hang up; empty where nobody listens.
func (c *conn) lastWords(why error) string {
	switch {
	case errors.Is(why, errStopping):
		return "421 4.3.2 shutting down (" + c.wire.id + ")"
	case errors.Is(why, errBudget):
		return "421 4.7.0 " + c.tooMany()
	case errors.Is(why, errHTTP):
		return "421 4.7.0 this is not a web server"
	case errors.Is(why, errEndless):
		return "421 4.7.0 line too long"
	case errors.Is(why, errChunk):
		return "421 4.5.4 " + badChunk
	case errors.Is(why, errHugeChunk):
		return "421 4.3.4 chunk too large"
	case errors.Is(why, os.ErrDeadlineExceeded):
		return "421 4.4.2 waited too long (" + c.wire.id + ")"
	}
	return ""
}

// What is said alike before a message and in the middle of one.
const badChunk = "malformed BDAT: the session cannot go on"

func (c *conn) tooMany() string { return "too many errors (" + c.wire.id + ")" }

// lost is the answer to content that broke off. Where the connection broke, nobody may
// ever read it.
func (c *conn) lost(why error) error {
	switch {
	case errors.Is(why, errChunk):
		return answer(421, 4, 5, 4, badChunk)
	case errors.Is(why, errBudget):
		return answer(421, 4, 7, 0, c.tooMany())
	}
	return answer(421, 4, 4, 2, "content broke off ("+c.wire.id+")")
}

// reply answers without go-smtp.
func (c *conn) reply(line string) error {
	_, err := c.Write([]byte(line + "\r\n"))
	return err
}

// Write implements net.Conn. It is given one line of a reply at a time.
func (c *conn) Write(p []byte) (int, error) {
	if c.mute || c.verb == "BDAT" && p[0] == '3' {
		return len(p), nil
	}
	line := c.reword(p)
	if len(line) > 3 && line[3] == ' ' {
		c.note(line)
	}
	if _, err := c.wire.out.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// What replaces some of go-smtp's replies.
var (
	senderOK    = []byte("250 2.1.0 sender ok\r\n")
	recipientOK = []byte("250 2.1.5 recipient ok\r\n")
)

// reword corrects replies of go-smtp: a command out of order is 503, not 502
// (RFC 5321, section 4.2.4), a parameter that is not known is 555 (section
// 4.1.1.11), and the greeting begins with the name of the server (section
// 4.1.1.1).
func (c *conn) reword(line []byte) []byte {
	code := string(line[:min(3, len(line))])
	envelope := c.verb == "MAIL" || c.verb == "RCPT"
	switch {
	case isHello(c.verb):
		if _, hello, ok := bytes.Cut(line, []byte("Hello ")); ok && code == "250" {
			return fmt.Appendf(nil, "250%c%s greets %s", line[3], c.server.opts.Hostname, hello)
		}
	case code == "250" && c.verb == "MAIL":
		return senderOK
	case code == "250" && c.verb == "RCPT":
		return recipientOK
	case code == "502" && (envelope || c.verb == "DATA" || c.verb == "BDAT"),
		code == "502" && c.verb == "AUTH" && c.server.opts.Kind == Submission:
		return append([]byte("503"), line[3:]...)
	case envelope && bytes.HasPrefix(line[3:], []byte(" 5.5.4")) && (code == "500" || code == "504"):
		return append([]byte("555"), line[3:]...)
	}
	return line
}

// note draws the consequences of the last line of a reply.
func (c *conn) note(line []byte) {
	class := line[0]
	if class == '3' {
		c.sasl = c.verb == "AUTH"
		return
	}
	if c.verb != "" {
		c.server.metrics.command(c.verb, class)
	}
	if class == '2' && isHello(c.verb) {
		c.extended = c.verb != "HELO"
	}
	if c.verb == "RCPT" && class != '2' {
		c.server.metrics.refuse(enhanced(line))
	}
	if class == '5' && !c.charged {
		c.charge()
	}
}

// charge takes the price of a refused command from the error budget. With LMTP,
// several replies may refuse one command.
func (c *conn) charge() {
	c.charged = true
	if c.verb == "RCPT" {
		c.wire.errors += recipientCost
	} else {
		c.wire.errors += errorCost
	}
}

// spent reports whether the error budget is.
func (c *conn) spent() bool { return c.wire.errors >= c.server.opts.MaxErrors*errorCost }

// enhanced is the enhanced status code of a reply (RFC 2034).
func enhanced(line []byte) string {
	code, _, _ := strings.Cut(string(line[4:]), " ")
	return code
}

// SetDeadline and its like are go-smtp's wishes; the wire has its own deadlines.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

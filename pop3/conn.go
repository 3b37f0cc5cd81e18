package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"restante/internal/network"
	ids "restante/internal/session"
)

// A conn is a connection: it reads lines, lets the session answer them, and
// writes the replies. One goroutine runs it.
type conn struct {
	server  *Server
	nc      net.Conn
	in      *lines
	out     *output // only while there is something to write
	session *session
	limit   limit
	log     *slog.Logger
	tally   tally
}

// A tally is what the log says of a connection at its end.
type tally struct {
	began    time.Time
	ended    string // why
	commands int
	mistakes int // since the last login
	messages int // sent whole
	octets   int64
	removed  int
}

// Why a connection ended.
const (
	endQuit      = "quit"
	endIdle      = "idle"
	endMistakes  = "mistakes"
	endShutdown  = "shutdown"
	endRefused   = "refused"
	endLost      = "lost"
	endHandshake = "handshake"
	endPanic     = "panic"
)

func newConn(s *Server, nc net.Conn, secure bool) *conn {
	id := ids.NewID()
	remote := network.Remote(nc)
	return &conn{
		server:  s,
		nc:      nc,
		session: newSession(&s.policy, id, remote, secure),
		limit:   limit{base: s.base, timeout: s.opts.CommandTimeout},
		log:     s.opts.Log.With("session", id, "remote", nc.RemoteAddr().String()),
		tally:   tally{began: time.Now()},
	}
}

// serve runs the connection to its end and closes it.
func (c *conn) serve() {
	defer c.end()
	defer c.survive()
	if c.session.secure {
		if err := c.startTLS(); err != nil {
			c.noTLS(err)
			return
		}
	}
	c.in = newLines(c.nc)
	c.write(ok("POP3 server ready"))
	for c.tally.ended == "" {
		line, err := c.readLine()
		switch {
		case err == nil:
			c.command(string(line))
		case errors.Is(err, errLongLine):
			c.refuseLine()
		default:
			c.unreadable(err)
		}
	}
	if err := c.flush(); err != nil {
		return
	}
	if c.tally.ended == endMistakes || c.tally.ended == endRefused {
		c.linger()
	}
}

// readLine waits for a line, having sent what there is to send unless the next
// line is already here: a client that sends many commands at once gets the
// replies at once (RFC 2449, section 6.6).
func (c *conn) readLine() ([]byte, error) {
	if !c.in.ready() {
		if err := c.flush(); err != nil {
			// Without %w: a write that timed out is not an idle client.
			return nil, fmt.Errorf("write: %v", err) //nolint:errorlint
		}
		if err := c.nc.SetReadDeadline(c.deadline()); err != nil {
			return nil, err
		}
	}
	// Shutdown sets a deadline of its own after it has said that the server
	// stops; one of the two is seen here.
	if c.server.stopping() {
		return nil, errShutdown
	}
	switch b, err := c.in.first(); {
	case err != nil:
		return nil, err
	case b == tlsHandshakeRecord:
		return nil, errClientHello
	}
	return c.in.next(c.session.expectsLong())
}

// loginTimeouts is how many times LoginTimeout a client has before it must have logged in,
// whatever it says.
const loginTimeouts = 5

// deadline is when the next line must be here.
func (c *conn) deadline() time.Time {
	if c.session.state != authorization {
		return time.Now().Add(c.server.opts.IdleTimeout)
	}
	next, last := time.Now().Add(c.server.opts.LoginTimeout), c.tally.began.Add(loginTimeouts*c.server.opts.LoginTimeout)
	if last.Before(next) {
		return last
	}
	return next
}

// The first octet of a ClientHello, which begins no command.
const tlsHandshakeRecord = 0x16

var (
	errShutdown    = errors.New("shutting down")
	errClientHello = errors.New("TLS without STLS")
)

// unreadable ends the connection because no line comes.
func (c *conn) unreadable(err error) {
	switch {
	case errors.Is(err, errShutdown) || errors.Is(err, os.ErrDeadlineExceeded) && c.server.stopping():
		c.write(refuse("[SYS/TEMP] the server is going down"))
		c.tally.ended = endShutdown
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The autologout timer closes without a response (RFC 1939, section 3).
		c.tally.ended = endIdle
	case errors.Is(err, errNoEnd):
		c.refuseLine()
		c.tally.ended = endRefused
	case errors.Is(err, errClientHello):
		c.write(refuse("TLS begins with STLS here"))
		c.tally.ended = endRefused
	default:
		c.lost(err)
	}
}

// lost notes that the client is gone, or as good as.
func (c *conn) lost(err error) {
	c.tally.ended = endLost
	if c.server.stopping() {
		c.tally.ended = endShutdown
	}
	if !errors.Is(err, io.EOF) {
		c.log.Debug("connection lost", "err", err)
	}
}

// command lets the session answer a line and sends the answer.
func (c *conn) command(line string) {
	began := time.Now()
	request := c.session.parse(line)
	m := c.server.metrics.command(request.command)
	c.tally.commands++
	positive := false
	defer func() { m.observe(positive, time.Since(began)) }()

	ctx := c.server.base
	if request.command != nil && request.command.waits {
		ctx = c.limit.begin()
		defer c.limit.end()
	}
	r := c.answer(ctx, request)
	positive = r.status != negative
	c.note(request, r)
	c.write(r)
	if r.content != nil {
		c.send(r.content)
	}
	switch {
	case r.then == handshake:
		c.stls()
	case r.then == hangUp && c.tally.ended == "":
		c.tally.ended = endQuit
		if r.mistake {
			c.tally.ended = endRefused
		}
	case r.mistake:
		c.penalty()
	}
}

// refuseLine answers a line that was thrown away.
func (c *conn) refuseLine() {
	c.tally.commands++
	c.tally.mistakes++
	c.server.metrics.command(nil).observe(false, 0)
	c.write(c.session.tooLong())
	c.penalty()
}

// answer is the session's answer, also where the session panics: that ends this
// connection and no other.
func (c *conn) answer(ctx context.Context, request request) (r reply) {
	defer func() {
		if v := recover(); v != nil {
			r = c.session.failed(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
			r.then = hangUp
			c.tally.ended = endPanic
			c.server.metrics.panics.Inc()
		}
	}()
	return c.session.answer(ctx, request)
}

// survive is for a panic anywhere else, such as in the reader of a content.
func (c *conn) survive() {
	if v := recover(); v != nil {
		c.tally.ended = endPanic
		c.server.metrics.panics.Inc()
		c.log.Error("panic", "err", fmt.Sprintf("%v\n%s", v, debug.Stack()))
	}
}

// note keeps count and logs what went wrong on our side.
func (c *conn) note(request request, r reply) {
	if r.mistake {
		c.tally.mistakes++
	}
	if r.fault != nil {
		c.log.Warn("command failed", c.attrs("command", request.command.name, "err", r.fault)...)
	}
	if request.command == nil {
		return
	}
	switch login := request.command.name == "PASS" || request.command.name == "AUTH"; {
	case login && r.status == positive && c.session.state == transaction:
		c.tally.mistakes = 0
	case login && r.status == negative && request.refusal.status == "":
		c.server.metrics.loginFailures.Inc()
	case request.command.name == "QUIT" && r.status == positive:
		c.tally.removed = c.session.mail.marks.count
		c.server.metrics.removed.Add(float64(c.tally.removed))
	}
}

// write puts a reply without its content in the buffer.
func (c *conn) write(r reply) {
	if c.out == nil {
		c.out = takeOutput(c.nc, c.server.opts.WriteTimeout)
	}
	r.writeLine(c.out.Writer)
	if r.list != nil {
		r.writeList(c.out.Writer)
	}
}

// flush sends what is in the buffer and gives the buffer back.
func (c *conn) flush() error {
	if c.out == nil {
		return nil
	}
	err := c.out.Flush()
	c.out.free()
	c.out = nil
	return err
}

// send sends a message. Once its first line is out there is no way to say that
// it failed but to close the connection.
func (c *conn) send(content *content) {
	defer func() {
		if err := content.closer.Close(); err != nil {
			c.log.Warn("close content", "message", content.message.ID, "err", err)
		}
	}()
	stuffed := c.out.body()
	octets, err := relay(&patient{stuffed, &c.limit}, content.reader)
	if err == nil {
		err = stuffed.Close()
	}
	if err != nil {
		c.tally.ended = endLost
		c.log.Warn("message not sent whole", "message", content.message.ID, "octets", octets, "err", err)
		return
	}
	c.tally.octets += octets
	c.server.metrics.octets.Add(float64(octets))
	if content.whole {
		c.tally.messages++
		if octets != content.message.Octets {
			c.log.Error("size is not as listed", "message", content.message.ID, "octets", octets, "listed", content.message.Octets)
		}
	}
}

// relay is io.Copy with a buffer of ours, and without one where the reader has its
// own.
func relay(w io.Writer, r io.Reader) (int64, error) {
	if r, able := r.(io.WriterTo); able {
		return r.WriteTo(w)
	}
	buf := copies.Get().(*[copySize]byte)
	defer copies.Put(buf)
	return io.CopyBuffer(w, r, buf[:])
}

// stls goes on under TLS. What the client sent in clear text after STLS is
// forgotten, for somebody else may have sent it.
func (c *conn) stls() {
	if err := c.flush(); err != nil {
		c.lost(err)
		return
	}
	c.in.free()
	c.in = nil
	if err := c.startTLS(); err != nil {
		c.noTLS(err)
		return
	}
	c.in = newLines(c.nc)
	c.session.secured()
}

// noTLS ends a connection whose handshake failed. The reason is what an operator
// looks for when clients do not like his certificate.
func (c *conn) noTLS(err error) {
	c.session.secure = false
	c.lost(err)
	if c.tally.ended == endLost {
		c.tally.ended = endHandshake
		c.log.Info("TLS handshake failed", "err", err)
	}
}

func (c *conn) startTLS() error {
	secure := tls.Server(c.nc, c.server.opts.TLS)
	ctx, cancel := context.WithTimeout(c.server.base, c.server.opts.HandshakeTimeout)
	defer cancel()
	// An earlier deadline would go on counting.
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if c.server.stopping() {
		return errShutdown
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	c.server.replace(c, secure)
	return nil
}

// Delays after mistakes: none after the first two, then doubling.
const (
	freeMistakes = 2
	firstPenalty = 250 * time.Millisecond
	lastPenalty  = 2 * time.Second
)

// penalty slows down a client that makes mistakes, and hangs up on one that made
// too many. A shutdown ends the wait.
func (c *conn) penalty() {
	if c.tally.mistakes >= c.server.opts.MaxMistakes {
		c.write(refuse("too many mistakes"))
		c.tally.ended = endMistakes
		return
	}
	over := c.tally.mistakes - freeMistakes
	if over <= 0 {
		return
	}
	if err := c.flush(); err != nil {
		c.lost(err)
		return
	}
	timer := time.NewTimer(min(firstPenalty<<min(over-1, 8), lastPenalty))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.server.stop:
	}
}

// How long, and for how much, a connection that we end is read on.
const (
	lingerTime   = time.Second
	lingerOctets = 1 << 20
)

// linger reads what the client is still sending: closing at once would reset the
// connection and could take our last reply from it.
func (c *conn) linger() {
	half, able := c.nc.(interface{ CloseWrite() error })
	if !able || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTime)) != nil || c.server.stopping() {
		return
	}
	_, _ = io.CopyN(io.Discard, c.nc, lingerOctets)
}

// end closes everything and writes the one line that is always logged.
func (c *conn) end() {
	c.limit.free()
	if c.in != nil {
		c.in.free()
	}
	if c.out != nil {
		c.out.free()
	}
	if err := c.session.close(); err != nil {
		c.log.Warn("close maildrop", "err", err)
	}
	_ = c.nc.Close()
	t := c.tally
	c.log.Info("session ended", c.attrs(
		"ended", t.ended, "duration", time.Since(t.began), "tls", c.session.secure,
		"commands", t.commands, "messages", t.messages, "octets", t.octets, "removed", t.removed,
	)...)
}

// attrs adds the maildrop, where there is one, to what is logged.
func (c *conn) attrs(attrs ...any) []any {
	if c.session.drop != nil {
		attrs = append(attrs, "maildrop", c.session.drop.ID())
	}
	return attrs
}

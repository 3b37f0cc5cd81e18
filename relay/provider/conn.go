package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/relay"
)

// A conn is a connection to an SMTP server that has said hello. One transaction uses it
// at a time.
type conn struct {
	hop  *hop
	net  net.Conn // carries the deadlines
	on   net.Conn // net, or the TLS above it
	in   *bufio.Reader
	out  *bufio.Writer
	ctx  context.Context // of who uses it
	ext  map[string]string
	used int         // mails
	open bool        // a transaction was begun and has not ended: RSET is due
	idle *time.Timer // closes it; nil while it is used
}

// A hop is an SMTP server, and how to speak with it.
type hop struct {
	addr     string // host:port
	host     string // of its certificate
	hello    string
	security Security
	tls      *tls.Config
	username string
	password string
	auth     string // the mechanism; empty: PLAIN or LOGIN, whichever is offered
	times    Timeouts
	dial     Dial
	rules    [][]rule
	remoteID func(text string) string
	prefix   func(m relay.Mail) string
}

// Bounds on a reply.
const (
	replyLine  = 4 << 10
	replyLines = 128
)

const outSize = 16 << 10

// A refusal is a reply, or what happened instead, to a step before any transaction.
type refusal struct {
	relay.Outcome
	tls bool // the handshake failed
}

func (r refusal) Error() string { return r.Text }

var (
	errRubbish = errors.New("an answer that is not of SMTP")
	errTLS     = errors.New("TLS")
)

// connect opens a connection up to the first MAIL. The error is a refusal.
func (h *hop) connect(ctx context.Context) (*conn, error) {
	nc, err := h.dial.connect(ctx, h.addr, h.times)
	if err != nil {
		return nil, refusal{Outcome: transport("connect to " + h.addr + ": " + cause(err))}
	}
	c := &conn{hop: h, net: nc, on: nc, ctx: ctx}
	stop := c.use(ctx)
	err = c.begin()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close()
		var refused refusal
		if !errors.As(err, &refused) {
			err = refusal{Outcome: transport(h.addr + ": " + cause(err)), tls: errors.Is(err, errTLS)}
		}
		return nil, err
	}
	return c, nil
}

// cause says what happened in few words.
func cause(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// use breaks off what is waited for when ctx ends. Unless stop reports true, the
// connection cannot be used any more.
func (c *conn) use(ctx context.Context) (stop func() bool) {
	c.ctx = ctx
	return context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
}

// within sets how long the next step may take.
func (c *conn) within(d time.Duration) error {
	if err := c.net.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if c.ctx.Err() != nil { // its AfterFunc may have run before
		return context.Cause(c.ctx)
	}
	return nil
}

// Write is what the buffer calls: each time there was progress.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.within(c.hop.times.Command); err != nil {
		return 0, err
	}
	return c.on.Write(p)
}

func (c *conn) wrap(on net.Conn) {
	c.on = on
	c.in, c.out = bufio.NewReaderSize(on, replyLine), bufio.NewWriterSize(c, outSize)
}

// reply reads one, of several lines perhaps (RFC 5321, section 4.2.1).
func (c *conn) reply(d time.Duration) (reply, error) {
	if err := c.within(d); err != nil {
		return reply{}, err
	}
	var r reply
	var text strings.Builder
	for n := 0; ; n++ {
		line, err := c.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return reply{}, errRubbish
		case err != nil:
			return reply{}, err
		}
		s := strings.TrimRight(string(line), "\r\n")
		if len(s) < 3 || n >= replyLines {
			return reply{}, errRubbish
		}
		code, err := strconv.Atoi(s[:3])
		if err != nil || code < 200 || code > 599 || len(s) > 3 && s[3] != ' ' && s[3] != '-' || n > 0 && code != r.code {
			return reply{}, errRubbish
		}
		r.code = code
		rest := ""
		if len(s) > 4 {
			rest = s[4:]
		}
		if enhanced, after := cutEnhanced(rest, code); enhanced != "" {
			r.enhanced, rest = enhanced, after
		}
		if n > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(rest)
		if len(s) == 3 || s[3] == ' ' {
			r.text = text.String()
			return r, nil
		}
	}
}

// cutEnhanced takes an enhanced status code off a text (RFC 2034, section 4).
func cutEnhanced(s string, code int) (enhanced, rest string) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return "", s
	}
	for _, part := range parts {
		if n, err := strconv.Atoi(part); err != nil || n < 0 || n > 999 || len(part) > 3 {
			return "", s
		}
	}
	return word, rest
}

// command says one line and reads the reply.
func (c *conn) command(format string, args ...any) (reply, error) {
	if _, err := fmt.Fprintf(c.out, format+"\r\n", args...); err != nil {
		return reply{}, err
	}
	if err := c.out.Flush(); err != nil {
		return reply{}, err
	}
	return c.reply(c.hop.times.Command)
}

// refused is the error for a reply.
func (c *conn) refused(at step, r reply) error {
	return refusal{Outcome: r.outcome(at, nil, c.hop.rules...)}
}

// lacking is the error where the server does not offer what is asked for. It is for the
// operator to see, and may pass.
func (c *conn) lacking(text string) error {
	return refusal{Outcome: relay.Outcome{Result: relay.Temporary, Text: c.hop.addr + " " + text}}
}

func (c *conn) begin() error {
	if c.hop.security == ImplicitTLS {
		if err := c.secure(); err != nil {
			return err
		}
	} else {
		c.wrap(c.net)
	}
	r, err := c.reply(c.hop.times.Command)
	if err != nil {
		return err
	}
	if r.code/100 != 2 {
		return c.refused(atGreeting, r)
	}
	if err := c.sayHello(); err != nil {
		return err
	}
	if c.hop.security == RequireSTARTTLS || c.hop.security == OpportunisticTLS {
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	if c.hop.username == "" {
		return nil
	}
	return c.authenticate()
}

// sayHello says EHLO, or HELO to who does not know it (RFC 5321, section 4.1.1.1).
func (c *conn) sayHello() error {
	c.ext = map[string]string{}
	r, err := c.command("EHLO %s", c.hop.hello)
	if err != nil {
		return err
	}
	if r.code == 500 || r.code == 502 || r.code == 504 {
		if r, err = c.command("HELO %s", c.hop.hello); err != nil {
			return err
		}
		r.text, _, _ = strings.Cut(r.text, "\n")
	}
	if r.code/100 != 2 {
		return c.refused(atHello, r)
	}
	for i, line := range strings.Split(r.text, "\n") {
		if i > 0 { // the first names the server
			name, args, _ := strings.Cut(line, " ")
			c.ext[strings.ToUpper(name)] = args
		}
	}
	return nil
}

// recipients is how many are in one transaction at most: what is known of the server, 0
// where nothing is, and what it says (RFC 9422, section 4.2).
func (c *conn) recipients(known int) int {
	most := math.MaxInt
	if known > 0 {
		most = known
	}
	for _, limit := range strings.Fields(c.ext["LIMITS"]) {
		if text, ok := strings.CutPrefix(limit, "RCPTMAX="); ok {
			if n, err := strconv.Atoi(text); err == nil && n > 0 {
				most = min(most, n)
			}
		}
	}
	return most
}

// startTLS is RFC 3207.
func (c *conn) startTLS() error {
	required := c.hop.security == RequireSTARTTLS
	if _, ok := c.ext["STARTTLS"]; !ok {
		if required {
			return c.lacking("does not offer STARTTLS")
		}
		return nil
	}
	r, err := c.command("STARTTLS")
	switch {
	case err != nil:
		return err
	case r.code != 220 && !required:
		return nil
	case r.code != 220:
		return refusal{Outcome: relay.Outcome{Result: relay.Temporary, Code: r.code, Enhanced: r.enhanced, Text: oneLine(r.text)}}
	case c.in.Buffered() > 0: // said in the clear, to be taken for what TLS protects
		return errRubbish
	}
	if err := c.secure(); err != nil {
		return err
	}
	return c.sayHello()
}

func (c *conn) secure() error {
	if err := c.within(c.hop.times.Connect); err != nil {
		return err
	}
	config := &tls.Config{}
	if c.hop.tls != nil {
		config = c.hop.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = c.hop.host
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	// Against who only listens any certificate is better than none (RFC 7435).
	config.InsecureSkipVerify = config.InsecureSkipVerify || c.hop.security == OpportunisticTLS
	t := tls.Client(c.net, config)
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("%w: %w", errTLS, err)
	}
	c.wrap(t)
	return nil
}

// authenticate is RFC 4954, with PLAIN (RFC 4616) or what came before it.
func (c *conn) authenticate() error {
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	can := func(mechanism string) bool {
		return (c.hop.auth == "" || c.hop.auth == mechanism) && slices.Contains(offered, mechanism)
	}
	// The lines to say, one after each challenge. Nobody agrees on what the challenges
	// of LOGIN say: they are not looked at.
	var lines []string
	encode := base64.StdEncoding.EncodeToString
	switch {
	case can("PLAIN"):
		lines = []string{"AUTH PLAIN " + encode([]byte("\x00"+c.hop.username+"\x00"+c.hop.password))}
	case can("LOGIN"):
		lines = []string{"AUTH LOGIN", encode([]byte(c.hop.username)), encode([]byte(c.hop.password))}
	default:
		return c.lacking("offers no way to authenticate that we know")
	}
	for _, line := range lines {
		r, err := c.command("%s", line)
		switch {
		case err != nil:
			return err
		case r.code == 235:
			return nil
		case r.code != 334:
			return c.refused(atAuth, r)
		}
	}
	return errRubbish // more to ask than there is to say
}

// quit takes leave without waiting for an answer.
func (c *conn) quit() {
	_ = c.net.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.on.Write([]byte("QUIT\r\n"))
	_ = c.on.Close()
}

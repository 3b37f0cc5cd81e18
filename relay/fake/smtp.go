package fake

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// SMTPOptions configures [NewSMTP].
type SMTPOptions struct {
	// Like is whose words are used: "mailgun", "sendgrid", "ses", "postmark", "resend",
	// "sparkpost"; empty: those of nobody in particular.
	Like string
	Name string // of the host, in the greeting; empty: fake.invalid

	// TLS offers STARTTLS; nil does not. A listener of TLS makes it implicit.
	TLS *tls.Config
	// Username and Password are asked for by AUTH PLAIN and LOGIN; empty: no AUTH.
	Username, Password string

	// Without names service extensions that are not offered, such as "PIPELINING".
	Without []string
	// MaxOctets of a content, said by SIZE; 0: 25 MiB. MaxRecipients of a transaction;
	// 0: 1,000.
	MaxOctets     int64
	MaxRecipients int
	// Log gets the dialogue, a line a call; nil: nobody does.
	Log func(line string)
}

// An SMTP is a smarthost.
type SMTP struct {
	*Control
	opts  SMTPOptions
	words words

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[net.Conn]bool
	running   sync.WaitGroup
}

// NewSMTP returns a smarthost that takes mail for everybody.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	w, known := wordsOf[o.Like]
	if !known {
		return nil, fmt.Errorf("fake: nobody is called %q", o.Like)
	}
	if o.Name == "" {
		o.Name = "fake.invalid"
	}
	if o.MaxOctets == 0 {
		o.MaxOctets = 25 << 20
	}
	if o.MaxRecipients == 0 {
		o.MaxRecipients = 1000
	}
	return &SMTP{Control: newControl(), opts: o, words: w, listeners: map[net.Listener]bool{}, conns: map[net.Conn]bool{}}, nil
}

// connections is how many are served at a time; more wait to be accepted.
const connections = 1000

// Serve takes connections until Close, or until the listener is closed, and then returns
// nil.
func (s *SMTP) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listeners[l] = true
	s.mu.Unlock()
	room := make(chan struct{}, connections)
	for {
		room <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			if s.closed.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("fake: accept: %w", err)
		}
		s.mu.Lock()
		if s.closed.Err() != nil {
			s.mu.Unlock()
			_ = c.Close()
			return nil
		}
		s.tally(func(st *Stats) { st.Connections++ })
		s.conns[c] = true
		s.running.Go(func() {
			d := &dialogue{smtp: s, conn: c}
			d.serve()
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			<-room
		})
		s.mu.Unlock()
	}
}

// Close breaks all connections and waits for their end.
func (s *SMTP) Close() error {
	s.mu.Lock()
	s.close()
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// idle is how long a client may be silent.
const idle = 5 * time.Minute

// Bounds on a line and on the rubbish of one client.
const (
	lineMost  = 64 << 10
	errorsMax = 100
)

// A dialogue is with one client.
type dialogue struct {
	smtp   *SMTP
	conn   net.Conn
	secure bool
	in     *bufio.Reader
	out    *bufio.Writer

	hello  bool
	authed bool
	open   bool // after MAIL
	from   string
	to     []string
	errors int
}

// errBroken ends a dialogue without a word.
var errBroken = errors.New("fake: broken off")

func (d *dialogue) serve() {
	_, d.secure = d.conn.(*tls.Conn)
	d.wrap()
	if err := d.step("greeting", func() error { return d.say("220 %s ESMTP", d.smtp.opts.Name) }); err != nil {
		return
	}
	for {
		line, err := d.line()
		if err != nil {
			return
		}
		if err := d.command(line); err != nil {
			return
		}
	}
}

func (d *dialogue) wrap() {
	d.in, d.out = bufio.NewReaderSize(d.conn, lineMost), bufio.NewWriter(d.conn)
}

// say queues a reply. It leaves when the input runs out, as those to pipelined commands
// do.
func (d *dialogue) say(format string, args ...any) error {
	reply := fmt.Sprintf(format, args...)
	if d.smtp.opts.Log != nil {
		d.smtp.opts.Log("S: " + reply)
	}
	_, err := d.out.WriteString(reply + "\r\n")
	return err
}

// quit says a last reply.
func (d *dialogue) quit(format string, args ...any) error {
	if err := d.say(format, args...); err != nil {
		return err
	}
	d.flush()
	return errBroken
}

func (d *dialogue) flush() {
	_ = d.conn.SetDeadline(time.Now().Add(idle))
	_ = d.out.Flush() // the next read fails too
}

func (d *dialogue) line() (string, error) {
	if d.in.Buffered() == 0 {
		d.flush()
	}
	line, err := d.in.ReadSlice('\n')
	if err != nil {
		return "", err // also a line that is too long: no client of ours sends one
	}
	text := strings.TrimRight(string(line), "\r\n")
	if d.smtp.opts.Log != nil {
		d.smtp.opts.Log("C: " + text)
	}
	return text, nil
}

// step does what a step usually does, unless the mode has other plans.
func (d *dialogue) step(name string, usual func() error, to ...string) error {
	c, m := d.smtp.Control, d.smtp.now(name, to...)
	refuse := func(reply string) error {
		d.smtp.tally(func(st *Stats) { st.Refused++ })
		if strings.HasPrefix(reply, "421") || name == "greeting" {
			return d.quit("%s", reply)
		}
		return d.say("%s", reply)
	}
	switch m.kind {
	case status:
		text := m.text
		if text == "" {
			text = "refused on command"
		}
		return refuse(fmt.Sprintf("%d %s", m.code, text))
	case throttle:
		d.smtp.tally(func(st *Stats) { st.Throttled++ })
		return d.say("%s", d.smtp.words.throttled)
	case authFail:
		return refuse(d.smtp.words.authFail)
	case unverified:
		return refuse(d.smtp.words.unverified)
	case flap:
		return refuse("421 4.3.2 Service not available")
	case hang:
		d.flush()
		d.smtp.tally(func(st *Stats) { st.Broken++ })
		c.sleep(d.gone(), longest)
		return errBroken
	case reset:
		d.smtp.tally(func(st *Stats) { st.Broken++ })
		abort(d.conn)
		return errBroken
	case slow:
		d.flush()
		if !c.sleep(context.Background(), m.wait) {
			return errBroken
		}
	}
	return usual()
}

// gone ends when the client does. Nothing can be read from it afterwards.
func (d *dialogue) gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	_ = d.conn.SetDeadline(time.Now().Add(longest))
	d.smtp.running.Go(func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, d.conn)
	})
	return ctx
}

// abort closes a connection as one that broke, where it is TCP.
func abort(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (d *dialogue) command(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "EHLO", "HELO":
		return d.step("EHLO", d.ehlo)
	case "STARTTLS":
		return d.step("STARTTLS", d.startTLS)
	case "AUTH":
		return d.step("AUTH", func() error { return d.auth(arg) })
	case "MAIL":
		return d.step("MAIL", func() error { return d.mail(arg) })
	case "RCPT":
		to, _ := path(arg, "TO:")
		return d.step("RCPT", func() error { return d.rcpt(arg) }, to)
	case "DATA":
		return d.step("DATA", d.data, d.to...)
	case "RSET":
		d.open = false
		return d.say("250 2.0.0 OK")
	case "NOOP":
		return d.say("250 2.0.0 OK")
	case "QUIT":
		return d.quit("221 2.0.0 Bye")
	}
	if d.errors++; d.errors > errorsMax {
		return d.quit("421 4.7.0 Too many errors")
	}
	return d.say("500 5.5.2 Command not recognised")
}

func (d *dialogue) ehlo() error {
	d.hello, d.open = true, false
	lines := []string{d.smtp.opts.Name}
	for _, extension := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", fmt.Sprintf("SIZE %d", d.smtp.opts.MaxOctets)} {
		name, _, _ := strings.Cut(extension, " ")
		if !slices.Contains(d.smtp.opts.Without, name) {
			lines = append(lines, extension)
		}
	}
	if d.smtp.opts.TLS != nil && !d.secure {
		lines = append(lines, "STARTTLS")
	}
	if d.smtp.opts.Username != "" {
		lines = append(lines, "AUTH "+d.smtp.words.auth)
	}
	for i, line := range lines {
		dash := "-"
		if i == len(lines)-1 {
			dash = " "
		}
		if err := d.say("250%s%s", dash, line); err != nil {
			return err
		}
	}
	return nil
}

func (d *dialogue) startTLS() error {
	if d.smtp.opts.TLS == nil || d.secure {
		return d.say("502 5.5.1 STARTTLS is not offered")
	}
	if d.in.Buffered() > 0 {
		return d.quit("503 5.5.1 STARTTLS must be the last command of its group")
	}
	if err := d.say("220 2.0.0 Go ahead"); err != nil {
		return err
	}
	d.flush()
	d.conn, d.secure = tls.Server(d.conn, d.smtp.opts.TLS), true
	d.hello, d.authed, d.open = false, false, false
	d.wrap()
	return nil
}

// auth knows PLAIN (RFC 4616) and LOGIN.
func (d *dialogue) auth(arg string) error {
	mechanism, initial, given := strings.Cut(arg, " ")
	ask := func(challenge string) (string, error) {
		if err := d.say("334 %s", base64.StdEncoding.EncodeToString([]byte(challenge))); err != nil {
			return "", err
		}
		line, err := d.line()
		if err != nil {
			return "", err
		}
		answer, _ := base64.StdEncoding.DecodeString(line) // rubbish is a wrong password
		return string(answer), nil
	}
	var user, password string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		decoded, _ := base64.StdEncoding.DecodeString(initial)
		answer := string(decoded)
		if !given {
			var err error
			if answer, err = ask(""); err != nil {
				return err
			}
		}
		_, answer, _ = strings.Cut(answer, "\x00")
		user, password, _ = strings.Cut(answer, "\x00")
	case "LOGIN":
		var err error
		if user, err = ask("Username:"); err != nil {
			return err
		}
		if password, err = ask("Password:"); err != nil {
			return err
		}
	default:
		return d.say("504 5.5.4 Unrecognised authentication type")
	}
	if user != d.smtp.opts.Username || password != d.smtp.opts.Password {
		return d.say("%s", d.smtp.words.authFail)
	}
	d.authed = true
	return d.say("235 2.7.0 Authentication successful")
}

// path is the address in angle brackets after FROM: or TO:.
func path(arg, key string) (address string, ok bool) {
	if len(arg) < len(key) || !strings.EqualFold(arg[:len(key)], key) {
		return "", false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(arg[len(key):]), "<")
	address, _, closed := strings.Cut(rest, ">")
	return address, ok && closed
}

func (d *dialogue) mail(arg string) error {
	from, ok := path(arg, "FROM:")
	var octets int64
	if _, size, found := strings.Cut(strings.ToUpper(arg), " SIZE="); found {
		_, _ = fmt.Sscan(size, &octets)
	}
	switch {
	case !d.hello:
		return d.say("503 5.5.1 Say EHLO first")
	case d.open:
		return d.say("503 5.5.1 There is a transaction already")
	case d.smtp.opts.Username != "" && !d.authed:
		return d.say("530 5.7.0 Authentication required")
	case !ok:
		return d.say("501 5.1.7 Bad sender address syntax")
	case octets > d.smtp.opts.MaxOctets:
		return d.say("%s", d.smtp.words.tooLarge)
	}
	if _, ok := d.smtp.admit(); !ok {
		d.smtp.tally(func(st *Stats) { st.Throttled++ })
		return d.say("%s", d.smtp.words.throttled)
	}
	d.open, d.from, d.to = true, from, nil
	return d.say("250 2.1.0 OK")
}

func (d *dialogue) rcpt(arg string) error {
	to, ok := path(arg, "TO:")
	switch {
	case !d.open:
		return d.say("503 5.5.1 Need MAIL before RCPT")
	case !ok || !strings.Contains(to, "@"):
		return d.say("501 5.1.3 Bad recipient address syntax")
	case len(d.to) >= d.smtp.opts.MaxRecipients:
		return d.say("452 4.5.3 Too many recipients")
	}
	d.to = append(d.to, to)
	return d.say("250 2.1.5 OK")
}

func (d *dialogue) data() error {
	switch {
	case !d.open:
		return d.say("503 5.5.1 Need MAIL before DATA")
	case len(d.to) == 0:
		return d.say("554 5.5.1 No valid recipients")
	}
	if err := d.say("354 Go ahead"); err != nil {
		return err
	}
	d.flush()
	c := newContent()
	if err := d.content(c); err != nil {
		return err // cut off: not a message
	}
	d.open = false
	return d.step("dot", func() error { return d.take(c) }, d.to...)
}

// content reads to the line that is one dot.
func (d *dialogue) content(c *content) error {
	begins := true
	for {
		_ = d.conn.SetDeadline(time.Now().Add(idle))
		piece, err := d.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if begins && piece[0] == '.' {
			if string(piece) == ".\r\n" {
				return nil
			}
			piece = piece[1:]
		}
		begins = err == nil
		_, _ = c.Write(piece)
	}
}

func (d *dialogue) take(c *content) error {
	if c.octets > d.smtp.opts.MaxOctets {
		d.smtp.tally(func(st *Stats) { st.Refused++ })
		return d.say("%s", d.smtp.words.tooLarge)
	}
	id := newID()
	d.smtp.accepted(c.mail(id, d.from, d.to))
	switch d.smtp.now("dot", d.to...).kind {
	case hangAfter:
		d.smtp.tally(func(st *Stats) { st.Broken++ })
		d.smtp.sleep(d.gone(), longest)
		return errBroken
	case resetAfter:
		d.smtp.tally(func(st *Stats) { st.Broken++ })
		abort(d.conn)
		return errBroken
	}
	return d.say("%s", strings.ReplaceAll(d.smtp.words.accepted, "%s", id))
}

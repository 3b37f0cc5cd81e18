package scenario

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"restante/perf/wire"
)

// A fake is a mail server in memory, as simple as the clients allow.
type fake struct {
	smtp, lmtp, pop3 string

	mu        sync.Mutex
	maildrops map[string][][]byte
	sessions  int // POP3 sessions that are logged in
	most      int // of them at once
	refuse    bool
	// retrieved may change what the n-th RETR of a session sends, from 1; nil: nothing.
	retrieved func(n int, message []byte) []byte
	late      int  // how many logins after a delivery do not see it
	hidden    int  // how many more
	twice     bool // keeps every message twice
	logins    int  // by AUTH
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{maildrops: map[string][][]byte{}}
	f.smtp = f.listen(t, func(c *link) { f.receive(c, false) })
	f.lmtp = f.listen(t, func(c *link) { f.receive(c, true) })
	f.pop3 = f.listen(t, f.handOut)
	return f
}

// A link is one connection of the fake.
type link struct {
	*bufio.Reader
	net.Conn
}

func (l *link) Read(p []byte) (int, error) { return l.Reader.Read(p) }

func (l *link) say(format string, args ...any) { _, _ = fmt.Fprintf(l.Conn, format+"\r\n", args...) }

// hear is the next command and its argument.
func (l *link) hear() (verb, arg string, ok bool) {
	line, err := l.ReadString('\n')
	verb, arg, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return verb, arg, err == nil
}

// listen serves until the test ends and waits for every connection.
func (f *fake) listen(t *testing.T, serve func(*link)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				serve(&link{bufio.NewReader(c), c})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

func (f *fake) receive(c *link, lmtp bool) {
	var to []string
	c.say("220 fake")
	for {
		verb, arg, ok := c.hear()
		switch {
		case !ok:
			return
		case verb == "RCPT":
			to = append(to, strings.Trim(strings.TrimPrefix(arg, "TO:"), "<>"))
			c.say("250 ok")
		case verb == "AUTH":
			f.mu.Lock()
			f.logins++
			f.mu.Unlock()
			c.say("235 welcome")
		case verb == "DATA":
			c.say("354 go on")
			f.store(c, to, lmtp)
			to = nil
		case verb == "QUIT":
			c.say("221 bye")
			return
		default:
			c.say("250 ok")
		}
	}
}

func (f *fake) store(c *link, to []string, lmtp bool) {
	message := []byte("Received: by fake\r\n")
	for {
		line, err := c.ReadBytes('\n')
		if err != nil {
			return
		}
		if string(line) == ".\r\n" {
			break
		}
		message = append(message, bytes.TrimPrefix(line, []byte("."))...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden = f.late
	for i, drop := range to {
		if lmtp || i == 0 {
			if f.refuse {
				c.say("452 full")
			} else {
				c.say("250 kept")
			}
		}
		if !f.refuse {
			f.maildrops[drop] = append(f.maildrops[drop], message)
		}
		if f.twice {
			f.maildrops[drop] = append(f.maildrops[drop], message)
		}
	}
}

func (f *fake) messages(drop string) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.maildrops[drop]
}

// view is what a login sees.
func (f *fake) view(drop string) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	view := f.maildrops[drop]
	if f.hidden > 0 {
		f.hidden--
		return view[:len(view)-1]
	}
	return view
}

// enter counts who is logged in.
func (f *fake) enter(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions += by
	f.most = max(f.most, f.sessions)
}

func (f *fake) handOut(c *link) {
	var user string
	var view [][]byte
	deleted := map[int]bool{}
	retrieved := 0
	c.say("+OK fake")
	for {
		verb, arg, ok := c.hear()
		n, _ := strconv.Atoi(arg)
		switch {
		case !ok:
			return
		case verb == "USER":
			user = arg
			c.say("+OK")
		case verb == "PASS" && arg != "secret":
			c.say("-ERR [AUTH] no")
		case verb == "PASS":
			view = f.view(user)
			f.enter(1)
			defer f.enter(-1)
			c.say("+OK")
		case verb == "STAT":
			c.say("+OK %d 0", len(view))
		case verb == "UIDL":
			c.say("+OK")
			for i := range view {
				c.say("%d u%d", i+1, i)
			}
			c.say(".")
		case verb == "RETR" && n >= 1 && n <= len(view):
			m := view[n-1]
			if retrieved++; f.retrieved != nil {
				m = f.retrieved(retrieved, m)
			}
			c.say("+OK\r\n%s.", strings.ReplaceAll(string(m), "\r\n.", "\r\n.."))
		case verb == "DELE" && n >= 1 && n <= len(view) && !deleted[n]:
			deleted[n] = true
			c.say("+OK")
		case verb == "QUIT":
			f.remove(user, view, deleted)
			c.say("+OK")
			return
		default:
			c.say("-ERR no")
		}
	}
}

func (f *fake) remove(user string, view [][]byte, deleted map[int]bool) {
	if len(deleted) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maildrops[user] = nil
	for i, m := range view {
		if !deleted[i+1] {
			f.maildrops[user] = append(f.maildrops[user], m)
		}
	}
}

// load is for the fake's users 10 to 13.
func load(addr string, connections, count int) Load {
	return Load{
		Address: addr, Connections: connections, Count: count, First: 10, Users: 4, Pattern: "user%d@example.test",
		Password: "secret", Options: wire.Options{},
	}
}

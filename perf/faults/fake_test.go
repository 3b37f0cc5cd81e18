package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/perf/scenario"
)

// A fake is a mail service of two data centres in memory. Honest, it answers with errors
// now and then, and may have done what it was asked all the same; and what one data centre
// knows the other learns after a while. Its lies are said by which of them are true.
type fake struct {
	servers []scenario.Target
	lies    lies

	mu     sync.Mutex
	rnd    *rand.Rand
	next   int
	boxes  map[string][]*kept
	caught int // lies that were told
}

type lies struct{ loses, resurrects, duplicates, reorders, corrupts, renames, hides, forgetsThere bool }

// kept is a message; since when each data centre has it, and since when not.
type kept struct {
	uid        string
	octets     []byte
	here, gone [2]time.Time
}

const lag = 50 * time.Millisecond

var far = time.Now().Add(1000 * time.Hour)

func newFake(t *testing.T, l lies) *fake {
	f := &fake{lies: l, rnd: rand.New(rand.NewPCG(1, 2)), boxes: map[string][]*kept{}}
	for i, dc := range []string{"dc1", "dc2"} {
		f.servers = append(f.servers, scenario.Target{
			Name: dc + "-a", Datacenter: dc,
			SMTP: f.listen(t, func(c *link) { f.receive(c, i) }), POP3: f.listen(t, func(c *link) { f.handOut(c, i) }),
		})
	}
	return f
}

// A link is one connection.
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

// one in n times it is so.
func (f *fake) one(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rnd.IntN(n) == 0
}

// lie is told one in so many times, if it is one of this fake's.
func (f *fake) lie(is bool, n int) bool {
	if !is || f.rnd.IntN(n) > 0 {
		return false
	}
	f.caught++
	return true
}

func (f *fake) receive(c *link, at int) {
	var to []string
	c.say("220 fake")
	for {
		verb, arg, ok := c.hear()
		switch {
		case !ok:
			return
		case verb == "MAIL" && f.one(40):
			c.say("451 not now")
		case verb == "RCPT":
			to = append(to, strings.Trim(strings.TrimPrefix(arg, "TO:"), "<>"))
			c.say("250 ok")
		case verb == "DATA":
			c.say("354 go on")
			if !f.take(c, at, to) {
				return
			}
			to = nil
		case verb == "RSET":
			to = nil
			c.say("250 ok")
		default:
			c.say("250 ok")
		}
	}
}

// take is a mail up to the answer. It says whether the connection goes on.
func (f *fake) take(c *link, at int, to []string) bool {
	octets := []byte("Received: by fake\r\n")
	for {
		line, err := c.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			break
		}
		octets = append(octets, bytes.TrimPrefix(line, []byte("."))...)
	}
	if fails := f.one(20); !fails || f.one(2) {
		f.store(at, to, octets)
		if !fails {
			c.say("250 kept")
			return true
		}
	}
	if f.one(2) {
		c.say("451 try again")
		return true
	}
	return false
}

func (f *fake) store(at int, to []string, octets []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, drop := range to {
		if f.lie(f.lies.loses, 20) {
			continue
		}
		copies := 1
		if f.lie(f.lies.duplicates, 20) {
			copies = 2
		}
		for range copies {
			f.next++
			m := &kept{uid: fmt.Sprintf("u%06d", f.next), octets: octets, gone: [2]time.Time{far, far}}
			m.here[at], m.here[1-at] = now, now.Add(time.Duration(f.rnd.Int64N(int64(lag))))
			if f.lie(f.lies.hides, 10) {
				m.here[at] = now.Add(20 * lag)
			}
			if f.lie(f.lies.forgetsThere, 20) {
				m.here[1-at] = far
			}
			f.boxes[drop] = append(f.boxes[drop], m)
		}
	}
}

// view is what a login sees.
func (f *fake) view(drop string, at int) []kept {
	f.mu.Lock()
	defer f.mu.Unlock()
	var view []kept
	now := time.Now()
	for _, m := range f.boxes[drop] {
		if !m.here[at].After(now) && m.gone[at].After(now) {
			view = append(view, *m)
		}
	}
	if n := len(view); n > 1 && f.lie(f.lies.reorders, 20) {
		view[n-1], view[n-2] = view[n-2], view[n-1]
	}
	if n := len(view); n > 1 && f.lie(f.lies.renames, 20) {
		view[n-1].uid, view[n-2].uid = view[n-2].uid, view[n-1].uid
	}
	return view
}

func (f *fake) handOut(c *link, at int) {
	var user string
	var view []kept
	deleted := map[string]bool{}
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
		case verb == "PASS" && f.one(40):
			c.say("-ERR [SYS/TEMP] not now")
			return
		case verb == "PASS":
			view = f.view(user, at)
			c.say("+OK")
		case verb == "UIDL", verb == "LIST":
			c.say("+OK")
			for i, m := range view {
				if verb == "UIDL" {
					c.say("%d %s", i+1, m.uid)
				} else {
					c.say("%d %d", i+1, len(m.octets))
				}
			}
			c.say(".")
		case verb == "RETR" && n >= 1 && n <= len(view):
			c.say("+OK\r\n%s.", strings.ReplaceAll(string(f.octets(view[n-1])), "\r\n.", "\r\n.."))
		case verb == "DELE" && n >= 1 && n <= len(view):
			deleted[view[n-1].uid] = true
			c.say("+OK")
		case verb == "QUIT":
			f.quit(c, user, at, deleted)
			return
		default:
			c.say("-ERR no")
		}
	}
}

func (f *fake) octets(m kept) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lie(f.lies.corrupts, 50) {
		return m.octets
	}
	changed := slices.Clone(m.octets)
	changed[len(changed)-10] ^= 1
	return changed
}

func (f *fake) quit(c *link, user string, at int, deleted map[string]bool) {
	if fails := f.one(20); !fails || f.one(2) {
		f.remove(user, at, deleted)
		if !fails {
			c.say("+OK")
			return
		}
	}
	if f.one(2) {
		c.say("-ERR [SYS/TEMP] some are there")
	}
}

func (f *fake) remove(user string, at int, deleted map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, m := range f.boxes[user] {
		if !deleted[m.uid] || f.lie(f.lies.resurrects, 20) {
			continue
		}
		m.gone[at] = now
		if m.gone[1-at] == far {
			m.gone[1-at] = now.Add(time.Duration(f.rnd.Int64N(int64(lag))))
		}
	}
}

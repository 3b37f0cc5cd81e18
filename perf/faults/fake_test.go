package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/perf/scenario"
	"restante/perf/servertest"
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
			SMTP: servertest.Listen(t, func(c *servertest.Link) { f.receive(c, i) }), POP3: servertest.Listen(t, func(c *servertest.Link) { f.handOut(c, i) }),
		})
	}
	return f
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

func (f *fake) receive(c *servertest.Link, at int) {
	var to []string
	c.Say("220 fake")
	for {
		verb, arg, ok := c.Hear()
		switch {
		case !ok:
			return
		case verb == "MAIL" && f.one(40):
			c.Say("451 not now")
		case verb == "RCPT":
			to = append(to, strings.Trim(strings.TrimPrefix(arg, "TO:"), "<>"))
			c.Say("250 ok")
		case verb == "DATA":
			c.Say("354 go on")
			if !f.take(c, at, to) {
				return
			}
			to = nil
		case verb == "RSET":
			to = nil
			c.Say("250 ok")
		default:
			c.Say("250 ok")
		}
	}
}

// take is a mail up to the answer. It says whether the connection goes on.
func (f *fake) take(c *servertest.Link, at int, to []string) bool {
	octets, ok := c.Content()
	if !ok {
		return false
	}
	if fails := f.one(20); !fails || f.one(2) {
		f.store(at, to, octets)
		if !fails {
			c.Say("250 kept")
			return true
		}
	}
	if f.one(2) {
		c.Say("451 try again")
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

func (f *fake) handOut(c *servertest.Link, at int) {
	var user string
	var view []kept
	deleted := map[string]bool{}
	c.Say("+OK fake")
	for {
		verb, arg, ok := c.Hear()
		n, _ := strconv.Atoi(arg)
		switch {
		case !ok:
			return
		case verb == "USER":
			user = arg
			c.Say("+OK")
		case verb == "PASS" && f.one(40):
			c.Say("-ERR [SYS/TEMP] not now")
			return
		case verb == "PASS":
			view = f.view(user, at)
			c.Say("+OK")
		case verb == "UIDL", verb == "LIST":
			c.Say("+OK")
			for i, m := range view {
				if verb == "UIDL" {
					c.Say("%d %s", i+1, m.uid)
				} else {
					c.Say("%d %d", i+1, len(m.octets))
				}
			}
			c.Say(".")
		case verb == "RETR" && n >= 1 && n <= len(view):
			c.Retrieved(f.octets(view[n-1]))
		case verb == "DELE" && n >= 1 && n <= len(view):
			deleted[view[n-1].uid] = true
			c.Say("+OK")
		case verb == "QUIT":
			f.quit(c, user, at, deleted)
			return
		default:
			c.Say("-ERR no")
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

func (f *fake) quit(c *servertest.Link, user string, at int, deleted map[string]bool) {
	if fails := f.one(20); !fails || f.one(2) {
		f.remove(user, at, deleted)
		if !fails {
			c.Say("+OK")
			return
		}
	}
	if f.one(2) {
		c.Say("-ERR [SYS/TEMP] some are there")
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

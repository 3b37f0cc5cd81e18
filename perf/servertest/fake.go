// Package servertest is a mail server in memory, as simple as the clients of
// measurements allow, which does wrong what a test tells it to.
package servertest

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Password is that of every user; there is every user.
const Password = "secret"

// A Fate is what becomes of a mail when its last octet has come.
type Fate int

// The fates of a mail. Only Deferred and Refused are told to the client.
const (
	Kept     Fate = iota
	Lost          // answered with 250
	Doubled       // kept twice
	Damaged       // kept with one octet that is another
	Deferred      // 452
	Refused       // 554
	Hung          // there is no answer
	Dropped       // the connection ends
)

// A Fake is a server. Its fields that are functions, numbers and durations are set
// before the first client comes.
type Fake struct {
	SMTP, LMTP, POP3 string
	Far              string // POP3 where mail is seen Lag after it was kept

	Fate  func(n int) Fate // of the n-th mail, from 0; nil: all are kept
	Delay func(n int) time.Duration
	// Retrieved may change what the n-th RETR of a session sends, from 1; nil: nothing.
	Retrieved func(n int, message []byte) []byte
	Late      int // how many logins after a delivery do not see it
	Lag       time.Duration
	Returning bool // what was removed is seen again

	mu        sync.Mutex
	maildrops map[string][]message
	mails     int
	hidden    int // how many more logins do not see the last mail
	sessions  int // POP3 sessions that are logged in
	most      int // of them at once
	logins    int // by AUTH
	stopped   chan struct{}
}

type message struct {
	octets []byte
	kept   time.Time
}

// New serves until the test ends.
func New(t *testing.T) *Fake {
	t.Helper()
	f := &Fake{maildrops: map[string][]message{}, stopped: make(chan struct{})}
	f.SMTP = Listen(t, func(c *Link) { f.receive(c, false) })
	f.LMTP = Listen(t, func(c *Link) { f.receive(c, true) })
	f.POP3 = Listen(t, func(c *Link) { f.handOut(c, false) })
	f.Far = Listen(t, func(c *Link) { f.handOut(c, true) })
	t.Cleanup(func() { close(f.stopped) }) // before the listeners are waited for
	return f
}

// Always is the same fate for every mail.
func Always(fate Fate) func(int) Fate { return func(int) Fate { return fate } }

// Count is how many messages a maildrop has.
func (f *Fake) Count(drop string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.maildrops[drop])
}

// Change changes a message that is kept.
func (f *Fake) Change(drop string, i int, change func([]byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maildrops[drop][i].octets = change(f.maildrops[drop][i].octets)
}

// Most is how many POP3 sessions were logged in at once.
func (f *Fake) Most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// Logins is how many clients have logged in to submit.
func (f *Fake) Logins() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logins
}

func (f *Fake) receive(c *Link, lmtp bool) {
	var to []string
	c.Say("220 fake")
	for {
		verb, arg, ok := c.Hear()
		switch {
		case !ok:
			return
		case verb == "RCPT":
			to = append(to, strings.Trim(strings.TrimPrefix(arg, "TO:"), "<>"))
			c.Say("250 ok")
		case verb == "AUTH":
			f.mu.Lock()
			f.logins++
			f.mu.Unlock()
			c.Say("235 welcome")
		case verb == "DATA":
			c.Say("354 go on")
			if !f.take(c, to, lmtp) {
				return
			}
			to = nil
		case verb == "QUIT":
			c.Say("221 bye")
			return
		default:
			c.Say("250 ok")
		}
	}
}

// take is a mail up to the answer. It says whether the connection goes on.
func (f *Fake) take(c *Link, to []string, lmtp bool) bool {
	octets, ok := c.Content()
	if !ok {
		return false
	}
	fate, delay := f.next()
	if delay > 0 {
		time.Sleep(delay)
	}
	switch fate {
	case Hung:
		<-f.stopped
		return false
	case Dropped:
		return false
	}
	answer := "250 kept"
	switch fate {
	case Deferred:
		answer = "452 full"
	case Refused:
		answer = "554 no"
	case Damaged:
		octets = slices.Clone(octets)
		octets[len(octets)-10] ^= 1
	}
	f.store(to, octets, fate)
	for range answers(to, lmtp) {
		c.Say("%s", answer)
	}
	return true
}

// answers is how many there are to the last octet (RFC 2033, section 4.2).
func answers(to []string, lmtp bool) int {
	if lmtp {
		return len(to)
	}
	return 1
}

// next is what becomes of the next mail.
func (f *Fake) next() (fate Fate, delay time.Duration) {
	f.mu.Lock()
	n := f.mails
	f.mails++
	f.mu.Unlock()
	if f.Fate != nil {
		fate = f.Fate(n)
	}
	if f.Delay != nil {
		delay = f.Delay(n)
	}
	return fate, delay
}

func (f *Fake) store(to []string, octets []byte, fate Fate) {
	copies := 1
	switch fate {
	case Lost, Deferred, Refused:
		copies = 0
	case Doubled:
		copies = 2
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden = f.Late
	for _, drop := range to {
		for range copies {
			f.maildrops[drop] = append(f.maildrops[drop], message{octets, time.Now()})
		}
	}
}

// view is what a login sees.
func (f *Fake) view(drop string, far bool) []message {
	f.mu.Lock()
	defer f.mu.Unlock()
	view := f.maildrops[drop]
	for far && len(view) > 0 && time.Since(view[len(view)-1].kept) < f.Lag {
		view = view[:len(view)-1]
	}
	if f.hidden > 0 && len(view) > 0 {
		f.hidden--
		view = view[:len(view)-1]
	}
	return view
}

// enter counts who is logged in.
func (f *Fake) enter(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions += by
	f.most = max(f.most, f.sessions)
}

func (f *Fake) handOut(c *Link, far bool) {
	var user string
	var view []message
	deleted := map[int]bool{}
	retrieved := 0
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
		case verb == "PASS" && arg != Password:
			c.Say("-ERR [AUTH] no")
		case verb == "PASS":
			view = f.view(user, far)
			f.enter(1)
			defer f.enter(-1)
			c.Say("+OK")
		case verb == "STAT":
			octets := 0
			for _, m := range view {
				octets += len(m.octets)
			}
			c.Say("+OK %d %d", len(view), octets)
		case verb == "UIDL":
			c.Say("+OK")
			for i := range view {
				c.Say("%d u%d", i+1, i)
			}
			c.Say(".")
		case verb == "RETR" && n >= 1 && n <= len(view):
			m := view[n-1].octets
			if retrieved++; f.Retrieved != nil {
				m = f.Retrieved(retrieved, m)
			}
			c.Retrieved(m)
		case verb == "DELE" && n >= 1 && n <= len(view) && !deleted[n]:
			deleted[n] = true
			c.Say("+OK")
		case verb == "QUIT":
			f.remove(user, len(view), deleted)
			c.Say("+OK")
			return
		default:
			c.Say("-ERR no")
		}
	}
}

// remove takes what a session has marked out of a maildrop.
func (f *Fake) remove(user string, seen int, deleted map[int]bool) {
	if len(deleted) == 0 || f.Returning {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []message
	for i, m := range f.maildrops[user] {
		if i >= seen || !deleted[i+1] {
			left = append(left, m)
		}
	}
	f.maildrops[user] = left
}

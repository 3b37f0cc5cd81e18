package pool

import (
	"fmt"
	"time"

	"restante/mailbox"
)

// A breaker keeps mail away from a service that fails. It opens after failures in a row,
// or where too many fail, for a time that doubles each time; then it lets one mail
// through and closes when that succeeds.
type breaker struct {
	row    int // failures in a row
	recent window
	until  time.Time // it is open until then, and half open from then on; zero: closed
	opened int       // how often, since it was closed for long enough
	closed time.Time // when it closed last
	trial  bool      // the one mail is on its way
}

const (
	breakRow           = 5  // failures in a row that open it
	suspectRow         = 3  // that make suspect
	breakMail          = 20 // mails of which half fail within breakWindow open it
	breakWindow        = 30 * time.Second
	breakMin, breakMax = 5 * time.Second, 5 * time.Minute
)

const good, bad = 0, 1 // what a breaker counts

func newBreaker() breaker { return breaker{recent: newWindow(breakWindow, 10)} }

type phase uint8

const (
	closed phase = iota
	open
	halfOpen
)

func (b *breaker) phase(now time.Time) phase {
	switch {
	case b.until.IsZero():
		return closed
	case now.Before(b.until):
		return open
	}
	return halfOpen
}

// end takes note of what came of a mail. A trial is the mail that a half open breaker let
// through; what was on its way before says nothing about now.
func (b *breaker) end(now time.Time, failed, trial bool) {
	if trial {
		b.trial = false
	}
	switch b.phase(now) {
	case open:
		return
	case halfOpen:
		switch {
		case !trial:
		case failed:
			b.open(now)
		default:
			b.row, b.until, b.closed = 0, time.Time{}, now
			b.recent.clear()
		}
		return
	}
	if !failed {
		b.row = 0
		b.recent.add(now, good, 1)
		return
	}
	b.row++
	b.recent.add(now, bad, 1)
	if n := b.recent.sum(now); b.row >= breakRow || n[good]+n[bad] >= breakMail && n[bad] >= n[good] {
		b.open(now)
	}
}

func (b *breaker) open(now time.Time) {
	if !b.closed.IsZero() && now.Sub(b.closed) >= breakWindow {
		b.opened = 0
	}
	b.until = now.Add(min(breakMin<<min(b.opened, 20), breakMax))
	b.opened++
	b.closed = time.Time{}
}

// offer lets one mail through at once.
func (b *breaker) offer(now time.Time) {
	if b.phase(now) == open {
		b.until = now
	}
}

func (b *breaker) reset() { *b = newBreaker() }

func (b *breaker) judge(now time.Time) (State, string) {
	switch b.phase(now) {
	case open:
		return Down, fmt.Sprintf("mail failed; next trial at %s", b.until.UTC().Format(time.TimeOnly))
	case halfOpen:
		return Trial, "one mail is tried"
	}
	if b.row >= suspectRow {
		return Suspect, "mail failed"
	}
	return Up, ""
}

// strangers are whose mail a service refuses for its sender. Who sends under a name that
// is not his is refused again and again, which says nothing about the mail of others: it
// takes several accounts, and no mail taken between, to break the service.
type strangers struct {
	row  int // refusals in a row
	of   map[mailbox.Address]struct{}
	text string // of the last
}

// meet takes note of a refusal, and reports whether there are enough accounts.
func (s *strangers) meet(account mailbox.Address, text string) bool {
	s.row, s.text = s.row+1, text
	if s.of == nil {
		s.of = make(map[mailbox.Address]struct{})
	}
	if len(s.of) < breakRow {
		s.of[account] = struct{}{}
	}
	return len(s.of) == breakRow
}

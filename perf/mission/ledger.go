package mission

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"restante/perf/letter"
)

// A Verdict says what the server did with the mail it had answered for.
type Verdict struct {
	// Verified messages are there octet for octet, for whom they were sent to.
	Verified int `json:"verified"`
	// Missing are acknowledged and not there.
	Missing int `json:"missing"`
	Doubled int `json:"doubled"` // there once more than sent
	Damaged int `json:"damaged"` // with other octets than sent
	Strange int `json:"strange"` // never sent, or to somebody else
	// Miscounted are the maildrops of which STAT told another number of messages,
	// Missized those whose messages had other octets together than STAT told.
	Miscounted int `json:"miscounted"`
	Missized   int `json:"missized"`
	// Left are messages that were there after their removal was acknowledged.
	Left int `json:"left"`
	// Late are the maildrops that had all their mail only some time after the last 250.
	// It is no fault of a server that tells so.
	Late int `json:"late"`
}

// Err tells what is wrong, if anything is.
func (v Verdict) Err() error {
	var errs []error
	for _, count := range []struct {
		n    int
		what string
	}{
		{v.Missing, "messages are missing"}, {v.Doubled, "messages are there twice"}, {v.Damaged, "messages are damaged"},
		{v.Strange, "messages are in a maildrop where they were not sent to"}, {v.Miscounted, "maildrops have a wrong count"},
		{v.Missized, "maildrops have a wrong size"}, {v.Left, "messages are there after their removal"},
	} {
		if count.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", count.n, count.what))
		}
	}
	return errors.Join(errs...)
}

// A ledger knows what was sent and acknowledged, by hashes alone. Mail number n goes to
// users n × recipients and those behind it, round and round.
type ledger struct {
	run        uint64 // that its letters share
	recipients int
	size       int // octets that a message has at least

	mu    sync.Mutex
	mails []mail
	drops []drop
	v     Verdict
}

// A mail is what one letter came to. Its content follows from its number and cannot be
// told before it is composed, so the ledger has its hash from then.
type mail struct {
	sum   uint64
	state state
	seen  uint64 // a bit for each recipient
}

type state uint8

const (
	unsent  state = iota
	refused       // must not be there
	// May be there: it was on its way when the connection ended, or the server said 4xx
	// behind its last octet, as one must that does not know itself.
	unknown
	acknowledged
)

// A drop is the maildrop of one user.
type drop struct {
	acknowledged, unknown int
	found                 int // of what was acknowledged
}

func newLedger(users, recipients, size int) *ledger {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return &ledger{run: binary.BigEndian.Uint64(b[:]), recipients: recipients, size: size, drops: make([]drop, users)}
}

func (l *ledger) id(seq int) letter.ID { return letter.ID{Run: l.run, Seq: uint64(seq)} }

// recipient is the k-th user whom a mail goes to.
func (l *ledger) recipient(seq, k int) int { return (seq*l.recipients + k) % len(l.drops) }

// sent notes what came of a mail.
func (l *ledger) sent(m letter.Letter, s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := int(m.ID.Seq)
	for len(l.mails) <= seq {
		l.mails = append(l.mails, mail{})
	}
	l.mails[seq] = mail{sum: m.Sum, state: s}
	for k := range l.recipients {
		d := &l.drops[l.recipient(seq, k)]
		switch s {
		case acknowledged:
			d.acknowledged++
		case unknown:
			d.unknown++
		}
	}
}

// counted holds STAT to what was acknowledged. It says whether more mail may still come:
// there is less than there must be.
func (l *ledger) counted(user, messages int, octets int64) (less bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.drops[user]
	switch {
	case messages < d.acknowledged:
		return true, fmt.Errorf("user %d: STAT tells %d messages, %d were acknowledged", user, messages, d.acknowledged)
	case messages > d.acknowledged+d.unknown:
		return false, fmt.Errorf("user %d: STAT tells %d messages, %d were acknowledged and %d may be there", user, messages, d.acknowledged, d.unknown)
	case octets < int64(messages)*int64(l.size):
		return false, fmt.Errorf("user %d: STAT tells %d octets, for %d messages of at least %d", user, octets, messages, l.size)
	}
	return false, nil
}

func (l *ledger) note(change func(*Verdict)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.v)
}

// retrieved holds one message of a user to what was sent.
func (l *ledger) retrieved(user int, c *letter.Checker) error {
	id, sum, err := c.Check()
	l.mu.Lock()
	defer l.mu.Unlock()
	m, bit := l.find(user, id)
	if err == nil && m != nil && m.sum != sum {
		err = fmt.Errorf("%w: %v has another hash than was sent", letter.ErrDamaged, id)
	}
	again := m != nil && m.seen&bit != 0
	if m != nil && !again {
		m.seen |= bit
		if m.state == acknowledged {
			l.drops[user].found++
		}
	}
	switch {
	case err != nil:
		l.v.Damaged++
	case m == nil:
		l.v.Strange++
		err = fmt.Errorf("%v was not sent there", id)
	case again:
		l.v.Doubled++
		err = fmt.Errorf("%v is there twice", id)
	default:
		l.v.Verified++
		return nil
	}
	return fmt.Errorf("user %d: %w", user, err)
}

// find is a mail that was sent to a user, with the bit of that recipient, or nil.
func (l *ledger) find(user int, id letter.ID) (*mail, uint64) {
	if id.Run != l.run || id.Seq >= uint64(len(l.mails)) || l.mails[id.Seq].state == unsent {
		return nil, 0
	}
	for k := range l.recipients {
		if l.recipient(int(id.Seq), k) == user {
			return &l.mails[id.Seq], 1 << k
		}
	}
	return nil, 0
}

// complete is called when every message of a user was retrieved.
func (l *ledger) complete(user int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.drops[user]
	missing := d.acknowledged - d.found
	if missing == 0 {
		return nil
	}
	l.v.Missing += missing
	return fmt.Errorf("user %d: %d of %d acknowledged messages are not there", user, missing, d.acknowledged)
}

func (l *ledger) verdict() Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.v
}

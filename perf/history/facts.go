package history

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// never is the time of what has not happened.
const never = time.Duration(math.MaxInt64)

// facts are what a whole history tells of each mail and each message, before any listing
// is judged: a message that was asked to go, or has got its letter, long after a listing.
type facts struct {
	datacenters []string
	spells      []*Spell
	trouble     trouble
	final       time.Duration // never, where the history was not ended in order
	end         time.Duration
	drops       map[string]*drop
}

// A drop is what is known of one maildrop.
type drop struct {
	name     string
	mails    map[string]*mail // by letter
	messages map[string]*message
	blind    int // messages that were asked to go before anybody had read them
	due      []*mail
	order    order
	last     map[int]*listing // by data centre, before the final read
	outcome  map[int]*listing // by data centre, the last of the final read
}

// A mail is one letter to one maildrop.
type mail struct {
	letter, sum string
	line        int // of the first attempt
	copies      int // attempts that may have left one
	messages    []*message
	asked       time.Duration // when the first of its messages was asked to go

	ack         time.Duration // when it was first acknowledged, or never
	tried       time.Duration // when that attempt began
	ackLine, at int           // where in the history, and in which data centre
	elsewhere   time.Duration // when the other data centres are to have it
	seen        int           // line of the last listing with it
	proofs      []knowledge   // that it was there, and nothing has destroyed it since
	lacking     []int         // data centres that end without it

	missed, hidden, late bool // was told already
}

// A message is a unique-id in a maildrop.
type message struct {
	uid        string
	index      uint32 // in the order in which the maildrop's messages were heard of
	letter     string // as its first reader found
	line       int    // of that, or of the first listing
	mail       *mail  // nil: nobody has read it, or nobody has sent it
	octets     int64
	octetsLine int
	asked      time.Duration // when QUIT was first sent for it, or never
	removed    []removal
	seen       int
	proofs     []knowledge // that it was gone, and nothing has destroyed that since
	told       bool        // as resurrected
	excused    bool        // as back without a data centre
	read       []int       // data centres whose final read has had it
}

// A removal is a QUIT that a data centre has answered +OK.
type removal struct {
	knowledge
	line int
}

// Knowledge is what a data centre has answered.
type knowledge struct {
	in        int
	from, at  time.Duration // when it was asked, and known by its client
	elsewhere time.Duration // when the other data centres are to know
}

// due is when a data centre is to know.
func (k knowledge) due(in int) time.Duration {
	if k.in == in {
		return k.at
	}
	return k.elsewhere
}

// maxRemovals bounds what is kept of a message that comes back again and again: of the
// removals beyond it the last one.
const maxRemovals = 8

// gather walks a history once.
func gather(entries iter.Seq2[Entry, error], rules Rules) (*facts, error) {
	f := &facts{final: never, drops: map[string]*drop{}}
	for e, err := range entries {
		if err == nil {
			err = f.add(e)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(f.datacenters) == 0 {
		return nil, errors.New("history: it does not tell its data centres")
	}
	for _, s := range f.spells {
		s.End = min(s.End, f.end)
	}
	f.trouble = newTrouble(f.spells, rules)
	for _, d := range f.drops {
		d.resolve(f.trouble)
	}
	return f, nil
}

func (f *facts) add(e Entry) error {
	f.end = e.To
	switch e.Op {
	case Run:
		f.datacenters = e.Datacenters
		return nil
	case Final:
		f.final = min(f.final, e.From)
		return nil
	case Nemesis:
		return f.spell(e)
	}
	at := slices.Index(f.datacenters, e.Datacenter)
	if at < 0 {
		return fmt.Errorf("history: line %d: there is no data centre %q", e.Line, e.Datacenter)
	}
	switch e.Op {
	case Deliver:
		f.deliver(e, at)
	case List:
		f.list(e)
	case Retr:
		if e.Result == OK {
			m := f.drop(e.Maildrop).message(e.UID, e.Line)
			if m.letter == "" {
				m.letter, m.line = e.Letter, e.Line
			}
		}
	case Quit:
		f.quit(e, at)
	default:
		return fmt.Errorf("history: line %d: what is %q?", e.Line, e.Op)
	}
	return nil
}

// spell notes that trouble begins, or ends.
func (f *facts) spell(e Entry) error {
	i := slices.IndexFunc(f.spells, func(s *Spell) bool { return s.Number == e.Spell })
	switch {
	case i < 0 && !e.Ended && !e.Struck:
		f.spells = append(f.spells, &Spell{
			Number: e.Spell, Name: e.Name, Where: e.Where, Datacenters: e.Datacenters, Destroys: e.Destroys, Begin: e.From, End: never,
		})
	case i >= 0 && e.Ended:
		f.spells[i].End = e.To
	case i >= 0 && e.Struck:
		f.spells[i].Struck = e.To
	default:
		return fmt.Errorf("history: line %d: spell %d begins twice, or ends and has not begun", e.Line, e.Spell)
	}
	return nil
}

func (f *facts) deliver(e Entry, at int) {
	for _, name := range e.Maildrops {
		d := f.drop(name)
		m := d.mails[e.Letter]
		if m == nil {
			m = &mail{letter: e.Letter, sum: e.Sum, line: e.Line, ack: never, asked: never, elsewhere: never}
			d.mails[e.Letter] = m
		}
		if e.Sent {
			m.copies++
		}
		if e.Result == OK && m.ack == never {
			m.ack, m.tried, m.ackLine, m.at = e.To, e.From, e.Line, at
		}
	}
}

func (f *facts) list(e Entry) {
	if e.Result != OK {
		return
	}
	d := f.drop(e.Maildrop)
	for i, uid := range e.UIDs {
		m := d.message(uid, e.Line)
		if m.octetsLine == 0 && i < len(e.Sizes) {
			m.octets, m.octetsLine = e.Sizes[i], e.Line
		}
	}
}

// quit notes that messages were asked to go: whatever the answer, they may have, from the
// time at which QUIT was sent.
func (f *facts) quit(e Entry, at int) {
	d := f.drop(e.Maildrop)
	for _, uid := range e.UIDs {
		m := d.message(uid, e.Line)
		m.asked = min(m.asked, e.From)
		if e.Result == OK {
			m.removed = append(m.removed[:min(len(m.removed), maxRemovals-1)], removal{knowledge{in: at, from: e.From, at: e.To}, e.Line})
		}
	}
}

func (f *facts) drop(name string) *drop {
	d := f.drops[name]
	if d == nil {
		d = &drop{name: name, mails: map[string]*mail{}, messages: map[string]*message{}, last: map[int]*listing{}, outcome: map[int]*listing{}}
		d.order.lines = map[step]int{}
		f.drops[name] = d
	}
	return d
}

func (d *drop) message(uid string, line int) *message {
	m := d.messages[uid]
	if m == nil {
		m = &message{uid: uid, line: line, asked: never, index: uint32(len(d.messages))}
		d.messages[uid] = m
	}
	return m
}

// resolve gives every message its mail, now that all of both are known.
func (d *drop) resolve(t trouble) {
	for _, m := range d.messages {
		for i := range m.removed {
			m.removed[i].elsewhere = t.converged(m.removed[i].at)
		}
		m.mail = d.mails[m.letter]
		switch {
		case m.mail != nil:
			m.mail.messages = append(m.mail.messages, m)
			m.mail.asked = min(m.mail.asked, m.asked)
		case m.letter == "" && m.asked != never:
			d.blind++
		}
	}
	for _, m := range d.mails {
		if m.ack != never {
			m.elsewhere = t.converged(m.ack)
		}
	}
}

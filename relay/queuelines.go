package relay

import "slices"

// lines are the messages that are due, in order of coming, in a line for each class and
// each way in which a pool may tell mails apart. So mail that no service takes just now
// costs one question, however much there is of it, and holds up nothing else; and a
// sender who has much does not hold up one who has little.
type lines struct {
	classes [3]classLines
	credits [3]int // smooth weighted round robin
	before  [3]int // the credits before the last take
	blocked []*line
}

type classLines struct {
	all  map[kindOf]*line
	turn []*line // those that may be asked; the first has its turn
}

// A kindOf is what a pool may tell mails of a class apart by.
type kindOf struct {
	domain             string
	utf8, signed, vast bool
}

// vast is above what every service takes, in octets.
const vast = 10 << 20

type line struct {
	class   Class
	kind    kindOf
	waiting fifo
}

// shares are how many of a class are taken in turn: 8 to 4 to 1. Each class has a share,
// so that none starves.
var shares = [3]int{High: 8, Normal: 4, Bulk: 1}

func newLines() lines {
	var l lines
	for i := range l.classes {
		l.classes[i].all = make(map[kindOf]*line)
	}
	return l
}

func (l *lines) push(m *message) {
	s := unpack(m.packed)
	kind := kindOf{senderDomain(s), s.UTF8, s.Signed, s.Octets > vast}
	c := &l.classes[m.class]
	of := c.all[kind]
	if of == nil {
		of = &line{class: m.class, kind: kind}
		c.all[kind] = of
		c.turn = append(c.turn, of)
	}
	of.waiting.push(m)
}

// take is the next message with its line, or nil where all lines are empty or blocked.
func (l *lines) take() (*message, *line) {
	l.before = l.credits
	next, sum := -1, 0
	for i := range l.classes {
		if len(l.classes[i].turn) == 0 {
			continue
		}
		sum += shares[i]
		if l.credits[i] += shares[i]; next < 0 || l.credits[i] > l.credits[next] {
			next = i
		}
	}
	if next < 0 {
		return nil, nil
	}
	l.credits[next] -= sum

	c := &l.classes[next]
	first := c.turn[0]
	m := first.waiting.pop()
	c.turn = slices.Delete(c.turn, 0, 1)
	if first.waiting.len() > 0 {
		c.turn = append(c.turn, first)
	} else {
		delete(c.all, first.kind)
	}
	return m, first
}

// block puts the message that was taken last back at the head of its line, and has the
// line wait. It costs the class nothing.
func (l *lines) block(of *line, m *message) {
	l.credits = l.before
	c := &l.classes[of.class]
	if now := c.all[of.kind]; now == nil {
		c.all[of.kind] = of // it was emptied
	} else {
		of = now
	}
	of.waiting.pushFront(m)
	c.turn = slices.DeleteFunc(c.turn, func(other *line) bool { return other == of })
	l.blocked = append(l.blocked, of)
}

// unblock lets all lines be asked again.
func (l *lines) unblock() {
	for _, of := range l.blocked {
		l.classes[of.class].turn = append(l.classes[of.class].turn, of)
	}
	clear(l.blocked)
	l.blocked = l.blocked[:0]
}

// A fifo is messages in their order.
type fifo struct {
	items []*message
	head  int
}

func (f *fifo) len() int { return len(f.items) - f.head }

func (f *fifo) push(m *message) {
	if f.head > 1024 && f.head > len(f.items)/2 {
		f.items = append(f.items[:0:0], f.items[f.head:]...) // let go of what was taken
		f.head = 0
	}
	f.items = append(f.items, m)
}

func (f *fifo) pushFront(m *message) {
	if f.head == 0 {
		f.items = slices.Insert(f.items, 0, m)
		return
	}
	f.head--
	f.items[f.head] = m
}

// pop is the first message, or nil.
func (f *fifo) pop() *message {
	if f.len() == 0 {
		return nil
	}
	m := f.items[f.head]
	f.items[f.head] = nil
	if f.head++; f.head == len(f.items) {
		*f = fifo{}
	}
	return m
}

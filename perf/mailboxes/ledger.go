package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A ledger knows every mailbox and every message of a load and holds the server to
// them: addresses and ids are unique, a message whose posting was answered is listed
// in its mailbox, and in no other, and reads as it was posted, until somebody asks for
// its removal; what was removed never comes back.
type ledger struct {
	seed  uint64
	names *names // shared by all loads on a server

	mu       sync.Mutex
	clock    moment
	boxes    []*box    // by number
	open     []int     // the mailboxes that users may choose
	messages []message // by number
	faults   []string  // the first few of each kind
	kinds    map[string]int
	count    counts
}

// A moment is a place in the order of what clients did: when they began to send a
// request, and when they had its answer. Zero is never.
type moment int64

// before reports whether something had happened at another moment.
func before(what, other moment) bool { return what > 0 && what < other }

// counts are what a load came to.
type counts struct {
	made, posted, removed int
	gone                  int // requests for what another user was removing, answered 404
	lost, wrong           int
}

// bad is how many promises were broken.
func (c counts) bad() int { return c.lost + c.wrong }

// names are addresses and ids, which belong to one mailbox or message each.
type names struct {
	mu    sync.Mutex
	taken map[string]bool
}

// take reports whether nobody had the name.
func (n *names) take(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken[name] || name == "" {
		return false
	}
	n.taken[name] = true
	return true
}

// A box is a mailbox.
type box struct {
	email             string
	place             int   // in the ledger's list of open ones, -1: not there
	messages          []int // all that were ever sent there
	known             []int // those that users may choose
	removing, removed moment
}

// A message is known by its number.
type message struct {
	box               int
	id                string // empty: not known
	size              int64
	received          int64  // as the server says, in ns; it orders a listing
	posted            moment // 0: not known to be kept
	removing, removed moment
	lost              bool
}

// How many faults are told.
const (
	maxFaults        = 10 // of requests that failed
	maxFaultsOfAKind = 3  // of answers that were wrong
)

func newLedger(seed uint64, known *names) *ledger {
	return &ledger{seed: seed, names: known, kinds: map[string]int{}}
}

// now is a moment of its own. The caller has the lock.
func (l *ledger) now() moment {
	l.clock++
	return l.clock
}

// send is the moment at which a request is about to be sent.
func (l *ledger) send() moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now()
}

// made notes a new mailbox.
func (l *ledger) made(email string) (number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.names.take(email) {
		l.wrong("a new mailbox has the address %q, which another has or none can have", email)
	}
	number = len(l.boxes)
	l.boxes = append(l.boxes, &box{email: email, place: len(l.open)})
	l.open = append(l.open, number)
	l.count.made++
	return number
}

// choose is any mailbox that nobody has begun to remove.
func (l *ledger) choose() (number int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) == 0 {
		return 0, false
	}
	return l.open[rand.IntN(len(l.open))], true
}

// begin notes a message that is about to be posted, unless the mailbox is being
// removed.
func (l *ledger) begin(b int) (number int, email string, d draft, sent moment, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.boxes[b]
	if to.place < 0 {
		return 0, "", draft{}, 0, false
	}
	number = len(l.messages)
	l.messages = append(l.messages, message{box: b})
	to.messages = append(to.messages, number)
	return number, to.email, l.draft(number), l.now(), true
}

// posted notes that the server has taken a message, by a request sent at a moment.
func (l *ledger) posted(number int, sent moment, got shown) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[number]
	if n, ok := l.verify(m.box, sent, got); ok && n != number {
		l.wrong("message %d was posted, and message %d answered", number, n)
	}
	m.posted = l.now()
	l.count.posted++
	if to := l.boxes[m.box]; to.place >= 0 && m.id != "" {
		to.known = append(to.known, number)
	}
}

// pick is any message of a mailbox that nobody has begun to remove.
func (l *ledger) pick(b int) (number int, email, id string, sent moment, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.boxes[b]
	if in.place < 0 || len(in.known) == 0 {
		return 0, "", "", 0, false
	}
	number = in.known[rand.IntN(len(in.known))]
	return number, in.email, l.messages[number].id, l.now(), true
}

// discard is pick for somebody who removes the message: nobody else will choose it.
func (l *ledger) discard(b int) (number int, email, id string, sent moment, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.boxes[b]
	if in.place < 0 || len(in.known) == 0 {
		return 0, "", "", 0, false
	}
	i, last := rand.IntN(len(in.known)), len(in.known)-1
	number = in.known[i]
	in.known[i] = in.known[last]
	in.known = in.known[:last]
	m := &l.messages[number]
	m.removing = l.now()
	return number, in.email, m.id, m.removing, true
}

// discarded notes that the server has removed a message.
func (l *ledger) discarded(number int, said string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[number]
	if said != m.id {
		l.wrong("message %d was removed, and %q answered", number, said)
	}
	m.removed = l.now()
	l.count.removed++
}

// shut is for somebody who removes a mailbox: nobody will choose it from now on.
func (l *ledger) shut(b int) (email string, sent moment, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.boxes[b]
	if it.place < 0 {
		return "", 0, false
	}
	last := l.open[len(l.open)-1]
	l.open[it.place] = last
	l.boxes[last].place = it.place
	l.open = l.open[:len(l.open)-1]
	it.place, it.known = -1, nil
	it.removing = l.now()
	return it.email, it.removing, true
}

// removed notes that the server has removed a mailbox.
func (l *ledger) removed(b int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.boxes[b].removed = l.now()
}

// noMessage is the number of none.
const noMessage = -1

// absent judges the answer that there is no such mailbox or, if a number is given, no
// such message. That is as it should be only where another user has begun to remove it
// since the request was sent.
func (l *ledger) absent(b, number int, sent moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.boxes[b].removing > sent, number != noMessage && l.messages[number].removing > sent:
		l.count.gone++
	case number != noMessage:
		l.lose(number, "is said not to exist")
	default:
		l.wrong("mailbox %d, which nobody has removed, is said not to exist", b)
	}
}

// read judges a message that was asked for by its id.
func (l *ledger) read(number int, sent moment, got shown) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.verify(l.messages[number].box, sent, got); ok && n != number {
		l.wrong("message %d was asked for, and message %d answered", number, n)
	}
}

// A query is what a listing was asked for.
type query struct {
	box   int
	from  int   // the message with which it begins, or noMessage
	below int64 // all messages received before, in ns, where no message is given
	limit int
	sent  moment
}

// first is the query of a mailbox's newest messages.
func first(b, limit int, sent moment) query {
	return query{box: b, from: noMessage, below: math.MaxInt64, limit: limit, sent: sent}
}

// listed judges a page: its messages are of that mailbox, the newest first, and none is
// missing between where it was to begin and where it ends.
func (l *ledger) listed(q query, got listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.boxes[q.box]
	if len(got.Data) > q.limit {
		l.wrong("a page of %d messages has %d", q.limit, len(got.Data))
	}
	if q.from != noMessage {
		q.below = l.messages[q.from].received + 1
	}
	seen := make(map[int]bool, len(got.Data))
	last := q.below
	for i, row := range got.Data {
		n, ok := l.verify(q.box, q.sent, row)
		if !ok {
			continue
		}
		if i == 0 && q.from != noMessage && n != q.from && l.stays(q.from, q.sent) {
			l.wrong("a page from message %d begins with message %d", q.from, n)
		}
		if seen[n] || row.Received.UnixNano() > last {
			l.wrong("message %d is not where it belongs on a page of mailbox %d", n, q.box)
		}
		seen[n], last = true, row.Received.UnixNano()
	}
	if got.Links.Next == "" {
		last = 0 // there is nothing else
	}
	leaving := false
	for _, n := range in.messages {
		m := l.messages[n]
		if m.received > last && m.received < q.below && !seen[n] && l.stays(n, q.sent) {
			l.lose(n, "is missing on a page")
		}
		leaving = leaving || m.removing > 0 && (m.removed == 0 || m.removed > q.sent)
	}
	if got.Links.Next != "" && len(got.Data) < q.limit && !leaving && in.removing == 0 {
		l.wrong("a page of %d messages has %d, and there is another", q.limit, len(got.Data))
	}
}

// stuck notes that the next page of a mailbox does not go on where the last one ended.
func (l *ledger) stuck(b int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong("a next page of mailbox %d ends with nothing older than the page before", b)
}

// looked judges the number of messages of a mailbox that nobody uses any more.
func (l *ledger) looked(b int, sent moment, messages int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	least, most := 0, 0
	for _, n := range l.boxes[b].messages {
		if l.stays(n, sent) {
			least++
		}
		if l.messages[n].removed == 0 {
			most++
		}
	}
	if l.boxes[b].removed > 0 {
		l.wrong("mailbox %d was removed, and is there", b)
	} else if messages < least || messages > most {
		l.wrong("mailbox %d is said to have %d messages, and has %d to %d", b, messages, least, most)
	}
}

// unseen judges the answer, when the load is over, that there is no such mailbox.
func (l *ledger) unseen(b int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.boxes[b].removing == 0 {
		l.wrong("mailbox %d, which nobody has removed, is not there in the end", b)
	}
}

// stays reports whether a message was there when a request was sent, and all the time
// until now. The caller has the lock.
func (l *ledger) stays(number int, sent moment) bool {
	m := l.messages[number]
	return m.posted > 0 && m.posted < sent && m.removing == 0 && l.boxes[m.box].removing == 0
}

// verify finds out which message the server shows in a mailbox, and whether it is as it
// was posted. The caller has the lock.
func (l *ledger) verify(b int, sent moment, got shown) (number int, ok bool) {
	_, tail, _ := strings.Cut(got.Subject, "#")
	number, err := strconv.Atoi(tail)
	if err != nil || number < 0 || number >= len(l.messages) {
		l.wrong("mailbox %d shows %.200q", b, fmt.Sprint(got))
		return 0, false
	}
	want := l.draft(number)
	if got.Sender != want.Sender || got.Subject != want.Subject || got.Body != want.Body || !got.Sent.Equal(want.Sent) {
		l.wrong("mailbox %d shows %.200q, not %.200q", b, fmt.Sprint(got.draft), fmt.Sprint(want))
		return 0, false
	}
	m := &l.messages[number]
	if m.box != b {
		l.wrong("mailbox %d shows message %d, of mailbox %d", b, number, m.box)
		return 0, false
	}
	if m.id == "" {
		m.id, m.size, m.received = got.ID, got.Size, got.Received.UnixNano()
		if !l.names.take(got.ID) {
			l.wrong("message %d has the id %q, which another has or none can have", number, got.ID)
		}
	}
	if m.id != got.ID || m.size != got.Size || m.received != got.Received.UnixNano() {
		l.wrong("message %d is id %s of %d octets, and %s of %d, or was received at two times", number, m.id, m.size, got.ID, got.Size)
	}
	if before(l.boxes[b].removed, sent) || before(m.removed, sent) {
		l.wrong("message %d was removed, and is shown", number)
	}
	return number, true
}

// settled are the counts so far.
func (l *ledger) settled() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// all are the addresses of all mailboxes there ever were, by number.
func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	emails := make([]string, len(l.boxes))
	for i, b := range l.boxes {
		emails[i] = b.email
	}
	return emails
}

func (l *ledger) lose(number int, how string) {
	if m := &l.messages[number]; !m.lost {
		m.lost = true
		l.count.lost++
		l.fault("message %d of mailbox %d is lost: it %s", number, m.box, how)
	}
}

func (l *ledger) wrong(format string, args ...any) {
	l.count.wrong++
	l.fault(format, args...)
}

// fault keeps some examples of each kind, so that one does not hide the others.
func (l *ledger) fault(format string, args ...any) {
	l.kinds[format]++
	if l.kinds[format] <= maxFaultsOfAKind {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

var bodies = []string{
	"Call when you are home.", "The train is late.", "Bring bread and a coat.", "Is it about the house?\n.\n.. and the river",
	"All are well.", "Grüße aus Köln", "Please answer soon.", "Rain comes early this year.",
}

// draft is what message number says. Its subject ends in the number, and no message of
// another load is the same. As JSON it has about 150 octets, as the published ones.
func (l *ledger) draft(number int) draft {
	dice := rand.New(rand.NewPCG(l.seed, uint64(number)))
	return draft{
		Sender:  "reader" + strconv.Itoa(dice.IntN(1000)) + "@example.org",
		Subject: fmt.Sprintf("we need to talk %08x #%d", uint32(l.seed), number),
		Body:    bodies[dice.IntN(len(bodies))],
		Sent:    time.Unix(1_600_000_000+int64(dice.IntN(100_000_000)), 0).UTC(),
	}
}

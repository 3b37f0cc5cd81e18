package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A ledger knows every text of a load and holds the server to it: ids are unique,
// a text is returned at least once and to its user, and none when its time is over.
type ledger struct {
	seed  uint64
	began time.Time
	ids   *ids // shared by all loads on a server

	mu     sync.Mutex
	texts  []text // by number
	visits map[int][]visit
	faults []string // the first few
	count  counts
}

// counts are what a load came to.
type counts struct {
	posted, returned, again, late, lost, wrong int
	overdue                                    int // texts whose time ended before anybody came for them
}

// ids are known to belong to one text each.
type ids struct {
	mu    sync.Mutex
	taken map[int64]bool
}

// A text is known by its number. Times are since the ledger began.
type text struct {
	user           int
	id             int64 // 0: not known
	timeout        time.Duration
	sent, answered time.Duration // answered 0: not known to be kept
	returned       int
}

// A visit is a request for the texts of a user that was answered with all of them.
type visit struct{ sent, answered time.Duration }

// fullAnswer is how many texts one answer has at most: there may be more.
const fullAnswer = 1000

const maxFaults = 10

func newLedger(seed uint64, known *ids) *ledger {
	return &ledger{seed: seed, began: time.Now(), ids: known, visits: make(map[int][]visit)}
}

func (l *ledger) now() time.Duration { return time.Since(l.began) }

// begin notes a text that is about to be sent, and says what it says.
func (l *ledger) begin(user int, timeout time.Duration) (number int, content string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number = len(l.texts)
	l.texts = append(l.texts, text{user: user, timeout: timeout, sent: l.now()})
	return number, l.content(number)
}

// kept notes that the server has a text.
func (l *ledger) kept(number int, id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts[number].answered = l.now()
	l.count.posted++
	l.identify(number, id)
}

// identify notes the id of a text, as either answer told it.
func (l *ledger) identify(number int, id int64) {
	t := &l.texts[number]
	if t.id == id {
		return
	}
	if t.id != 0 {
		l.wrong("text %d has the ids %d and %d", number, t.id, id)
		return
	}
	t.id = id
	l.ids.mu.Lock()
	defer l.ids.mu.Unlock()
	if l.ids.taken[id] || id <= 0 || id >= 1<<53 {
		l.wrong("text %d has the id %d, which another text has or none can have", number, id)
	}
	l.ids.taken[id] = true
}

// took notes what a user was given, by a request that was sent at a time.
func (l *ledger) took(user int, sent time.Duration, texts []gotten) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(texts) < fullAnswer {
		l.visits[user] = append(l.visits[user], visit{sent, l.now()})
	}
	for _, g := range texts {
		_, tail, _ := strings.Cut(g.Text, "#")
		number, err := strconv.Atoi(tail)
		if err != nil || number < 0 || number >= len(l.texts) || l.content(number) != g.Text {
			l.wrong("user %d was given %.100q", user, g.Text)
			continue
		}
		t := &l.texts[number]
		if t.user != user {
			l.wrong("user %d was given text %d, of user %d", user, number, t.user)
		}
		l.identify(number, g.ID)
		if t.returned++; t.returned > 1 {
			l.count.again++
		} else {
			l.count.returned++
		}
		if t.answered > 0 && sent >= t.answered+t.timeout {
			l.count.late++
			l.fault("text %d was asked for %v after its time, and returned", number, sent-t.answered-t.timeout)
		}
	}
}

// waiting are the users that have texts which were not returned and whose time is not
// over.
func (l *ledger) waiting() map[int]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := make(map[int]bool)
	for _, t := range l.texts {
		if t.returned == 0 && t.answered > 0 && l.now() < t.answered+t.timeout {
			users[t.user] = true
		}
	}
	return users
}

// settle looks for texts that were not returned although their users came in time.
func (l *ledger) settle() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, t := range l.texts {
		if t.returned > 0 || t.answered == 0 {
			continue
		}
		missed := false
		for _, v := range l.visits[t.user] {
			missed = missed || v.sent >= t.answered && v.answered < t.sent+t.timeout
		}
		if !missed {
			l.count.overdue++
			continue
		}
		l.count.lost++
		l.fault("text %d of user %d is lost", number, t.user)
	}
	return l.count
}

// settled are the counts so far.
func (l *ledger) settled() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *ledger) wrong(format string, args ...any) {
	l.count.wrong++
	l.fault(format, args...)
}

func (l *ledger) fault(format string, args ...any) {
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// bad is how many promises were broken.
func (c counts) bad() int { return c.again + c.late + c.lost + c.wrong }

var words = strings.Fields("the a post office door yellow letter stamp bicycle train when we meet I will bring your coat and some bread " +
	"because rain comes early this year grandmother says hello to all of you please answer soon it is about the house by the river")

// content is a sentence of 33 to 131 octets, 57 on average as in the published load,
// that ends in the number of the text.
func (l *ledger) content(number int) string {
	dice := rand.New(rand.NewPCG(l.seed, uint64(number)))
	tail := " #" + strconv.Itoa(number)
	octets := min(33+int(dice.ExpFloat64()*25), 131) - len(tail)
	var b strings.Builder
	for b.Len() < octets {
		b.WriteString(words[dice.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:octets] + tail
}

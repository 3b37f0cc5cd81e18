package mailboxtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"restante/mailbox"
)

// Model makes up histories: deliveries and removals step by step, in the order
// the domain keeps (content before listing, listing before release) and out of
// it, by several writers at once, each repeated, early or late. After every step
// the store must look like plain maps to which the same happened, and a list
// that a session holds must be as it was. A history that fails is shrunk.
//
// What was added to a maildrop and what was removed from it are sets that only
// grow, and removed wins, so that the order in which a step's calls reach the
// store does not matter: that is the promise which replaces locks.
func (o Options) Model(t *testing.T, open func(t *testing.T) Stores) {
	o, stores := o.withDefaults(), open(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, o, stores)
		rt.Repeat(map[string]func(*rapid.T){ // takes each as often
			"a call":          func(*rapid.T) { m.step(1) },
			"another call":    func(*rapid.T) { m.step(1) },
			"one more call":   func(*rapid.T) { m.step(1) },
			"calls at once":   func(*rapid.T) { m.step(min(4, o.Writers)) },
			"a session lists": func(*rapid.T) { m.beginSession() },
			"":                func(*rapid.T) { m.checkLists() },
		})
		m.checkContents(m.messages...)
	})
}

type model struct {
	*rapid.T
	Options
	stores Stores
	start  time.Time

	drops     []mailbox.MaildropID
	messages  []*modelMessage
	sessions  []*modelSession
	domains   []string
	addresses []mailbox.Address // in the order of their first write
	routes    map[mailbox.Address]mailbox.Route

	steps int

	// In the current step.
	putting, releasing map[*modelMessage]bool
	adding             map[modelLine]bool
	routing            map[mailbox.Address]bool
	after              []func() // notes what the calls changed
}

// A modelMessage is what has happened to one message. Failures give its number
// and not its id, here and below: only a history that fails in the same words
// each time can be shrunk.
type modelMessage struct {
	n       int
	id      mailbox.MessageID
	octets  []byte
	expires time.Time
	drops   []mailbox.MaildropID // everyone it is accepted for
	kept    bool                 // Put succeeded

	added, removed, released map[mailbox.MaildropID]bool

	entries map[mailbox.MaildropID][]mailbox.Entry // one each, once it was added
}

// gone reports whether every maildrop has released the content.
func (msg *modelMessage) gone() bool { return len(msg.released) == len(msg.drops) }

// listed is the message as List has it.
func (msg *modelMessage) listed() mailbox.Message {
	return mailbox.Message{ID: msg.id, Octets: int64(len(msg.octets)), Expires: msg.expires, Recipients: len(msg.drops)}
}

// A modelSession is a reader that lists a maildrop and holds on to the list.
type modelSession struct {
	drop         mailbox.MaildropID
	list, before []mailbox.Message
}

func newModel(t *rapid.T, o Options, stores Stores) *model {
	domain := newDomain()
	m := &model{
		T: t, Options: o, stores: stores, start: time.Now(),
		drops:   newDrops(rapid.IntRange(1, 3).Draw(t, "maildrops")),
		domains: []string{domain, domain + ".uk"},
		routes:  make(map[mailbox.Address]mailbox.Route),
	}
	for range 2 {
		m.sessions = append(m.sessions, &modelSession{drop: m.anyDrop("of session", m.drops)})
	}
	// What makes the ids of this history differ from those of others is in the
	// octets that order them last, so that the order is the history's own.
	var salt [6]byte
	rand.Read(salt[:]) // never fails
	for n := range rapid.IntRange(1, 16).Draw(t, "messages") {
		m.messages = append(m.messages, m.newMessage(n, salt))
	}
	return m
}

// newMessage makes up the n-th message. Some have the same time, as messages of
// several processes may, and some have expired.
func (m *model) newMessage(n int, salt [6]byte) *modelMessage {
	tail := [8]byte{rapid.SampledFrom([]byte{0x80, 0xbf}).Draw(m.T, "clock sequence"), byte(n * 0x55)}
	copy(tail[2:], salt[:])
	ticks := uint64(m.start.UnixNano()/100) + rapid.Uint64Range(0, 3).Draw(m.T, "time")
	size := rapid.SampledFrom([]int{500, 0, 1, 1000, 2000, 128 << 10, 128<<10 + 1, 300 << 10}).Draw(m.T, "octets")
	msg := &modelMessage{
		n:        n,
		id:       idAt(ticks, tail),
		octets:   octets(size, uint64(n)),
		added:    make(map[mailbox.MaildropID]bool),
		removed:  make(map[mailbox.MaildropID]bool),
		released: make(map[mailbox.MaildropID]bool),
		entries:  make(map[mailbox.MaildropID][]mailbox.Entry),
	}
	switch rapid.SampledFrom([]string{"never", "never", "later", "before"}).Draw(m.T, "expires") {
	case "later":
		msg.expires = m.start.Add(time.Hour)
	case "before":
		msg.expires = m.start.Add(-time.Minute)
	}
	for i, drop := range m.drops {
		if i == n%len(m.drops) || rapid.Bool().Draw(m.T, "also for another maildrop") {
			msg.drops = append(msg.drops, drop)
		}
	}
	return msg
}

// An action notes in the maps what will have happened, and returns the call
// that makes it happen, or nil where nothing sensible is left to do.
var actions = map[string]func(*model) func() error{
	"put":                   (*model).put,
	"deliver":               (*model).deliver,
	"add":                   (*model).add,
	"add several":           (*model).addSeveral,
	"remove by id":          (*model).removeByID,
	"withdraw":              (*model).withdraw,
	"remove what is listed": (*model).removeListed,
	"release":               (*model).release,
	"break off":             (*model).breakOff,
	"route":                 (*model).route,
}

// often has the names of the actions, more than once those that a history needs
// more of to become interesting.
var often = []string{
	"deliver", "deliver", "deliver", "put", "add", "add several", "add several", "remove by id", "withdraw",
	"remove what is listed", "remove what is listed", "release", "release", "break off", "route",
}

// step lets so many things happen at once, and compares.
func (m *model) step(atOnce int) {
	if m.steps++; m.steps > m.Steps {
		return
	}
	m.putting, m.releasing = make(map[*modelMessage]bool), make(map[*modelMessage]bool)
	m.adding, m.routing = make(map[modelLine]bool), make(map[mailbox.Address]bool)
	m.after = nil
	var calls []func() error
	for range atOnce {
		if call := actions[rapid.SampledFrom(often).Draw(m.T, "call")](m); call != nil {
			calls = append(calls, call)
		}
	}
	failures := make([]error, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { failures[i] = call() })
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			m.Logf("%v", err)
			m.Fatalf("a call failed")
		}
	}
	for _, note := range m.after {
		note()
	}
	for _, msg := range m.messages {
		if m.putting[msg] || m.releasing[msg] {
			m.checkContents(msg)
		}
	}
	m.checkRoutes()
}

// beginSession lets a session list its maildrop anew.
func (m *model) beginSession() {
	s := m.anySession()
	s.list = m.list(s.drop)
	s.before = slices.Clone(s.list)
}

func (m *model) anyMessage() *modelMessage {
	return m.messages[rapid.IntRange(0, len(m.messages)-1).Draw(m.T, "message")]
}

func (m *model) anySession() *modelSession {
	return m.sessions[rapid.IntRange(0, len(m.sessions)-1).Draw(m.T, "session")]
}

func (m *model) anyDrop(label string, drops []mailbox.MaildropID) mailbox.MaildropID {
	return drops[rapid.IntRange(0, len(drops)-1).Draw(m.T, "maildrop "+label)]
}

// put keeps the content of a message, perhaps again. No promise says what a Put
// does at the same time as a Release or after the last.
func (m *model) put() func() error {
	msg := m.anyMessage()
	if msg.gone() || m.putting[msg] || m.releasing[msg] {
		return nil
	}
	msg.kept, m.putting[msg] = true, true
	return func() error { return m.putNow(msg) }
}

func (m *model) putNow(msg *modelMessage) error {
	c := mailbox.Content{ID: msg.id, Maildrops: msg.drops}
	n, err := m.stores.Contents.Put(m.Context(), c, bytes.NewReader(msg.octets))
	if err == nil && n != int64(len(msg.octets)) {
		err = fmt.Errorf("put counted %d octets; want %d", n, len(msg.octets))
	}
	return err
}

// deliver keeps and lists a message for everyone it was accepted for.
func (m *model) deliver() func() error {
	msg := m.anyMessage()
	if msg.kept {
		return nil
	}
	msg.kept, m.putting[msg] = true, true
	var lines []modelLine
	for _, drop := range msg.drops {
		lines = append(lines, modelLine{drop, msg})
	}
	add := m.addLines(lines)
	return func() error {
		if err := m.putNow(msg); err != nil {
			return err
		}
		return add()
	}
}

// A modelLine is a message in a maildrop.
type modelLine struct {
	drop mailbox.MaildropID
	msg  *modelMessage
}

// addLines adds messages, perhaps again, perhaps too late. A line is new in one
// call of a step alone: it gets its place then, which repeats have to know.
func (m *model) addLines(lines []modelLine) func() error {
	var entries []mailbox.Entry
	for _, l := range lines {
		again := l.msg.entries[l.drop]
		if len(again) == 0 && m.adding[l] {
			continue
		}
		l.msg.added[l.drop] = true
		if len(again) > 0 {
			entries = append(entries, again...)
			continue
		}
		m.adding[l] = true
		n := len(entries)
		entries = append(entries, mailbox.Entry{Maildrop: l.drop, Message: l.msg.listed()})
		m.after = append(m.after, func() { l.msg.entries[l.drop] = slices.Clone(entries[n : n+1]) })
	}
	return func() error { return m.stores.Maildrops.Add(m.Context(), entries) }
}

func (m *model) add() func() error {
	msg := m.anyMessage()
	if !msg.kept {
		return nil
	}
	return m.addLines([]modelLine{{m.anyDrop("to add to", msg.drops), msg}})
}

func (m *model) addSeveral() func() error {
	var lines []modelLine
	for _, msg := range m.messages {
		if msg.kept && rapid.Bool().Draw(m.T, "this one") {
			lines = append(lines, modelLine{m.anyDrop("to add to", msg.drops), msg})
		}
	}
	return m.addLines(lines)
}

// removeByID removes a message that was added in an earlier step, and with its
// place if it is to stay removed whatever is repeated.
func (m *model) removeByID() func() error {
	msg := m.anyMessage()
	drop := m.anyDrop("to remove from", msg.drops)
	if len(msg.entries[drop]) == 0 {
		return nil
	}
	msg.removed[drop] = true
	gone := msg.entries[drop][0].Message
	if rapid.Bool().Draw(m.T, "without its place") {
		gone = mailbox.Message{ID: msg.id}
	}
	return func() error { return m.stores.Maildrops.Remove(m.Context(), drop, gone) }
}

// withdraw adds a line, fails and takes it back, as a delivery does. A repeat may
// still come.
func (m *model) withdraw() func() error {
	msg := m.anyMessage()
	l := modelLine{m.anyDrop("to withdraw from", msg.drops), msg}
	if len(msg.entries[l.drop]) > 0 || m.adding[l] {
		return nil
	}
	m.adding[l], msg.removed[l.drop] = true, true
	entries := []mailbox.Entry{{Maildrop: l.drop, Message: msg.listed()}}
	m.after = append(m.after, func() { msg.entries[l.drop] = entries })
	return func() error {
		ctx, cancel := context.WithCancel(m.Context())
		cancel()
		if err := m.stores.Maildrops.Add(ctx, entries); err == nil {
			return errors.New("an addition succeeded with a context that had ended")
		}
		return m.stores.Maildrops.Remove(m.Context(), l.drop, entries[0].Message)
	}
}

// removeListed removes some of what a session saw, perhaps long ago.
func (m *model) removeListed() func() error {
	s := m.anySession()
	var gone []mailbox.Message
	for _, listed := range s.list {
		if !rapid.Bool().Draw(m.T, "this one") {
			continue
		}
		gone = append(gone, listed)
		for _, msg := range m.messages {
			if msg.id == listed.ID {
				msg.removed[s.drop] = true
			}
		}
	}
	return func() error { return m.stores.Maildrops.Remove(m.Context(), s.drop, gone...) }
}

// release lets go of everything that a maildrop has removed, as QUIT does, and
// of what it never had, which changes nothing.
func (m *model) release() func() error {
	drop := m.anyDrop("that releases", m.drops)
	gone := []mailbox.Message{{ID: ids.Next()}}
	for _, msg := range m.messages {
		switch {
		case !msg.kept || m.putting[msg]:
		case !slices.Contains(msg.drops, drop):
			gone = append(gone, mailbox.Message{ID: msg.id})
		case msg.removed[drop]:
			gone = append(gone, msg.listed())
			msg.released[drop], m.releasing[msg] = true, true
		}
	}
	return func() error { return m.stores.Contents.Release(m.Context(), drop, gone...) }
}

// breakOff puts a message whose client goes away: none of it can be opened.
func (m *model) breakOff() func() error {
	n := rapid.SampledFrom([]int{0, 1, 128 << 10, 200 << 10}).Draw(m.T, "octets before the end")
	c := mailbox.Content{ID: ids.Next(), Maildrops: m.drops}
	return func() error {
		r := io.MultiReader(bytes.NewReader(octets(n, 0)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := m.stores.Contents.Put(m.Context(), c, r); err == nil {
			return errors.New("a put succeeded although its reader failed")
		}
		if got, err := readAll(m.Context(), m.stores.Contents, c.ID); !errors.Is(err, mailbox.ErrNotFound) {
			return fmt.Errorf("after a put that failed, %d octets could be read, %s; want not found", len(got), outcome(err))
		}
		return nil
	}
}

// route writes an address, a new one or one written before. No two calls of one
// step write the same one, since then either may come last.
func (m *model) route() func() error {
	n := rapid.IntRange(0, len(m.addresses)).Draw(m.T, "address")
	if n == len(m.addresses) {
		m.addresses = append(m.addresses, mailbox.Address{
			Local:  fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"fred", "a b"}).Draw(m.T, "local-part"), n),
			Domain: rapid.SampledFrom(m.domains).Draw(m.T, "domain"),
		})
	}
	a, r := m.addresses[n], aRoute(rapid.IntRange(0, 100).Draw(m.T, "route"))
	if m.routing[a] {
		return nil
	}
	m.routing[a], m.routes[a] = true, r
	return func() error { return m.stores.Addresses.Put(m.Context(), a, r) }
}

func (m *model) list(drop mailbox.MaildropID) []mailbox.Message {
	list, err := m.stores.Maildrops.List(m.Context(), drop)
	if err != nil {
		m.Logf("%v", err)
		m.Fatalf("a listing failed")
	}
	return list
}

func (m *model) checkLists() {
	for i, drop := range m.drops {
		if got, want := m.list(drop), m.want(drop); !sameMessages(got, want) {
			m.Fatalf("maildrop %d lists %v; want %v", i, m.named(got), m.named(want))
		}
		m.checkNewest(i, drop)
	}
	for _, s := range m.sessions {
		if !slices.Equal(s.list, s.before) {
			m.Fatalf("the list that a session holds has become %v; it was %v", m.named(s.list), m.named(s.before))
		}
	}
}

// checkNewest looks at the newest before some message, listed or not, or of all.
func (m *model) checkNewest(i int, drop mailbox.MaildropID) {
	var before mailbox.MessageID
	if rapid.Bool().Draw(m.T, "bounded") {
		before = m.anyMessage().id
	}
	n := rapid.IntRange(0, len(m.messages)).Draw(m.T, "newest")
	got, err := m.stores.Maildrops.Newest(m.Context(), drop, before, n)
	if err != nil {
		m.Logf("%v", err)
		m.Fatalf("a look at the newest failed")
	}
	if want := mailbox.Newest(m.want(drop), before, n); !sameMessages(got, want) {
		m.Fatalf("of maildrop %d the newest are %v; want %v", i, m.named(got), m.named(want))
	}
}

// named is a listing with numbers for ids and from the history's start to expiry.
func (m *model) named(list []mailbox.Message) (names []string) {
	for _, l := range list {
		name := "a stranger"
		for _, msg := range m.messages {
			if msg.id == l.ID {
				name = fmt.Sprintf("message %d", msg.n)
			}
		}
		if name = fmt.Sprintf("%s of %d octets", name, l.Octets); !l.Expires.IsZero() {
			name = fmt.Sprintf("%s until %v", name, l.Expires.Sub(m.start).Round(time.Minute))
		}
		names = append(names, name)
	}
	return names
}

// want is what the maildrop must list.
func (m *model) want(drop mailbox.MaildropID) []mailbox.Message {
	var want []mailbox.Message
	for _, msg := range m.messages {
		if msg.added[drop] && !msg.removed[drop] && (msg.expires.IsZero() || msg.expires.After(m.start)) {
			want = append(want, msg.listed())
		}
	}
	slices.SortFunc(want, func(a, b mailbox.Message) int { return a.ID.Compare(b.ID) })
	return want
}

func (m *model) checkContents(messages ...*modelMessage) {
	for _, msg := range messages {
		within(m, m.Settle, func() error {
			got, err := readAll(m.Context(), m.stores.Contents, msg.id)
			there := msg.kept && !msg.gone()
			if there && (err != nil || !bytes.Equal(got, msg.octets)) {
				return fmt.Errorf("message %d reads as %d octets, failed %v; want all %d", msg.n, len(got), err != nil, len(msg.octets))
			}
			if !there && !errors.Is(err, mailbox.ErrNotFound) {
				return fmt.Errorf("message %d reads as %d octets, failed %v; want not found", msg.n, len(got), err != nil)
			}
			return nil
		})
	}
}

func (m *model) checkRoutes() {
	if len(m.routing) == 0 {
		return
	}
	for _, domain := range m.domains {
		want := maps.Clone(m.routes)
		maps.DeleteFunc(want, func(a mailbox.Address, _ mailbox.Route) bool { return a.Domain != domain })
		got, err := rowsOf(m.Context(), m.stores.Addresses, domain)
		if err != nil || !maps.EqualFunc(got, want, sameRoute) {
			m.Logf("%v, %v; want %v", got, err, want)
			m.Fatalf("a domain has %d rows; want %d, or they differ", len(got), len(want))
		}
	}
}

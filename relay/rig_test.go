package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

// A rig is a queue with all that it needs, in memory and in virtual time.
type rig struct {
	*relay.Queue
	t        *testing.T
	options  relay.Options
	journal  *relaytest.Memory
	contents mailbox.Contents
	pool     *pool
	notices  *notices
	lease    *lease
	end      func() // ends Run and waits for it
}

// bubble is a test in virtual time, with a queue that runs.
func bubble(t *testing.T, test func(t *testing.T, r *rig), change ...func(*relay.Options)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change...)
		defer func() { r.end() }()
		test(t, r)
	})
}

func newRig(t *testing.T, change ...func(*relay.Options)) *rig {
	r := &rig{
		t: t, journal: relaytest.NewMemory(), contents: mailboxtest.Memory().Contents,
		pool: newPool(), notices: new(notices), lease: new(lease),
	}
	r.options = relay.Options{
		Journal: r.journal, Contents: r.contents, Pool: r.pool, Lease: r.lease, IDs: new(mailbox.MessageIDs),
		Notifier: r.notices, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&r.options)
	}
	r.start()
	return r
}

// start runs a new queue, which knows nothing.
func (r *rig) start() {
	q, err := relay.New(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Queue = q
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	r.end = sync.OnceFunc(func() { cancel(); running.Wait() })
	synctest.Wait()
}

// restart ends the queue and resumes all that is in the journal with another.
func (r *rig) restart() {
	r.t.Helper()
	r.end()
	r.options.Lane = mailbox.MessageID{}
	r.start()
	for _, s := range r.segments() {
		if err := r.Resume(r.t.Context(), s); err != nil {
			r.t.Fatal(err)
		}
	}
}

var (
	content     = strings.Repeat("Subject: hello\r\n\r\nHello.\r\n", 3)
	longContent = content + strings.Repeat("x", relay.MaxContent) // which is not in the journal
)

// submit submits a message to some of example.net.
func (r *rig) submit(to ...string) mailbox.MessageID {
	r.t.Helper()
	return r.submitAs(relay.Submission{}, to...)
}

func (r *rig) submitAs(s relay.Submission, to ...string) mailbox.MessageID {
	r.t.Helper()
	return r.submitThis(content, s, to...)
}

func (r *rig) submitThis(content string, s relay.Submission, to ...string) mailbox.MessageID {
	r.t.Helper()
	s = submission(s, to...)
	id, err := r.Submit(r.t.Context(), s, strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func submission(s relay.Submission, to ...string) relay.Submission {
	if s.Account.IsZero() {
		s.Account = mailbox.Address{Local: "fred", Domain: "example.org"}
		s.From = s.Account
	}
	for _, local := range to {
		s.Recipients = append(s.Recipients, mailbox.Address{Local: local, Domain: "example.net"})
	}
	return s
}

// segments are all that are not closed.
func (r *rig) segments() (all []relay.Segment) {
	r.t.Helper()
	lanes, err := r.journal.Lanes(context.Background(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, lane := range lanes {
		s, err := r.journal.Segments(context.Background(), lane)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, s...)
	}
	return all
}

// events are what is written about a message, in order: a letter for each kind with the
// number of the attempt.
func (r *rig) events(id mailbox.MessageID) string {
	r.t.Helper()
	letters := map[relay.Kind]string{
		relay.Accepted: "accepted", relay.Attempt: "attempt", relay.Deferred: "deferred",
		relay.Failed: "failed", relay.Cancelled: "cancelled", relay.Delivered: "delivered",
	}
	var said []string
	for _, s := range r.segments() {
		for e, err := range r.journal.Load(context.Background(), s) {
			if err != nil {
				r.t.Fatal(err)
			}
			if e.Entry.Message != id {
				continue
			}
			text := letters[e.Kind]
			if e.Entry.Recipient > 0 {
				text += fmt.Sprintf("(%d)", e.Entry.Recipient)
			}
			if e.Seq > 1 {
				text += fmt.Sprint(e.Seq)
			}
			said = append(said, text)
		}
	}
	return strings.Join(said, " ")
}

func (r *rig) wantEvents(id mailbox.MessageID, want string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.events(id); got != want {
		r.t.Errorf("the journal has %q, want %q", got, want)
	}
}

// gone reports whether a content was released.
func (r *rig) gone(id mailbox.MessageID) bool {
	r.t.Helper()
	for _, s := range r.segments() {
		if _, err := r.journal.Content(context.Background(), s, id); err == nil {
			return false
		}
	}
	c, err := r.contents.Open(context.Background(), mailbox.Message{ID: id})
	if err == nil {
		c.Close()
	}
	return errors.Is(err, mailbox.ErrNotFound)
}

// A lease is one that can be lost.
type lease struct {
	mu   sync.Mutex
	lost bool
}

func (l *lease) Valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.lost
}

func (l *lease) set(valid bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = !valid
}

// notices are those that senders got.
type notices struct {
	mu   sync.Mutex
	all  []relay.Notice
	fail error
}

func (n *notices) Notify(_ context.Context, notice relay.Notice) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	n.all = append(n.all, notice)
	return nil
}

func (n *notices) setFail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// of are the notices about a message: the action, the recipient, and what was said.
func (n *notices) of(id mailbox.MessageID) (said []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, notice := range n.all {
		if notice.Message != id {
			continue
		}
		for _, f := range notice.Recipients {
			said = append(said, fmt.Sprintf("%v %d %s", notice.Action, f.Recipient, f.Outcome.Text))
		}
	}
	return said
}

// A pool has services that are told what to answer.
type pool struct {
	mu       sync.Mutex
	services []*service
	changed  chan struct{}
	wants    []relay.Want
}

func newPool() *pool { return &pool{changed: make(chan struct{})} }

// A service takes all mail unless it is told otherwise.
type service struct {
	pool   *pool
	name   string
	answer func(m relay.Mail, recipient int) relay.Outcome
	takes  time.Duration // before the end of the content
	thinks time.Duration // after it
	down   bool
	room   int  // 0: as much as there is asked for
	plain  bool // takes nothing that is signed
	rests  bool // comes back when it is down
	sender string
	busy   int
	sends  []send
}

// A send is a mail that a service was handed.
type send struct {
	at         time.Time
	message    mailbox.MessageID
	recipients []int
	taken      bool // the content was complete
}

// add brings a service into the pool.
func (p *pool) add(name string) *service {
	s := &service{pool: p, name: name}
	p.change(func() { p.services = append(p.services, s) })
	return s.says(relay.Success, "ok")
}

// change does something to the pool that may help those who wait.
func (p *pool) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *pool) Pick(w relay.Want) (relay.Picked, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wants = append(p.wants, w)
	why, rests := relay.ErrNoService, false
	for _, s := range slices.SortedStableFunc(slices.Values(p.services), func(a, b *service) int {
		return preferred(b, w) - preferred(a, w)
	}) {
		tried := slices.Contains(w.Tried, s.name)
		switch {
		case s.sender != "" && s.sender != w.Domain:
		case s.down:
			rests = rests || s.rests && !tried && !(s.plain && w.Signed)
		case s.plain && w.Signed:
			why = relay.ErrUnfit
		case tried:
			why = relay.ErrTried
		case s.room > 0 && s.busy >= s.room:
			why = relay.ErrBusy
		default:
			s.busy++
			return s, nil
		}
	}
	if rests && (why == relay.ErrUnfit || why == relay.ErrTried) {
		why = relay.ErrResting
	}
	return nil, why
}

func preferred(s *service, w relay.Want) int {
	if s.name == w.Prefer {
		return 1
	}
	return 0
}

func (s *service) Name() string { return s.name }

func (s *service) Release() { s.pool.change(func() { s.busy-- }) }

func (s *service) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	defer s.Release()
	all := func(o relay.Outcome) []relay.Outcome { return slices.Repeat([]relay.Outcome{o}, len(m.Recipients)) }
	n, takes, thinks, answer := s.begin(m)
	body, err := m.Open(ctx)
	if err != nil {
		return all(relay.Outcome{Result: relay.Transport, Text: err.Error()})
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != content && string(got) != longContent {
		return all(relay.Outcome{Result: relay.Transport, Text: fmt.Sprintf("content %q: %v", got, err)})
	}
	if err := sleep(ctx, takes); err != nil {
		return all(relay.Outcome{Result: relay.Transport, Text: err.Error()})
	}
	if err := m.Commit(); err != nil {
		return all(relay.Outcome{Result: relay.Transport, Text: err.Error()})
	}
	s.took(n)
	if err := sleep(ctx, thinks); err != nil {
		return all(relay.Outcome{Result: relay.Ambiguous, Text: err.Error()})
	}
	var outcomes []relay.Outcome
	for _, i := range m.Recipients {
		outcomes = append(outcomes, answer(m, i))
	}
	return outcomes
}

func (s *service) begin(m relay.Mail) (n int, takes, thinks time.Duration, answer func(relay.Mail, int) relay.Outcome) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.sends = append(s.sends, send{at: time.Now(), message: m.Message, recipients: m.Recipients})
	return len(s.sends) - 1, s.takes, s.thinks, s.answer
}

func (s *service) took(n int) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.sends[n].taken = true
}

// got are the mails that a service was handed.
func (s *service) got() []send {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return slices.Clone(s.sends)
}

// says has a service answer everything in one way.
func (s *service) says(r relay.Result, text string) *service {
	s.pool.change(func() {
		s.answer = func(relay.Mail, int) relay.Outcome { return relay.Outcome{Result: r, Text: text} }
	})
	return s
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

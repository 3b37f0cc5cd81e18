package textman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// TestNoTextIsLostOrReturnedTwiceOrLate lets posters, mail, takers and POP3 readers
// at the same few users, in virtual time, on a store whose calls take a while and some
// of whose texts cannot be opened. It was seen to fail when
//
//   - Take removed all that was listed, or all up to the newest id that it returned;
//   - Take removed nothing, or removed before it opened;
//   - Takes of one user did not take turns;
//   - the time of a text was looked at only when it was listed, or only before it was
//     removed, or was a second longer;
//   - one text that could not be opened failed the whole Take;
//   - Post answered before the text was listed;
//   - an id was given twice within a second;
//   - all users shared a maildrop.
func TestNoTextIsLostOrReturnedTwiceOrLate(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newTraffic(t, seed).run()
			})
		})
	}
}

// A traffic is one history, and what has to be true of it.
type traffic struct {
	t       *testing.T
	seed    uint64
	service *Service
	intact  mailboxtest.Stores // the same without delays and faults

	mu     sync.Mutex
	calm   bool // no call is slow or fails any more
	dice   *rand.Rand
	texts  map[string]*life // by what they say
	ids    map[int64]bool
	taking map[string]int // Takes that run, by user
}

// A life is that of one text.
type life struct {
	user     string
	id       int64     // 0: not known, or it came by mail
	kept     bool      // its poster was told so
	expires  time.Time // known before it is kept
	returned bool
	failed   time.Time // when it could not be opened
}

const (
	trafficUsers = 3
	trafficTime  = 20 * time.Second
)

func newTraffic(t *testing.T, seed uint64) *traffic {
	tr := &traffic{
		t: t, seed: seed, intact: mailboxtest.Memory(), dice: rand.New(rand.NewPCG(seed, 0)),
		texts: make(map[string]*life), ids: make(map[int64]bool), taking: make(map[string]int),
	}
	stores := mailboxtest.Faulty(tr.intact, tr.plan).Stores
	stores.Contents = unreliable{stores.Contents, tr}
	tr.service = start(t, stores)
	return tr
}

// plan makes calls slow, so that everything happens between everything.
func (tr *traffic) plan(int, string) mailboxtest.Fault {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.calm {
		return nil
	}
	return mailboxtest.Delay(time.Duration(1+tr.dice.IntN(500)) * time.Millisecond)
}

// unreliable contents cannot be opened, or not be read, one time in ten.
type unreliable struct {
	mailbox.Contents
	traffic *traffic
}

func (u unreliable) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	tr := u.traffic
	r, err := u.Contents.Open(ctx, m)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	luck := tr.dice.IntN(20)
	if err != nil || tr.calm || luck > 1 {
		return r, err
	}
	t, err := read(r)
	if err != nil {
		tr.t.Errorf("read %s: %v", m.ID, err)
	}
	tr.texts[t.Text].failed = time.Now()
	if luck == 0 {
		return nil, mailboxtest.ErrFault
	}
	return io.NopCloser(iotest.ErrReader(mailboxtest.ErrFault)), nil
}

func (tr *traffic) run() {
	var all sync.WaitGroup
	for i := range trafficUsers {
		user := fmt.Sprintf("user-%d", i)
		for k, what := range []func(user string, dice *rand.Rand){
			tr.post, tr.post, tr.post, tr.mail, tr.read, tr.take, tr.take, tr.take,
		} {
			all.Go(func() {
				dice := rand.New(rand.NewPCG(tr.seed, uint64(1+10*i+k)))
				for until := time.Now().Add(trafficTime); time.Now().Before(until); {
					time.Sleep(time.Duration(dice.IntN(1000)) * time.Millisecond)
					what(user, dice)
				}
			})
		}
	}
	all.Wait()
	tr.calm = true
	for i := range trafficUsers {
		user := fmt.Sprintf("user-%d", i)
		tr.take(user, nil)
		tr.read(user, nil)
	}
}

// next makes up a text and notes what is known before it is on its way.
func (tr *traffic) next(user string, dice *rand.Rand) (text string, timeout time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	text, timeout = fmt.Sprintf("text %d for %s", len(tr.texts), user), time.Duration(1000+dice.IntN(6000))*time.Millisecond
	tr.texts[text] = &life{user: user, expires: time.Now().Add(timeout)}
	return text, timeout
}

// kept notes that a text was accepted, under an id if it has one.
func (tr *traffic) kept(text string, id int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.texts[text].kept = true
	if id != 0 {
		tr.known(text, id)
	}
}

// known notes the id of a text. The caller holds the lock.
func (tr *traffic) known(text string, id int64) {
	l := tr.texts[text]
	if l.id != id && (l.id != 0 || tr.ids[id]) {
		tr.t.Errorf("id %d of %q, which has %d, or another text has that", id, text, l.id)
	}
	l.id, tr.ids[id] = id, true
}

func (tr *traffic) post(user string, dice *rand.Rand) {
	text, timeout := tr.next(user, dice)
	id, err := tr.service.Post(tr.t.Context(), user, text, timeout)
	if err != nil {
		tr.t.Errorf("post: %v", err)
		return
	}
	tr.kept(text, id)
}

func (tr *traffic) mail(user string, dice *rand.Rand) {
	text, timeout := tr.next(user, dice)
	deliver(tr.t, tr.intact, user, "Return-Path: <>\r\n\r\n"+text+"\r\n", time.Now().Add(timeout))
	tr.kept(text, 0)
}

func (tr *traffic) take(user string, _ *rand.Rand) {
	began := time.Now()
	due := tr.due(user, 1)
	texts, err := tr.service.Take(tr.t.Context(), user)

	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.taking[user]--
	now := time.Now()
	for _, t := range texts {
		l := tr.texts[t.Text]
		switch {
		case l == nil || l.user != user:
			tr.t.Errorf("%s takes %q", user, t.Text)
			continue
		case l.returned:
			tr.t.Errorf("%q is returned twice", t.Text)
		case !now.Before(l.expires):
			tr.t.Errorf("%q is returned %v after its time", t.Text, now.Sub(l.expires))
		}
		l.returned = true
		tr.known(t.Text, t.ID)
	}
	failed := func(l *life) bool { return !l.failed.Before(began) }
	for _, text := range due {
		if l := tr.texts[text]; !l.returned && now.Before(l.expires) && !failed(l) {
			tr.t.Errorf("%q, kept for %v more, was not returned", text, l.expires.Sub(now))
		}
	}
	if err == nil {
		return
	}
	for _, l := range tr.texts {
		if l.user == user && failed(l) && errors.Is(err, mailbox.ErrUnavailable) && len(texts) == 0 {
			return
		}
	}
	tr.t.Errorf("Take = %v, %v", texts, err)
}

// due are the texts that a user has now, and so many more Takes begin.
func (tr *traffic) due(user string, takes int) (due []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.taking[user] += takes
	for text, l := range tr.texts {
		if l.user == user && l.kept && !l.returned && time.Now().Before(l.expires) {
			due = append(due, text)
		}
	}
	return due
}

// read is a POP3 session: what it lists can be read until it is taken, and what is
// not taken is listed.
func (tr *traffic) read(user string, _ *rand.Rand) {
	due := tr.due(user, 0)
	tr.mu.Lock()
	quiet := tr.taking[user] == 0
	tr.mu.Unlock()
	var there []string
	for _, m := range listed(tr.t, tr.intact, user) {
		r, err := tr.intact.Contents.Open(tr.t.Context(), m)
		if errors.Is(err, mailbox.ErrNotFound) && !quiet {
			continue
		}
		if err != nil {
			tr.t.Errorf("open %s: %v", m.ID, err)
			continue
		}
		t, err := read(r)
		if err != nil {
			tr.t.Errorf("read %s: %v", m.ID, err)
		}
		there = append(there, t.Text)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, text := range there {
		if l := tr.texts[text]; l == nil || l.user != user || !time.Now().Before(l.expires) || l.returned && quiet {
			tr.t.Errorf("%s has %q, %+v", user, text, l)
		}
	}
	for _, text := range due {
		if quiet && !slices.Contains(there, text) {
			tr.t.Errorf("%s does not have %q", user, text)
		}
	}
}

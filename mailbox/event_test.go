package mailbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// An ear is a listener that keeps what it hears.
type ear struct {
	mu      sync.Mutex
	heard   []mailbox.Event
	times   []time.Time
	dropped int

	// handle, if set, decides; n counts the calls from 1.
	handle func(ctx context.Context, n int, ev mailbox.Event) error
	calls  int
}

func (e *ear) Handle(ctx context.Context, ev mailbox.Event) error {
	e.mu.Lock()
	e.calls++
	n := e.calls
	e.times = append(e.times, time.Now())
	e.mu.Unlock()
	if e.handle != nil {
		if err := e.handle(ctx, n, ev); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, ev)
	return nil
}

func (e *ear) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped++
}

// has checks what was heard, by the numbers of [event], and how much was lost.
func (e *ear) has(t *testing.T, dropped int, want ...int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	var got []int
	for _, ev := range e.heard {
		got = append(got, int(ev.(mailbox.Expunged).Messages[0].Octets))
	}
	if !slices.Equal(got, want) || e.dropped != dropped {
		t.Errorf("heard %v, dropped %d; want %v and %d", got, e.dropped, want, dropped)
	}
}

// event is an event with a number.
func event(n int) mailbox.Event {
	return mailbox.Expunged{Messages: []mailbox.Message{{Octets: int64(n)}}}
}

// upTo are the numbers from 0.
func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

// announcing starts announcements for these listeners; the test stops them.
func announcing(log *slog.Logger, ears ...*ear) *mailbox.Announcements {
	a := mailbox.NewAnnouncements(log)
	for i, e := range ears {
		a.Listen(fmt.Sprintf("ear %d", i), e, e.drop)
	}
	a.Start()
	return a
}

var silent = slog.New(slog.DiscardHandler)

// never is a listener's handle that hears nothing until its context ends.
func never(ctx context.Context, _ int, _ mailbox.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestEveryListenerHearsEveryEventInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := new(ear), new(ear)
		a := announcing(silent, one, other)
		for n := range 100 {
			a.Announce(event(n))
		}
		synctest.Wait()
		a.Stop()
		one.has(t, 0, upTo(100)...)
		other.has(t, 0, upTo(100)...)
	})
}

func TestEventsBeforeTheStartAreHeardAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(ear)
		a := mailbox.NewAnnouncements(silent)
		a.Listen("ear", e, nil)
		a.Announce(event(0))
		a.Start()
		synctest.Wait()
		a.Stop()
		e.has(t, 0, 0)
	})
}

func TestARefusedEventIsTriedAgainAndKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{handle: func(_ context.Context, n int, _ mailbox.Event) error {
			if n <= 4 {
				return errors.New("not now")
			}
			return nil
		}}
		a := announcing(silent, e)
		for n := range 3 {
			a.Announce(event(n))
		}
		time.Sleep(time.Minute)
		a.Stop()
		e.has(t, 0, 0, 1, 2)
		var pauses []time.Duration
		for i, at := range e.times[1:] {
			pauses = append(pauses, at.Sub(e.times[i]))
		}
		ms := time.Millisecond
		if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 0, 0}; !slices.Equal(pauses, want) {
			t.Errorf("the pauses are %v; want %v", pauses, want)
		}
	})
}

func TestAnEventRefusedFiveTimesIsDroppedCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := &ear{handle: func(_ context.Context, n int, _ mailbox.Event) error {
			if n <= 5 {
				return errors.New("no webhook today")
			}
			return nil
		}}
		a := announcing(slog.New(slog.NewTextHandler(&log, nil)), e)
		a.Announce(event(0))
		a.Announce(event(1))
		time.Sleep(time.Minute)
		a.Stop()
		e.has(t, 1, 1)
		if e.calls != 6 {
			t.Errorf("the listener was called %d times; want five for the first event and one for the second", e.calls)
		}
		for _, want := range []string{"level=WARN", `listener="ear 0"`, "no webhook today"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log says %q; want %s in it", log.String(), want)
			}
		}
	})
}

func TestACallThatHangsEndsAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{handle: func(ctx context.Context, n int, ev mailbox.Event) error {
			if n == 1 {
				return never(ctx, n, ev)
			}
			return nil
		}}
		a := announcing(silent, e)
		a.Announce(event(0))
		time.Sleep(time.Minute)
		a.Stop()
		e.has(t, 0, 0)
		if took := e.times[1].Sub(e.times[0]); took != 10*time.Second+100*time.Millisecond {
			t.Errorf("the second call comes after %v; want 10 s and a pause of 100 ms", took)
		}
	})
}

func TestASlowListenerNeitherBlocksNorFillsTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &ear{handle: never}, new(ear)
		a := announcing(silent, slow, quick)
		a.Announce(event(0))
		synctest.Wait() // the slow one has it in hand
		begin := time.Now()
		for n := 1; n <= 1024+10; n++ {
			a.Announce(event(n))
			if n%100 == 0 {
				synctest.Wait() // the quick one keeps up
			}
		}
		synctest.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("Announce waited %v", took)
		}
		slow.has(t, 10)
		quick.has(t, 0, upTo(1024+11)...)
		a.Stop()
		slow.has(t, 1024+11)
	})
}

func TestStopCountsWhatNobodyWillHear(t *testing.T) {
	for name, handle := range map[string]func(context.Context, int, mailbox.Event) error{
		"while a call hangs":       never,
		"in a pause between tries": func(context.Context, int, mailbox.Event) error { return errors.New("not now") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &ear{handle: handle}
				a := announcing(silent, e)
				for n := range 20 {
					a.Announce(event(n))
				}
				time.Sleep(time.Millisecond)
				begin := time.Now()
				a.Stop()
				if took := time.Since(begin); took != 0 {
					t.Errorf("Stop took %v", took)
				}
				e.has(t, 20)
				a.Stop() // harmless
			})
		})
	}
}

func TestStopWaitsForAListenerAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{handle: func(context.Context, int, mailbox.Event) error {
			time.Sleep(3 * time.Second) // deaf to its context
			return nil
		}}
		a := announcing(silent, e)
		a.Announce(event(0))
		synctest.Wait()
		a.Stop()
		e.has(t, 0, 0)
	})
}

func TestAnnouncementsWithoutListenersOrStartStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mailbox.NewAnnouncements(silent)
		a.Announce(event(0))
		a.Stop()
		a.Start()
		a.Announce(event(1))
		a.Stop()
	})
}

// eventsOf is what is announced while do runs.
func eventsOf(t *testing.T, stores mailboxtest.Stores, do func(t *testing.T, d *mailbox.Deliveries)) (events []mailbox.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := new(ear)
		d := stores.Deliveries()
		d.Announce = announcing(silent, e)
		do(t, d)
		synctest.Wait()
		d.Announce.Stop()
		events = e.heard
	})
	return events
}

func TestADeliveryAndARemovalAreAnnounced(t *testing.T) {
	env := recipients(2)
	var m mailbox.Message
	events := eventsOf(t, mailboxtest.Memory(), func(t *testing.T, d *mailbox.Deliveries) {
		var err error
		if m, err = d.Deliver(t.Context(), env, bytes.NewReader(mailboxtest.Message(200))); err != nil {
			t.Fatal(err)
		}
		if err := d.Expunge(t.Context(), env.Recipients[0].Maildrop, m); err != nil {
			t.Fatal(err)
		}
	})
	if len(events) != 2 {
		t.Fatalf("announced are %v; want a delivery and a removal", events)
	}
	delivered, ok := events[0].(mailbox.Delivered)
	if !ok || !slices.Equal(delivered.Entries, []mailbox.Entry{
		{Maildrop: env.Recipients[0].Maildrop, Message: m}, {Maildrop: env.Recipients[1].Maildrop, Message: m},
	}) {
		t.Errorf("first announced is %v; want the delivery of %v to both", events[0], m)
	}
	removed, ok := events[1].(mailbox.Expunged)
	if !ok || removed.Maildrop != env.Recipients[0].Maildrop || !slices.Equal(removed.Messages, []mailbox.Message{m}) {
		t.Errorf("then announced is %v; want the removal of %v", events[1], m)
	}
}

func TestWhatFailedIsNotAnnounced(t *testing.T) {
	for n := range 3 {
		f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.From(n+1, mailboxtest.Lie))
		if n == 2 { // the listing fails, and taking it back succeeds
			f = mailboxtest.Faulty(f.Intact, mailboxtest.Nth(2, mailboxtest.Lie))
		}
		events := eventsOf(t, f.Stores, func(t *testing.T, d *mailbox.Deliveries) {
			if _, err := d.Deliver(t.Context(), recipients(1), bytes.NewReader(mailboxtest.Message(200))); err == nil {
				t.Error("Deliver succeeded")
			}
		})
		if len(events) != 0 {
			t.Errorf("announced are %v, of a message that nobody was promised", events)
		}
	}
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Nth(1, mailboxtest.Lie))
	events := eventsOf(t, f.Stores, func(t *testing.T, d *mailbox.Deliveries) {
		if err := d.Expunge(t.Context(), mailbox.MaildropID{1}, mailbox.Message{ID: d.IDs.Next()}); err == nil {
			t.Error("Expunge succeeded")
		}
	})
	if len(events) != 0 {
		t.Errorf("announced are %v, of a removal that failed", events)
	}
}

func TestAnAnnouncementNeverFailsOrDelaysADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := &ear{handle: never}
		stores := mailboxtest.Memory()
		d := stores.Deliveries()
		d.Announce = announcing(silent, deaf)
		begin := time.Now()
		env, content := recipients(1), mailboxtest.Message(200)
		for range 1500 {
			if _, err := d.Deliver(t.Context(), env, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("1,500 deliveries took %v of virtual time", took)
		}
		d.Announce.Stop()
		deaf.has(t, 1500)
		if list := listed(t, stores, env.Recipients[0].Maildrop, content); len(list) != 1500 {
			t.Errorf("%d messages are listed; want 1,500", len(list))
		}
	})
}

func TestAnEventOfAnotherKindLeavesTheListingAlone(t *testing.T) {
	f := mailboxtest.Faulty(mailboxtest.Memory(), mailboxtest.Never)
	if err := (mailbox.Projector{Maildrops: f.Maildrops}).Handle(t.Context(), nil); err != nil || len(f.Calls()) != 0 {
		t.Errorf("Handle = %v after %v; want no call", err, f.Calls())
	}
}

func TestAFunctionListens(t *testing.T) {
	want := errors.New("heard")
	l := mailbox.ListenerFunc(func(_ context.Context, ev mailbox.Event) error {
		if _, ok := ev.(mailbox.Delivered); !ok {
			t.Errorf("heard %v", ev)
		}
		return want
	})
	if err := l.Handle(t.Context(), mailbox.Delivered{}); !errors.Is(err, want) {
		t.Errorf("Handle = %v", err)
	}
}

package temporary

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// watch is a watcher that is stopped with the test.
func (s *site) watch(drop mailbox.MaildropID) <-chan struct{} {
	s.Helper()
	changed, stop, err := s.Watch(drop)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(stop)
	return changed
}

// told reports whether a change was told since it was asked last.
func told(changed <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-changed:
		return true
	default:
		return false
	}
}

func TestAWatcherIsToldOfDeliveriesAndRemovals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		mb, other := s.create(Request{}), s.create(Request{})
		one, two, beside := s.watch(mb.Maildrop), s.watch(mb.Maildrop), s.watch(other.Maildrop)
		check := func(after string, want bool) {
			t.Helper()
			for _, changed := range []<-chan struct{}{one, two} {
				if got := told(changed); got != want {
					t.Errorf("after %s: told %t; want %t", after, got, want)
				}
			}
		}
		check("nothing", false)
		message := s.deliver(mb, "one")
		check("a delivery", true)
		check("that", false)
		for range 10 {
			s.deliver(mb, "more")
		}
		check("many deliveries", true)
		check("being told once", false)
		if err := s.Expunge(t.Context(), mb, message); err != nil {
			t.Fatal(err)
		}
		check("a removal of a message", true)
		if err := s.Remove(t.Context(), mb.Address); err != nil {
			t.Fatal(err)
		}
		check("the removal of the mailbox", true)
		time.Sleep(time.Minute)
		check("a while", false)
		if told(beside) {
			t.Error("the watcher of another mailbox was told")
		}
	})
}

func TestWhereAnAnnouncementWasDroppedAllLookAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		one, other := s.watch(s.create(Request{}).Maildrop), s.watch(s.create(Request{}).Maildrop)
		s.Dropped()
		for _, changed := range []<-chan struct{}{one, other} {
			if !told(changed) {
				t.Error("a watcher was told nothing")
			}
			if told(changed) {
				t.Error("a watcher was told twice")
			}
		}
	})
}

func TestAMailboxThatIsRemovedWithoutMailTellsItsWatchers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		mb := s.create(Request{})
		changed := s.watch(mb.Maildrop)
		if err := s.Remove(t.Context(), mb.Address); err != nil {
			t.Fatal(err)
		}
		if !told(changed) {
			t.Error("the watcher was not told")
		}
	})
}

func TestThereAreNoMoreWatchersThanMayBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never, func(o *Options) { o.MaxWatchers = 3 })
		mb := s.create(Request{})
		var stops []func()
		for range 3 {
			_, stop, err := s.Watch(mb.Maildrop)
			if err != nil {
				t.Fatal(err)
			}
			stops = append(stops, stop)
		}
		if _, _, err := s.Watch(s.create(Request{}).Maildrop); !errors.Is(err, ErrWatchers) {
			t.Errorf("one too many: %v; want ErrWatchers", err)
		}
		s.counts("watchers", 3)
		stops[1]()
		stops[1]() // makes no room for a second
		s.watch(mb.Maildrop)
		if _, _, err := s.Watch(mb.Maildrop); !errors.Is(err, ErrWatchers) {
			t.Errorf("one too many again: %v; want ErrWatchers", err)
		}
		stops[0]()
		stops[2]()
		s.counts("watchers", 1)
	})
}

func TestNothingIsKeptOfAWatcherThatStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, mailboxtest.Never)
		_, stop, err := s.Watch(mailbox.MaildropID{1})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if n := len(s.watched.byDrop); n != 0 {
			t.Errorf("%d maildrops are watched", n)
		}
	})
}

func TestAWatcherIsToldWhatAnotherServerDid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Memory()
		poll := func(o *Options) { o.Poll = true }
		here, there := openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never), poll), openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never), poll)
		mb := here.create(Request{})
		changed := here.watch(mb.Maildrop)
		time.Sleep(pollInterval)
		told(changed) // of the first look, perhaps for nothing
		check := func(after string, want bool) {
			t.Helper()
			time.Sleep(pollInterval)
			if got := told(changed); got != want {
				t.Errorf("after %s: told %t; want %t", after, got, want)
			}
		}
		check("nothing", false)
		message := there.deliver(mb, "one")
		check("a delivery", true)
		check("that", false)
		there.deliver(mb, "two")
		if err := there.Expunge(t.Context(), mb, message); err != nil {
			t.Fatal(err)
		}
		check("a delivery and a removal", true)
		check("that", false)
		if err := there.Remove(t.Context(), mb.Address); err != nil {
			t.Fatal(err)
		}
		check("the removal of the mailbox", true)
		check("that", false)
	})
}

// What another server delivers between the caller's look and the first one here was
// never seen otherwise.
func TestAWatcherMissesNothingBeforeTheFirstLook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stores := mailboxtest.Memory()
		poll := func(o *Options) { o.Poll = true }
		here, there := openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never), poll), openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never), poll)
		mb := here.create(Request{})
		first := here.watch(mb.Maildrop)
		time.Sleep(pollInterval)
		told(first)
		second := here.watch(mb.Maildrop) // of a maildrop that was looked at before
		if list, err := here.Newest(t.Context(), mb, mailbox.MessageID{}, 1); err != nil || len(list) != 0 {
			t.Fatal(list, err)
		}
		there.deliver(mb, "one")
		time.Sleep(pollInterval)
		if !told(first) || !told(second) {
			t.Error("a watcher was not told")
		}
		there.deliver(mb, "two")
		third := here.watch(mb.Maildrop)
		time.Sleep(pollInterval)
		if !told(third) {
			t.Error("the third watcher was not told")
		}
	})
}

func TestAStoreThatIsAwayStopsNoWatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away := true
		stores := mailboxtest.Memory()
		here := openSite(t, mailboxtest.Faulty(stores, func(_ int, name string) mailboxtest.Fault {
			if name == "Maildrops.List" && away {
				return mailboxtest.Hang
			}
			return nil
		}), func(o *Options) { o.Poll = true })
		mb := here.create(Request{})
		changed := here.watch(mb.Maildrop)
		time.Sleep(time.Minute)
		synctest.Wait()
		away = false
		openSite(t, mailboxtest.Faulty(stores, mailboxtest.Never)).deliver(mb, strings.Repeat("x", 10))
		time.Sleep(pollInterval + pollTimeout)
		if !told(changed) {
			t.Error("the watcher was not told")
		}
	})
}

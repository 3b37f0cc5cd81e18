package cassandra

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/mailbox"
)

// A setClock is a clock that a test sets.
type setClock struct{ ahead atomic.Int64 }

func (c *setClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }
func (c *setClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }

func TestNothingIsDeliveredWhileTheClockIsWrong(t *testing.T) {
	var clock setClock
	o := tableOptions(t)
	o.Now = clock.now
	s := openStore(t, o)
	ids := &mailbox.MessageIDs{}
	put := func() error {
		content := mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{{1}}}
		_, err := s.Contents().Put(t.Context(), content, strings.NewReader("Subject: one\r\n\r\n"))
		return err
	}
	for _, wrong := range []time.Duration{600 * time.Millisecond, -600 * time.Millisecond} {
		clock.set(wrong)
		if err := put(); !errors.Is(err, errClock) || !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("%s off: %v", wrong, err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, errClock) {
			t.Errorf("%s off: Ping: %v", wrong, err)
		}
		clock.set(0)
		if err := put(); err != nil {
			t.Errorf("put right: %v", err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("put right: Ping: %v", err)
		}
	}

	// What is wrong at the start is found at the start.
	clock.set(time.Hour)
	if err := openStore(t, o).Ping(t.Context()); !errors.Is(err, errClock) {
		t.Errorf("an hour off at the start: %v", err)
	}
}

func TestAClockIsComparedWithTheTimeSinceTheLastLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var machine setClock
		c := &clock{session: &session{options: Options{Now: machine.now}}}
		if err := c.check(); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("before the first look: %v", err)
		}
		// The cluster is ahead of this machine by 200 ms.
		c.seen.Store(&sighting{cluster: time.Now().Add(200 * time.Millisecond), at: time.Now()})
		time.Sleep(time.Hour)
		if offset, known := c.offset(); offset != -200*time.Millisecond || !known {
			t.Errorf("an hour later: %s, %t", offset, known)
		}
		for ahead, right := range map[time.Duration]bool{700 * time.Millisecond: true, 701 * time.Millisecond: false, -300 * time.Millisecond: true, -301 * time.Millisecond: false} {
			machine.set(ahead)
			if err := c.check(); (err == nil) != right {
				t.Errorf("set %s ahead: %v", ahead, err)
			}
		}
	})
}

func TestTheTimeOfTheClusterIsNotThatOfThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var machine setClock
		c := &clock{session: &session{options: Options{Now: machine.now}}}
		c.session.clock = c
		s := &Store{session: c.session}
		if at, err := s.Time(); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("before the first look: %s, %v", at, err)
		}
		cluster := time.Now().Add(-24 * time.Hour)
		c.seen.Store(&sighting{cluster: cluster, at: time.Now()})
		machine.set(10 * 24 * time.Hour)
		time.Sleep(time.Minute)
		if at, err := s.Time(); err != nil || !at.Equal(cluster.Add(time.Minute)) {
			t.Errorf("a minute after it was %s: %s, %v", cluster, at, err)
		}
	})
}

func TestOneNodeWithAWrongClockDoesNotCount(t *testing.T) {
	now := time.Now()
	times := func(offsets ...time.Duration) (times []time.Time) {
		for _, o := range offsets {
			times = append(times, now.Add(o))
		}
		return times
	}
	for want, offsets := range map[time.Duration][]time.Duration{
		0:                {time.Hour, 0, -time.Second},
		time.Second:      {time.Second},
		30 * time.Minute: {time.Hour, 0},
		time.Millisecond: {time.Hour, 2 * time.Millisecond, 0, -time.Hour},
	} {
		if got := median(times(offsets...)).Sub(now); got != want {
			t.Errorf("%v: %s, want %s", offsets, got, want)
		}
	}
}

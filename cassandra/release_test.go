package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// settles waits for what happens after Release returned.
func settles(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(promises.Settle); !done(); {
		if time.Now().After(deadline) {
			t.Errorf("after %v, %s", promises.Settle, what)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// releasesOf are how many releases a store has worked off.
func releasesOf(t testing.TB, s *Store) (n int) {
	t.Helper()
	for _, v := range metric(t, s, "releases_total") {
		n += int(v)
	}
	return n
}

// rowsOf is how many rows of a table have this id.
func rowsOf(t testing.TB, s *Store, table string, id mailbox.MessageID) (n int) {
	t.Helper()
	st := &statement{name: "look", cql: "SELECT id FROM " + table + " WHERE id = ?"}
	rows := s.session.read(t.Context(), st, LocalQuorum, id)
	for rows.scan(nil) {
		n++
	}
	if err := rows.err(); err != nil {
		t.Error(err)
	}
	return n
}

func TestAReleaseTakesAsFewStatementsAsItCan(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	later := time.Now().Add(time.Hour)
	one, two, ends := aDrop(), aDrop(), aTemporaryDrop()
	shared := ids.Next() // by one and two
	for _, c := range []struct {
		name     string
		content  mailbox.Content
		drop     mailbox.MaildropID
		released mailbox.Message
		want     map[string]int
	}{
		{
			"for one maildrop",
			mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{one}},
			one, mailbox.Message{Recipients: 1},
			map[string]int{"message delete": 1},
		}, {
			"for one maildrop, which nobody says",
			mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{one}},
			one, mailbox.Message{},
			map[string]int{"message select maildrops": 1, "message delete": 1},
		}, {
			"for two, the first",
			mailbox.Content{ID: shared, Maildrops: []mailbox.MaildropID{one, two}},
			one, mailbox.Message{Recipients: 2},
			map[string]int{"message select maildrops": 1, "message_done insert": 1, "message_done select": 1},
		}, {
			"for two, the last",
			mailbox.Content{ID: shared, Maildrops: []mailbox.MaildropID{one, two}},
			two, mailbox.Message{Recipients: 2},
			map[string]int{"message select maildrops": 1, "message_done insert": 1, "message_done select": 1, "message delete": 1, "message_done delete": 1},
		}, {
			"of another's",
			mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{one, two}},
			aDrop(), mailbox.Message{Recipients: 2},
			map[string]int{"message select maildrops": 1},
		}, {
			"that ends by itself",
			mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{ends}, Expires: later},
			ends, mailbox.Message{Recipients: 1, Expires: later},
			map[string]int{},
		}, {
			"that ends by itself for both",
			mailbox.Content{ID: ids.Next(), Maildrops: []mailbox.MaildropID{ends, aTemporaryDrop()}, Expires: later},
			ends, mailbox.Message{Recipients: 2, Expires: later},
			map[string]int{"message select maildrops": 1}, // it is not there
		},
	} {
		keep(t, s, c.content, []byte("x"))
		c.released.ID = c.content.ID
		did := statements(t, s, func() {
			before := releasesOf(t, s)
			if err := s.Contents().Release(t.Context(), c.drop, c.released); err != nil {
				t.Error(err)
			}
			if len(c.want) > 0 {
				settles(t, c.name+" is not released", func() bool { return releasesOf(t, s) > before })
			}
		})
		if !maps.Equal(did, c.want) {
			t.Errorf("%s: it took %v", c.name, did)
		}
	}
}

// As many processes would, two stores release contents that all of their maildrops
// share, at the same time.
func TestTheLastOfManyMaildropsOfTwoProcessesRemovesAContent(t *testing.T) {
	t.Parallel()
	stores := []*Store{newStore(t), newStore(t)}
	for _, n := range []int{2, 3, 20} {
		t.Run(fmt.Sprintf("%d maildrops", n), func(t *testing.T) {
			drops := someDrops(n)
			m := mailbox.Message{ID: ids.Next(), Recipients: n}
			keep(t, stores[0], mailbox.Content{ID: m.ID, Maildrops: drops}, mailboxtest.Message(2*partSize))
			var all sync.WaitGroup
			release := func(i int) {
				all.Go(func() {
					if err := stores[i%2].Contents().Release(t.Context(), drops[i], m); err != nil {
						t.Error(err)
					}
				})
			}
			for i := range n - 1 {
				release(i)
			}
			all.Wait()
			settles(t, "not all who released it are noted", func() bool { return rowsOf(t, stores[0], "message_done", m.ID) == n-1 })
			if _, err := contentOf(t.Context(), stores[1], m); err != nil {
				t.Errorf("before the last released it: %v", err)
			}
			release(n - 1)
			settles(t, "the content is there", func() bool {
				_, err := contentOf(t.Context(), stores[1], m)
				return errors.Is(err, mailbox.ErrNotFound)
			})
			settles(t, "something of it is left", func() bool {
				return rowsOf(t, stores[1], "message", m.ID) == 0 && rowsOf(t, stores[1], "message_done", m.ID) == 0
			})
		})
	}
}

func TestCloseReleasesWhatWaits(t *testing.T) {
	t.Parallel()
	s := openStore(t, tableOptions(t))
	drop := aDrop()
	messages := make([]mailbox.Message, 200)
	for i := range messages {
		messages[i] = mailbox.Message{ID: ids.Next(), Recipients: 1}
		keep(t, s, mailbox.Content{ID: messages[i].ID, Maildrops: []mailbox.MaildropID{drop}}, []byte("x"))
	}
	if err := s.Contents().Release(t.Context(), drop, messages...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Contents().Release(t.Context(), drop, messages...); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Release after Close = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close = %v", err)
	}
	other := newStore(t)
	for _, m := range messages {
		if n := rowsOf(t, other, "message", m.ID); n > 0 {
			t.Fatalf("%s has %d rows after Close", m.ID, n)
		}
	}
}

// A queue that nobody works off, with room for two.
func TestWhatFindsNoPlaceInTheQueueIsLeftToTheSweep(t *testing.T) {
	t.Parallel()
	s := &session{options: Options{Now: time.Now}}
	s.clock = &clock{session: s}
	s.metrics = newMetrics(s)
	q := &releases{session: s, queue: make(chan release, 2)}
	var messages []mailbox.Message
	for range 5 {
		messages = append(messages, mailbox.Message{ID: ids.Next()})
	}
	if err := q.add(t.Context(), aDrop(), messages); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("add = %v", err)
	}
	if left := metric(t, &Store{session: s}, "releases_total")[contentLeft]; left != 3 || len(q.queue) != 2 {
		t.Errorf("%v are left to the sweep and %d wait", left, len(q.queue))
	}
}

// Close ends in time although the cluster does not answer.
func TestCloseDoesNotWaitForReleasesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := openStore(t, tableOptions(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range maxStatements { // nothing can be sent while others take all places
		leave, err := s.session.enter(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	drop := aDrop()
	for range 100 {
		if err := s.Contents().Release(t.Context(), drop, mailbox.Message{ID: ids.Next(), Recipients: 1}); err != nil {
			t.Fatal(err)
		}
	}
	time.AfterFunc(100*time.Millisecond, s.contents.releases.cancel) // which Close does after releaseDrain
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > releaseDrain/2 {
		t.Errorf("Close took %s", took)
	}
	if left := metric(t, s, "releases_total")[contentLeft]; left != 100 {
		t.Errorf("%v are left to the sweep", left)
	}
}

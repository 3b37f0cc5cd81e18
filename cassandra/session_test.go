package cassandra

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
)

// optionsFor are the options of a store in a data centre of a cluster.
func optionsFor(c *cassandratest.Cluster, datacenter, keyspace string) Options {
	return Options{Hosts: c.Hosts(), Keyspace: keyspace, Datacenter: datacenter}
}

// openStore opens a store that is closed with the test.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// eventually waits until what depends on other processes is so.
func eventually(t testing.TB, is func() error) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %v", err)
		}
	}
}

func TestALateInsertStaysDeletedWhateverTheClock(t *testing.T) {
	l := newLetters(t)
	id, err := l.send(t.Context(), LocalQuorum, "dear Fred")
	if err != nil {
		t.Fatal(err)
	}
	if text, found, err := l.text(t.Context(), LocalQuorum, id); text != "dear Fred" || !found || err != nil {
		t.Errorf("read %q, %t, %v", text, found, err)
	}
	anHourBehind := time.Now().Add(-time.Hour)
	if err := l.burn(t.Context(), id, anHourBehind); err != nil {
		t.Fatal(err)
	}
	if err := l.sendAgain(t.Context(), LocalQuorum, id, "dear Fred"); err != nil {
		t.Fatal(err)
	}
	if text, found, err := l.text(t.Context(), LocalQuorum, id); found || err != nil {
		t.Errorf("read %q, %t, %v of what was deleted", text, found, err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Ping(t.Context())
	if !errors.Is(err, errClosed) || !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Ping: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = Open(ctx, Options{Hosts: []string{silent.Addr().String()}, Keyspace: "mail", Datacenter: "dc1"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open: %v", err)
	}
	if took := time.Since(began); took > 2*connectTimeout {
		t.Errorf("took %s", took)
	}
}

func TestNothingIsWrittenWithoutATimestamp(t *testing.T) {
	s := &session{}
	if err := s.write(t.Context(), letterInsert, LocalQuorum, 0); !errors.Is(err, errNoWriteTime) || errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestAnswersOfManyPages(t *testing.T) {
	l := newLetters(t)
	id := l.ids.Next()
	part := &statement{name: "letter insert part", cql: "INSERT INTO message (id, part, data) VALUES (?, ?, ?)"}
	for i := range 10 {
		if err := l.write(t.Context(), part, LocalQuorum, insertedAt(id), id, i, []byte("dear Fred")); err != nil {
			t.Fatal(err)
		}
	}
	all := &statement{name: "letter select parts", cql: "SELECT part FROM message WHERE id = ?", rows: 3}
	rows, n := l.read(t.Context(), all, LocalQuorum, id), 0
	for part := 0; rows.scan(&part); n++ {
		if part != n {
			t.Errorf("part %d, want %d", part, n)
		}
	}
	if err := rows.err(); err != nil || n != 10 {
		t.Errorf("%d parts, %v", n, err)
	}

	// A page that cannot be had is an error, not the end.
	ctx, cancel := context.WithCancel(t.Context())
	rows = l.read(ctx, all, LocalQuorum, id)
	if !rows.scan(nil) {
		t.Fatal(rows.err())
	}
	cancel()
	for rows.scan(nil) {
	}
	if err := rows.err(); !errors.Is(err, mailbox.ErrUnavailable) || outcomeOf(err) != canceled {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestADestinationThatIsNotWhatTheColumnIsIsAnError(t *testing.T) {
	l := newLetters(t)
	id, err := l.send(t.Context(), LocalQuorum, "dear Fred")
	if err != nil {
		t.Fatal(err)
	}
	var number int
	found, err := l.read(t.Context(), letterSelect, LocalQuorum, id).one(nil, &number)
	if found || err == nil || errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("read %d, %t, %v", number, found, err)
	}
}

func TestWhatIsInFlightIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{places: semaphore.NewWeighted(maxStatements), octets: semaphore.NewWeighted(maxOctets)}
		s.metrics = newMetrics(s)
		var leaves []func()
		enter := func(octets int64) error {
			ctx, cancel := context.WithTimeout(t.Context(), statementTimeout)
			defer cancel()
			leave, err := s.enter(ctx, octets)
			if err == nil {
				leaves = append(leaves, leave)
			}
			return err
		}
		// One that is larger than the bound is let in alone.
		if err := enter(2 * maxOctets); err != nil {
			t.Fatal(err)
		}
		if err := enter(lightOctets + 1); outcomeOf(err) != overloaded {
			t.Errorf("too many octets: %v", err)
		}
		if err := enter(lightOctets); err != nil {
			t.Errorf("few octets: %v", err)
		}
		for _, leave := range leaves {
			leave()
		}
		leaves = nil
		for range maxStatements {
			if err := enter(0); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter(0); outcomeOf(err) != overloaded {
			t.Errorf("too many statements: %v", err)
		}
		for _, leave := range leaves {
			leave()
		}
		if err := enter(maxOctets); err != nil {
			t.Errorf("after all have left: %v", err)
		}
	})
}

func TestLightStatementsPassListingsThatWaitForOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{places: semaphore.NewWeighted(maxStatements), octets: semaphore.NewWeighted(maxOctets)}
		s.metrics = newMetrics(s)
		ctx, cancel := context.WithCancel(t.Context())
		var listings sync.WaitGroup
		for range 2 * maxStatements {
			listings.Go(func() {
				leave, err := s.enter(ctx, permanentMaildrops.selectAll.weight(nil))
				if err == nil {
					<-ctx.Done() // it takes its time
					leave()
				}
			})
		}
		synctest.Wait()
		for _, octets := range []int64{0, MaxInline} {
			soon, end := context.WithTimeout(t.Context(), statementTimeout)
			leave, err := s.enter(soon, octets)
			if err != nil {
				t.Errorf("a statement of %d octets: %v", octets, err)
			} else {
				leave()
			}
			end()
		}
		cancel()
		listings.Wait()
		if !s.octets.TryAcquire(maxOctets) || !s.places.TryAcquire(maxStatements) {
			t.Error("not all was given back")
		}
	})
}

func TestMain(m *testing.M) { cassandratest.Main(m) }

package cassandra

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestMaildrops(t *testing.T) {
	t.Parallel()
	promises.Maildrops(t, func(t *testing.T) mailbox.Maildrops { return newStore(t).Maildrops() })
}

func TestModel(t *testing.T) {
	t.Parallel()
	promises.Model(t, func(t *testing.T) mailboxtest.Stores {
		s := newStore(t)
		return mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops(), Addresses: s.Addresses()}
	})
}

// someDrop is a maildrop that nobody else uses.
func someDrop() mailbox.MaildropID {
	return mailbox.MaildropOf(mailbox.Address{Local: rand.Text(), Domain: "example.org"}, 1)
}

// newEntries are so many messages for a maildrop.
func newEntries(drop mailbox.MaildropID, n int) []mailbox.Entry {
	entries := make([]mailbox.Entry, n)
	for i := range entries {
		entries[i] = mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: testIDs.Next(), Octets: 4096, Recipients: 1}}
	}
	return entries
}

var testIDs mailbox.MessageIDs

func add(t testing.TB, m mailbox.Maildrops, entries []mailbox.Entry) {
	t.Helper()
	if err := m.Add(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

// A notification that is composed again has other octets, and perhaps more recipients.
func TestAMessageThatWasAddedAgainIsListedAsItWasLast(t *testing.T) {
	t.Parallel()
	id, early, late := ids.Next(), ids.Next(), ids.Next()
	line := func(lane mailbox.MessageID, ord, octets int64, recipients int) mailbox.Message {
		return mailbox.Message{ID: id, Octets: octets, Recipients: recipients, Place: mailbox.Place{Lane: lane, Ord: ord}}
	}
	for name, lines := range map[string][]mailbox.Message{
		"in one lane":  {line(early, 3, 10, 1), line(early, 7, 20, 2)},
		"in two lanes": {line(early, 3, 10, 2), line(late, 0, 20, 1)},
		"thrice":       {line(early, 3, 30, 2), line(early, 4, 10, 1), line(late, 0, 20, 1)},
	} {
		want := mailbox.Message{ID: id, Octets: 20, Recipients: 2}
		for i := range lines {
			pruned := append(listing(slices.Clone(lines[:i]), time.Now()), lines[i:]...)
			if got := listing(pruned, time.Now()); !slices.Equal(got, []mailbox.Message{want}) {
				t.Errorf("%s: listed is %+v, want %+v", name, got, want)
			}
		}
	}
}

func listOf(t testing.TB, m mailbox.Maildrops, drop mailbox.MaildropID) []mailbox.Message {
	t.Helper()
	list, err := m.List(t.Context(), drop)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func remove(t testing.TB, m mailbox.Maildrops, drop mailbox.MaildropID, messages ...mailbox.Message) {
	t.Helper()
	if err := m.Remove(t.Context(), drop, messages...); err != nil {
		t.Fatal(err)
	}
}

func TestFewStatementsServeAMaildrop(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m, drop := s.Maildrops(), someDrop()
	var list []mailbox.Message
	for _, step := range []struct {
		name string
		do   func()
		want map[string]int
	}{
		{"delivery", func() { add(t, m, newEntries(drop, 1)) }, map[string]int{"maildrop insert": 1}},
		{"delivery by another process", func() { add(t, newMaildrops(s.session), newEntries(drop, 1)) }, map[string]int{"maildrop insert": 1}},
		{"delivery of 20", func() { add(t, m, newEntries(drop, 20)) }, map[string]int{"maildrop insert": 20}},
		{"listing", func() { list = listOf(t, m, drop) }, map[string]int{"maildrop select": 1}},
		{"removal of all", func() { remove(t, m, drop, list...) }, map[string]int{"maildrop select registers": 1, "maildrop delete": 1}},
	} {
		if got := statements(t, s, step.do); !maps.Equal(got, step.want) {
			t.Errorf("a %s takes %v; want %v", step.name, got, step.want)
		}
	}
}

func TestLinesHaveTheTimeOfTheirMessageAndRegistersThatOfTheirLane(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	stays := someDrop()
	ends := mailbox.TemporaryMaildropOf(mailbox.Address{Local: rand.Text(), Domain: "example.org"}, 1)
	for table, drop := range map[string]mailbox.MaildropID{"maildrop": stays, "maildrop_temp": ends} {
		entries := newEntries(drop, 3)
		lives, registerLives := time.Duration(0), 7*24*time.Hour
		if drop.Temporary() {
			for i := range entries {
				entries[i].Message.Expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
			}
			lives, registerLives = 2*time.Hour, 2*time.Hour
		}
		add(t, s.Maildrops(), entries)
		remove(t, s.Maildrops(), drop, entries[0].Message, entries[1].Message)

		var at, registerAt int64
		var ttl, registerTTL *int
		line, lane := entries[2].Message, entries[2].Message.Place.Lane
		rows := db.Query("SELECT WRITETIME(octets), TTL(octets), WRITETIME(dead), TTL(dead) FROM "+table+" WHERE maildrop = ?", gocql.UUID(drop)).Iter()
		if !rows.Scan(nil, nil, &registerAt, &registerTTL) || !rows.Scan(&at, &ttl, nil, nil) {
			t.Fatalf("%s has %d rows: %v; want a register and a line", table, rows.NumRows(), rows.Close())
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if at != line.ID.Time().UnixMicro() || registerAt != lane.Time().UnixMicro()+2<<16+2 {
			t.Errorf("%s: a line has the write time %d, its message %v; the register has %d, its lane %v", table, at, line.ID.Time(), registerAt, lane.Time())
		}
		for what, life := range map[string]struct {
			ttl  *int
			want time.Duration
		}{"a line": {ttl, lives}, "a register": {registerTTL, registerLives}} {
			got := time.Duration(0)
			if life.ttl != nil {
				got = time.Duration(*life.ttl) * time.Second
			}
			if got > life.want || got < life.want-time.Minute {
				t.Errorf("%s: %s lives for %v; want %v", table, what, got, life.want)
			}
		}
	}
}

func TestALineOfATemporaryMaildropLivesAsLongAsItsMessageOrAsAnythingMay(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	look := &statement{name: "look", cql: "SELECT TTL(octets) FROM maildrop_temp WHERE maildrop = ?"}
	for _, life := range []time.Duration{40 * 24 * time.Hour, MaxLife, 2 * MaxLife} {
		entries := newEntries(endingDrop(), 1)
		entries[0].Message.Expires = time.Now().Add(life)
		add(t, s.Maildrops(), entries)
		var ttl int
		if _, err := s.session.read(t.Context(), look, LocalQuorum, entries[0].Maildrop).one(&ttl); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Duration(ttl)*time.Second, min(life, MaxLife); got < want-time.Minute || got > want+time.Hour {
			t.Errorf("what lives for %v is listed for %v", life, got)
		}
	}
}

// TestAListingPassesFewTombstones delivers and removes thousands of messages and
// asks Cassandra what a listing has to pass. It is promise 4 as a count.
func TestAListingPassesFewTombstones(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	processes, drop := []*maildrops{newMaildrops(s.session), newMaildrops(s.session)}, someDrop()
	var kept []mailbox.Message
	for n := range 30 {
		for _, m := range processes {
			add(t, m, newEntries(drop, 50))
		}
		reader := processes[n%2]
		gone := slices.DeleteFunc(listOf(t, reader, drop), func(m mailbox.Message) bool {
			return slices.ContainsFunc(kept, func(k mailbox.Message) bool { return k.ID == m.ID })
		})
		if n == 10 { // one message stays, and its lane has two ranges
			kept, gone = gone[:1], gone[1:]
		}
		remove(t, reader, drop, gone...)
	}
	var list []mailbox.Message
	rows, tombstones := passed(t, s, func() { list = listOf(t, processes[0], drop) })
	if !slices.Equal(list, kept) {
		t.Errorf("listed are %v; want %v", list, kept)
	}
	if want := len(kept) + len(processes); rows != want {
		t.Errorf("a listing of %d passes %d rows; want %d, with the registers", len(list), rows, want)
	}
	if want := 2 * (len(kept) + len(processes)); tombstones > want {
		t.Errorf("after 3000 messages a listing passes %d tombstones; want at most %d", tombstones, want)
	}
}

// passed is how many live rows and tombstones one query passes, by Cassandra's own
// account.
func passed(t *testing.T, s *Store, query func()) (rows, tombstones int) {
	t.Helper()
	db, err := s.session.connection()
	if err != nil {
		t.Fatal(err)
	}
	trace := make(tracer, 1)
	db.SetTrace(trace)
	query()
	db.SetTrace(nil)
	id := <-trace
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		events := db.Query("SELECT activity FROM system_traces.events WHERE session_id = ?", id).Consistency(gocql.One).Iter()
		found := false
		for activity := ""; events.Scan(&activity); {
			if n, _ := fmt.Sscanf(activity, "Read %d live rows and %d tombstone", &rows, &tombstones); n == 2 {
				found = true
			}
		}
		if err := events.Close(); err != nil {
			t.Fatal(err)
		}
		if found {
			return rows, tombstones
		}
	}
	t.Fatal("the trace does not say what was read")
	return 0, 0
}

// A tracer is told where the trace of a statement is.
type tracer chan []byte

func (t tracer) Trace(id []byte) { t <- id }

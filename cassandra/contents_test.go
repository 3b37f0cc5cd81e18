package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	runtimemetrics "runtime/metrics"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/semaphore"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestAStreamIsCutIntoPartsOfWhichOnlyTheLastIsShort(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, smallContent - 1, smallContent, smallContent + 1, partSize - 1, partSize, partSize + 1, 2*partSize - 1, 2 * partSize, 2*partSize + 1} {
		want := mailboxtest.Message(max(size, 1))[:size]
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"in one go":             func(r io.Reader) io.Reader { return r },
			"an octet at a time":    iotest.OneByteReader,
			"the end with the last": iotest.DataErrReader,
		} {
			t.Run(fmt.Sprintf("%d octets %s", size, name), func(t *testing.T) {
				c := cutter{r: reader(bytes.NewReader(want))}
				var got []byte
				for n := 0; ; n++ {
					part, last, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					if !last && len(part.octets) != partSize {
						t.Errorf("part %d has %d octets, but is not the last", n, len(part.octets))
					}
					if last && n > 0 && len(part.octets) == 0 {
						t.Errorf("part %d, the last, is empty", n)
					}
					got = append(got, part.octets...)
					part.free()
					if last {
						break
					}
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d octets came out, or they differ", len(got))
				}
			})
		}
	}
}

func TestAStreamThatBreaksIsNotTakenForOneThatEnds(t *testing.T) {
	t.Parallel()
	for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("connection: %w", io.EOF)} {
		for _, size := range []int{0, 10, smallContent, partSize, partSize + 1} {
			c := cutter{r: io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(broken))}
			_, _, err := c.next()
			if size > partSize {
				_, _, err = c.next()
			}
			if !errors.Is(err, broken) {
				t.Errorf("after %d octets: %v", size, err)
			}
		}
	}
}

func TestOnlyWhatExpiresForEveryMaildropIsTemporary(t *testing.T) {
	t.Parallel()
	a := mailbox.Address{Local: "fred", Domain: "example.org"}
	stays, ends := mailbox.MaildropOf(a, 1), mailbox.TemporaryMaildropOf(a, 1)
	id := new(mailbox.MessageIDs).Next()
	soon, late := id.Time().Add(time.Hour), id.Time().Add(20*365*24*time.Hour)
	for _, c := range []struct {
		drops   []mailbox.MaildropID
		expires time.Time
		want    *contentTable
	}{
		{[]mailbox.MaildropID{ends}, soon, temporaryContents},
		{[]mailbox.MaildropID{ends, ends}, soon, temporaryContents},
		{[]mailbox.MaildropID{stays}, soon, permanentContents},
		{[]mailbox.MaildropID{ends, stays}, soon, permanentContents},
		{[]mailbox.MaildropID{ends}, time.Time{}, permanentContents},
		{[]mailbox.MaildropID{ends}, late, permanentContents}, // longer than a time to live can be
	} {
		if got := tableFor(mailbox.Content{ID: id, Maildrops: c.drops, Expires: c.expires}); got != c.want {
			t.Errorf("for %v until %v: %s", c.drops, c.expires, got.insertLast.name)
		}
	}
}

// ids mints the message ids of the tests.
var ids mailbox.MessageIDs

// aDrop is a maildrop that no other test uses, of an address that stays.
func aDrop() mailbox.MaildropID {
	return mailbox.MaildropOf(mailbox.Address{Local: ids.Next().String()}, 1)
}

func someDrops(n int) []mailbox.MaildropID {
	drops := make([]mailbox.MaildropID, n)
	for i := range drops {
		drops[i] = aDrop()
	}
	return drops
}

// aTemporaryDrop is one of an address that ends.
func aTemporaryDrop() mailbox.MaildropID {
	return mailbox.TemporaryMaildropOf(mailbox.Address{Local: ids.Next().String()}, 1)
}

func keep(t testing.TB, s *Store, c mailbox.Content, octets []byte) {
	t.Helper()
	if n, err := s.Contents().Put(t.Context(), c, bytes.NewReader(octets)); err != nil || n != int64(len(octets)) {
		t.Fatalf("Put of %d octets = %d, %v", len(octets), n, err)
	}
}

// contentOf reads a content to its end.
func contentOf(ctx context.Context, s *Store, m mailbox.Message) ([]byte, error) {
	r, err := s.Contents().Open(ctx, m)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func TestAContentTakesOneStatementForEachPart(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, c := range []struct {
		octets    int
		put, open map[string]int
	}{
		{0, map[string]int{"message insert": 1}, map[string]int{"message select": 1}},
		{4 << 10, map[string]int{"message insert": 1}, map[string]int{"message select": 1}},
		{partSize, map[string]int{"message insert": 1}, map[string]int{"message select": 1}},
		{partSize + 1, map[string]int{"message insert part": 1, "message insert": 1}, map[string]int{"message select": 1, "message select part": 1}},
		{3 * partSize, map[string]int{"message insert part": 2, "message insert": 1}, map[string]int{"message select": 1, "message select part": 2}},
	} {
		id := ids.Next()
		want := mailboxtest.Message(max(c.octets, 1))[:c.octets]
		did := statements(t, s, func() { keep(t, s, mailbox.Content{ID: id, Maildrops: someDrops(1)}, want) })
		if !maps.Equal(did, c.put) {
			t.Errorf("a Put of %d octets took %v", c.octets, did)
		}
		did = statements(t, s, func() {
			if got, err := contentOf(t.Context(), s, mailbox.Message{ID: id}); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d octets, %v", len(got), err)
			}
		})
		if !maps.Equal(did, c.open) {
			t.Errorf("reading %d octets took %v", c.octets, did)
		}
	}
}

func TestATemporaryContentIsLookedForWhereItIs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := mailbox.Message{ID: ids.Next(), Expires: time.Now().Add(time.Hour)}
	keep(t, s, mailbox.Content{ID: m.ID, Maildrops: []mailbox.MaildropID{aTemporaryDrop()}, Expires: m.Expires}, []byte("x"))
	did := statements(t, s, func() {
		if _, err := contentOf(t.Context(), s, m); err != nil {
			t.Error(err)
		}
	})
	if want := map[string]int{"message_temp select": 1}; !maps.Equal(did, want) {
		t.Errorf("reading it took %v", did)
	}
	if _, err := contentOf(t.Context(), s, mailbox.Message{ID: m.ID}); err != nil {
		t.Errorf("without its end: %v", err)
	}
}

func TestWhatIsWrittenHasTheTimeOfTheMessageAndTheLifeOfTheAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := mailboxtest.Message(partSize + 1)
	for _, c := range []struct {
		table string
		drop  mailbox.MaildropID
		ttl   int
	}{
		{"message", aDrop(), 0},
		{"message_temp", aTemporaryDrop(), 3 * 60 * 60}, // an hour more
	} {
		id := ids.Next()
		keep(t, s, mailbox.Content{ID: id, Maildrops: []mailbox.MaildropID{c.drop}, Expires: id.Time().Add(2 * time.Hour)}, content)
		st := &statement{name: "look", cql: "SELECT part, WRITETIME(data), WRITETIME(octets), WRITETIME(maildrops), TTL(data), TTL(octets) FROM " + c.table + " WHERE id = ?"}
		rows := s.session.read(t.Context(), st, LocalQuorum, id)
		parts := 0
		for ; ; parts++ {
			var part int
			var data, octets, drops int64
			var dataTTL, octetsTTL int
			if !rows.scan(&part, &data, &octets, &drops, &dataTTL, &octetsTTL) {
				break
			}
			for _, at := range []int64{data, octets, drops} {
				if at != id.Time().UnixMicro() {
					t.Errorf("%s, part %d: written at %d, want %d", c.table, part, at, id.Time().UnixMicro())
				}
			}
			for _, ttl := range []int{dataTTL, octetsTTL} {
				if ttl > c.ttl || ttl < c.ttl-60 {
					t.Errorf("%s, part %d: lives %d s, want %d", c.table, part, ttl, c.ttl)
				}
			}
		}
		if err := rows.err(); err != nil || parts != 2 {
			t.Errorf("%s has %d parts, %v", c.table, parts, err)
		}
	}
}

func TestFewPartsOfAContentAreOnTheirWayAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	most := watchWrites(t, s, 1, 40*partSize)
	if most < 2 || most > maxWriting {
		t.Errorf("%v parts were on their way at once, want up to %d", most, maxWriting)
	}
}

func TestFewPartsOfAllContentsAreOnTheirWayAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.contents.writing = semaphore.NewWeighted(3 * partSize)
	const puts = 8
	// The last part of each is written by the one who puts it.
	if most := watchWrites(t, s, puts, 10*partSize); most < 2 || most > 3+puts {
		t.Errorf("%v parts were on their way at once, want up to 3 beside the last of each", most)
	}
}

// watchWrites puts contents at once and returns how many statements were in flight
// at most, as seen by who is read from.
func watchWrites(t *testing.T, s *Store, puts, octets int) float64 {
	t.Helper()
	var mu sync.Mutex
	most := 0.0
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, metric(t, s, "statements_in_flight")[""])
	}
	var all sync.WaitGroup
	for range puts {
		all.Go(func() {
			r := watchedReader{bytes.NewReader(mailboxtest.Message(octets)), look}
			if _, err := s.Contents().Put(t.Context(), mailbox.Content{ID: ids.Next(), Maildrops: someDrops(1)}, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return most
}

type watchedReader struct {
	io.Reader
	look func()
}

func (r watchedReader) Read(p []byte) (int, error) {
	r.look()
	return r.Reader.Read(p[:min(len(p), partSize/4)])
}

func TestOfAContentThatWasNotCompletedNothingStays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	broken := errors.New("the client is gone")
	c := mailbox.Content{ID: ids.Next(), Maildrops: someDrops(1)}
	r := io.MultiReader(bytes.NewReader(make([]byte, 5*partSize)), iotest.ErrReader(broken))
	if _, err := s.Contents().Put(t.Context(), c, r); !errors.Is(err, broken) {
		t.Errorf("Put = %v", err)
	}
	parts := &statement{name: "look", cql: "SELECT part FROM message WHERE id = ?"}
	if found, err := s.session.read(t.Context(), parts, LocalQuorum, c.ID).one(nil); found || err != nil {
		t.Errorf("a part is there: %t, %v", found, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c.ID = ids.Next()
	end := watchedReader{bytes.NewReader(make([]byte, 5*partSize)), cancel}
	if _, err := s.Contents().Put(ctx, c, io.MultiReader(bytes.NewReader(make([]byte, 5*partSize)), end)); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Put = %v", err)
	}
	if found, err := s.session.read(t.Context(), parts, LocalQuorum, c.ID).one(nil); found || err != nil {
		t.Errorf("after the end of the context, a part is there: %t, %v", found, err)
	}
}

// Of a notice for two, one removes it before it is delivered again, in other words. What the
// other then removes is still listed for the first.
func TestWhatIsDeliveredAgainCanBeReadByEveryoneWhoListsIt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops()}.Deliveries()
	fred, ann := mailbox.Recipient{Maildrop: aDrop()}, mailbox.Recipient{Maildrop: aDrop()}
	id := ids.Next()
	deliver := func(content string) {
		if _, err := d.DeliverAs(t.Context(), id, mailbox.Envelope{Recipients: []mailbox.Recipient{fred, ann}}, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(who mailbox.Recipient) []mailbox.Message {
		list, err := s.Maildrops().List(t.Context(), who.Maildrop)
		if err != nil || len(list) != 1 {
			t.Fatalf("lists %v, %v", list, err)
		}
		return list
	}
	deliver("dear Fred")
	if err := d.Expunge(t.Context(), fred.Maildrop, listed(fred)...); err != nil {
		t.Fatal(err)
	}
	results := func() float64 {
		did := metric(t, s, "releases_total")
		return did[contentKept] + did[contentRemoved]
	}
	settles(t, "it is not released", func() bool { return results() == 1 })
	deliver("dear Fred and dear Ann")
	if err := d.Expunge(t.Context(), ann.Maildrop, listed(ann)...); err != nil {
		t.Fatal(err)
	}
	settles(t, "it is not released by the other", func() bool { return results() == 2 })
	if got, err := contentOf(t.Context(), s, listed(fred)[0]); err != nil || string(got) != "dear Fred and dear Ann" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestAContentThatLacksAPartCannotBeReadToItsEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	id := ids.Next()
	keep(t, s, mailbox.Content{ID: id, Maildrops: someDrops(1)}, mailboxtest.Message(8*partSize))
	lose := &statement{name: "lose", cql: "DELETE FROM message WHERE id = ? AND part = 5"}
	if err := s.session.write(t.Context(), lose, LocalQuorum, deletedAt(time.Now(), id), id); err != nil {
		t.Fatal(err)
	}
	got, err := contentOf(t.Context(), s, mailbox.Message{ID: id})
	if len(got) != 5*partSize || !errors.Is(err, mailbox.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %d octets, %v", len(got), err)
	}
}

func TestNothingIsPutWhileTheClockIsWrong(t *testing.T) {
	t.Parallel()
	o := tableOptions(t)
	o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	s := openStore(t, o)
	did := statements(t, s, func() {
		c := mailbox.Content{ID: ids.Next(), Maildrops: someDrops(1)}
		if _, err := s.Contents().Put(t.Context(), c, bytes.NewReader(make([]byte, 2*partSize))); !errors.Is(err, mailbox.ErrUnavailable) {
			t.Errorf("Put = %v", err)
		}
	})
	if len(did) > 0 {
		t.Errorf("it took %v", did)
	}
}

// 64 deliveries at once, of contents that are much larger than what is held of each.
func TestManyLargeContentsAtOnceTakeLittleMemory(t *testing.T) {
	s := newStore(t)
	const puts, octets, limit = 64, 1 << 20, 256 << 20
	stop := make(chan struct{})
	var watch, all sync.WaitGroup
	var most uint64
	watch.Go(func() {
		samples := []runtimemetrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			runtimemetrics.Read(samples)
			most = max(most, samples[0].Value.Uint64()-samples[1].Value.Uint64())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	for range puts {
		all.Go(func() {
			r := io.LimitReader(endless{}, octets)
			if _, err := s.Contents().Put(t.Context(), mailbox.Content{ID: ids.Next(), Maildrops: someDrops(1)}, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(stop)
	watch.Wait()
	t.Logf("at most %d MiB", most>>20)
	if most > limit {
		t.Errorf("%d contents of %d MiB at once took %d MiB of memory, want at most %d", puts, octets>>20, most>>20, limit>>20)
	}
}

// endless is a stream of the same line.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "and so on\r\n"[i%11]
	}
	return len(p), nil
}

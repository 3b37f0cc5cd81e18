package cassandra

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// Parts of 1,000 octets, each of which takes a second to fetch.
const (
	testPart  = 1000
	testFetch = time.Second
)

// A slowTable is where a test reader fetches parts from.
type slowTable struct {
	content []byte
	missing int // a part that cannot be had; 0: all can

	asked, running, most atomic.Int64 // fetches: all so far, now, at most at once
}

func (s *slowTable) fetch(ctx context.Context, n int) ([]byte, error) {
	s.asked.Add(1)
	now := s.running.Add(1)
	defer s.running.Add(-1)
	s.most.Store(max(s.most.Load(), now))
	select {
	case <-time.After(testFetch):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.missing > 0 && n == s.missing {
		return nil, io.ErrUnexpectedEOF
	}
	return s.content[n*testPart : min((n+1)*testPart, len(s.content))], nil
}

// reader reads what is in the table, with room for some octets ahead.
func (s *slowTable) reader(t *testing.T, room int64) *reader {
	r := &reader{
		extent: extent{octets: int64(len(s.content)), parts: (len(s.content) + testPart - 1) / testPart, part: testPart},
		unread: s.content[:testPart],
		next:   1,
		fetch:  s.fetch,
		room:   semaphore.NewWeighted(room),
	}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	return r
}

const muchRoom = 1 << 20

// holdsAll reports whether nothing of the room is taken.
func holdsAll(room *semaphore.Weighted, octets int64) bool { return room.TryAcquire(octets) }

func TestAReaderFetchesPartsAheadWhileOneIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTable{content: mailboxtest.Message(20*testPart + 1)}
		r := s.reader(t, muchRoom)
		began := time.Now()
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, s.content) {
			t.Fatalf("read %d octets, %v", len(got), err)
		}
		if most := s.most.Load(); most != maxAhead {
			t.Errorf("%d parts were fetched at once, want %d", most, maxAhead)
		}
		if took := time.Since(began); took > 8*testFetch {
			t.Errorf("20 parts took %s", took)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if !holdsAll(r.room, muchRoom) {
			t.Error("the room for parts ahead was not given back")
		}
	})
}

func TestAReaderOfTheBeginningFetchesOnePartAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTable{content: mailboxtest.Message(20 * testPart)}
		r := s.reader(t, muchRoom)
		if asked := s.asked.Load(); asked != 0 {
			t.Errorf("%d parts were asked for before anything was read", asked)
		}
		if _, err := io.ReadFull(r, make([]byte, testPart)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if asked := s.asked.Load(); asked != 1 {
			t.Errorf("%d parts were asked for while the first was read", asked)
		}
		began := time.Now()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if s.running.Load() != 0 || time.Since(began) > 0 {
			t.Error("Close waited for a part or left it behind")
		}
		if !holdsAll(r.room, muchRoom) {
			t.Error("the room for parts ahead was not given back")
		}
	})
}

func TestAReaderWithoutRoomFetchesEachPartWhenItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTable{content: mailboxtest.Message(5*testPart + 1)}
		r := s.reader(t, testPart-1)
		defer r.Close()
		var got bytes.Buffer
		if n, err := r.WriteTo(&got); err != nil || n != int64(len(s.content)) || !bytes.Equal(got.Bytes(), s.content) {
			t.Fatalf("read %d octets, %v", n, err)
		}
		// The last part, of one octet, finds room.
		if most := s.most.Load(); most > 1 {
			t.Errorf("%d parts were fetched at once", most)
		}
	})
}

func TestAReaderThatMissesAPartFailsAndStaysFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTable{content: mailboxtest.Message(9 * testPart), missing: 6}
		r := s.reader(t, muchRoom)
		defer r.Close()
		got, err := io.ReadAll(r)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, s.content[:6*testPart]) {
			t.Errorf("read %d octets, %v", len(got), err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("read %d more, %v", n, err)
		}
	})
}

func TestAReaderEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowTable{content: mailboxtest.Message(9 * testPart)}
		r := s.reader(t, muchRoom)
		defer r.Close()
		time.AfterFunc(testFetch/2, r.cancel)
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Errorf("read to the end: %v", err)
		}
	})
}

func TestACommitRecordThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for _, good := range []extent{{0, 1, 0}, {10, 1, 10}, {10, 2, 5}, {11, 3, 5}, {15, 3, 5}, {20, 2, 19}} {
		if err := good.check(); err != nil {
			t.Error(err)
		}
		var sum int64
		for n := range good.parts {
			sum += good.octetsOf(n)
		}
		if sum != good.octets {
			t.Errorf("the parts of %v have %d octets", good, sum)
		}
	}
	for _, bad := range []extent{{}, {0, 0, 5}, {10, 1, 9}, {10, 1, 11}, {10, 2, 10}, {10, 3, 5}, {11, 2, 5}, {10, -1, 5}, {-5, 1, 0}, {0, 2, 0}} {
		if err := bad.check(); !errors.Is(err, errCorrupt) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// Any one replica answers, then all are asked, and only they can say no.
func TestMoreAndMoreReplicasAreAsked(t *testing.T) {
	t.Parallel()
	down := errors.Join(mailbox.ErrUnavailable)
	for _, c := range []struct {
		name  string
		found map[Consistency]bool
		fails map[Consistency]error
		asked int
		want  error
	}{
		{"the first replica has it", map[Consistency]bool{localOne: true}, nil, 1, nil},
		{"another replica has it", map[Consistency]bool{LocalQuorum: true}, nil, 2, nil},
		{"another data centre has it", map[Consistency]bool{EachQuorum: true}, nil, 3, nil},
		{"nobody has it", nil, nil, 3, mailbox.ErrNotFound},
		{"the first replica is away", map[Consistency]bool{LocalQuorum: true}, map[Consistency]error{localOne: down}, 2, nil},
		{"the data centre is away", map[Consistency]bool{EachQuorum: true}, map[Consistency]error{localOne: down, LocalQuorum: down}, 2, down},
		{"the others are away", nil, map[Consistency]error{EachQuorum: down}, 3, down},
	} {
		asked := 0
		err := widen(contentLevels, func(level Consistency) (bool, error) {
			asked++
			return c.found[level] && c.fails[level] == nil, c.fails[level]
		})
		if !errors.Is(err, c.want) || asked != c.asked {
			t.Errorf("%s: asked %d times, %v; want %d, %v", c.name, asked, err, c.asked, c.want)
		}
	}
}

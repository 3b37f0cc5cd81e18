package mailbox_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/mailbox"
)

func TestIDsIncreaseWhenTheClockDoesNot(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := noon
	ids := mailbox.MessageIDs{Now: func() time.Time { return clock }}
	last := ids.Next()
	for name, now := range map[string]time.Time{
		"stands still":            noon,
		"goes back by a second":   noon.Add(-time.Second),
		"goes back by ten years":  noon.AddDate(-10, 0, 0),
		"goes on by less than it": noon.Add(time.Nanosecond),
	} {
		clock = now
		for range 1000 {
			id := ids.Next()
			if id.Compare(last) <= 0 || id.Time().Before(last.Time()) {
				t.Fatalf("when the clock %s, %s follows %s", name, id, last)
			}
			last = id
		}
	}
	if ahead := last.Time().Sub(noon); ahead != 4000*100*time.Nanosecond {
		t.Errorf("4,000 ids at noon go on to noon and %v; want 100 ns for each", ahead)
	}
	clock = noon.Add(time.Hour)
	if id := ids.Next(); !id.Time().Equal(clock) {
		t.Errorf("after the clock went on, the id is of %v; want %v", id.Time(), clock)
	}
}

func TestIDsOfManyGoroutinesAndProcessesAreUniqueAndEachOnesIncrease(t *testing.T) {
	const each = 2000
	processes := make([]mailbox.MessageIDs, 4)
	minted := make([][]mailbox.MessageID, 8)
	var all sync.WaitGroup
	for g := range minted {
		all.Go(func() {
			for range each {
				minted[g] = append(minted[g], processes[g%len(processes)].Next())
			}
		})
	}
	all.Wait()
	seen := make(map[mailbox.MessageID]bool)
	for _, ids := range minted {
		for i, id := range ids {
			if seen[id] {
				t.Fatalf("%s was minted twice", id)
			}
			seen[id] = true
			if i > 0 && id.Compare(ids[i-1]) <= 0 {
				t.Fatalf("%s was minted after %s", id, ids[i-1])
			}
		}
	}
}

func TestAnIDIsATimeUUIDOfARandomNode(t *testing.T) {
	nodes := make(map[[8]byte]bool)
	for range 50 {
		var ids mailbox.MessageIDs
		id, next := ids.Next(), ids.Next()
		if id[6]>>4 != 1 || id[8]>>6 != 0b10 {
			t.Errorf("%s has version %d and variant %b; want 1 and 10", id, id[6]>>4, id[8]>>6)
		}
		if id[10]&1 == 0 {
			t.Errorf("%s may have the node id of a network card: the multicast bit is not set", id)
		}
		if [8]byte(id[8:]) != [8]byte(next[8:]) {
			t.Errorf("%s and %s are of one process", id, next)
		}
		nodes[[8]byte(id[8:])] = true
	}
	if len(nodes) != 50 {
		t.Errorf("50 processes have %d node ids", len(nodes))
	}
}

func TestTheTimeOfAnIDIsTheClocks(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(2026, 11, 22, 12, 34, 56, 789012300, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999900, time.UTC),
		time.Date(1583, 1, 1, 0, 0, 0, 100, time.UTC),
		time.Date(4000, 6, 7, 8, 9, 10, 0, time.UTC),
		time.Date(2026, 11, 22, 12, 34, 56, 100, time.FixedZone("", 3600)),
	} {
		ids := mailbox.MessageIDs{Now: func() time.Time { return at }}
		if got := ids.Next().Time(); !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("the id of %v is of %v", at, got)
		}
	}
	ids := mailbox.MessageIDs{Now: func() time.Time { return time.Unix(5, 199) }}
	if got := ids.Next().Time(); !got.Equal(time.Unix(5, 100)) {
		t.Errorf("199 ns become %v; want 100 ns", got.Nanosecond())
	}
}

func TestIDsWithoutAClockUseTheSystems(t *testing.T) {
	before := time.Now().Truncate(100 * time.Nanosecond)
	at := new(mailbox.MessageIDs).Next().Time()
	if after := time.Now(); at.Before(before) || at.After(after) {
		t.Errorf("the id is of %v; want between %v and %v", at, before, after)
	}
}

// cassandra compares as its timeuuid type does, written after the description:
// the timestamp put together with its high bits first, then eight signed octets.
func cassandra(a, b mailbox.MessageID) int {
	timestamp := func(id mailbox.MessageID) string {
		s := hex.EncodeToString(id[:])
		return s[13:16] + s[8:12] + s[0:8]
	}
	if c := strings.Compare(timestamp(a), timestamp(b)); c != 0 {
		return c
	}
	signed := func(id mailbox.MessageID) uint64 {
		return binary.BigEndian.Uint64(id[8:]) ^ 0x8080808080808080
	}
	switch x, y := signed(a), signed(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func TestIDsAreInCassandrasOrder(t *testing.T) {
	interesting := []byte{0x00, 0x01, 0x7f, 0x80, 0xff}
	var ids []mailbox.MessageID
	for range 150 {
		var id mailbox.MessageID
		for i := range id {
			id[i] = interesting[rand.IntN(len(interesting))]
		}
		if rand.IntN(2) == 0 { // many of one time
			copy(id[:8], make([]byte, 8))
		}
		id[6], id[8] = id[6]&0x0f|0x10, id[8]&0x3f|0x80
		ids = append(ids, id)
	}
	for _, a := range ids {
		for _, b := range ids {
			if got, want := a.Compare(b), cassandra(a, b); got != want {
				t.Fatalf("%s to %s is %d; want %d", a, b, got, want)
			}
		}
	}
}

func TestAnIDIsReadFromItsText(t *testing.T) {
	id := new(mailbox.MessageIDs).Next()
	for _, text := range []string{id.String(), strings.ToUpper(id.String())} {
		if got, err := mailbox.ParseMessageID(text); err != nil || got != id {
			t.Errorf("%s is read as %s, %v", text, got, err)
		}
	}
	if len(id.String()) != 36 || strings.ContainsFunc(id.String(), func(r rune) bool { return r < '!' || r > '~' }) {
		t.Errorf("%s cannot be a unique-id (RFC 1939, section 7)", id)
	}
}

func TestOnlyTextOfATimeUUIDIsReadAsAnID(t *testing.T) {
	const good = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	if _, err := mailbox.ParseMessageID(good); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"version 4":       "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
		"version 6":       "6ba7b810-9dad-61d1-80b4-00c04fd430c8",
		"version 7":       "6ba7b810-9dad-71d1-80b4-00c04fd430c8",
		"other variant":   "6ba7b810-9dad-11d1-c0b4-00c04fd430c8",
		"the zero id":     "00000000-0000-0000-0000-000000000000",
		"braces":          "{" + good + "}",
		"urn":             "urn:uuid:" + good,
		"without hyphens": strings.ReplaceAll(good, "-", ""),
		"too short":       good[:35],
		"too long":        good + "0",
		"no hex digit":    "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
		"a line end":      good[:34] + "\r\n",
	} {
		if id, err := mailbox.ParseMessageID(text); !errors.Is(err, mailbox.ErrNotFound) || !id.IsZero() {
			t.Errorf("%s: %s, %v; want ErrNotFound", name, id, err)
		}
	}
}

func TestOnlyAnIDThatWasNeverAssignedIsZero(t *testing.T) {
	if !(mailbox.MessageID{}).IsZero() || new(mailbox.MessageIDs).Next().IsZero() {
		t.Error("the zero id is not zero, or a minted one is")
	}
}

// The ids of maildrops are on disk: a change of these values loses every
// maildrop there is.
func TestTheMaildropOfALifeOfAnAddressNeverChanges(t *testing.T) {
	for _, c := range []struct {
		address mailbox.Address
		life    uint32
		want    string
	}{
		{mailbox.Address{Local: "fred", Domain: "example.org"}, 1, "8eededbd-aeb2-8dab-a409-6a68f8173986"},
		{mailbox.Address{Local: "fred", Domain: "example.org"}, 2, "1fe5ab3d-5b7c-85ef-8ce5-aed2f490e93e"},
		{mailbox.Address{Local: "a b", Domain: "example.org"}, 1, "01ece69e-97cd-8de1-9a54-ccc1d2df87c2"},
		{mailbox.Address{Local: "пётр", Domain: "почта.рф"}, 4294967295, "d1ae5b30-0a74-8662-9c04-a069de166588"},
	} {
		if got := mailbox.MaildropOf(c.address, c.life).String(); got != c.want {
			t.Errorf("life %d of %s has the maildrop %s; want %s", c.life, c.address, got, c.want)
		}
	}
}

func TestTheIdOfAMaildropTellsWhetherItsMailExpires(t *testing.T) {
	for life := range uint32(100) {
		a := mailbox.Address{Local: "fred", Domain: "example.org"}
		stays, ends := mailbox.MaildropOf(a, life), mailbox.TemporaryMaildropOf(a, life)
		if stays.Temporary() || !ends.Temporary() || stays == ends {
			t.Errorf("life %d has %s, temporary %v, and %s, temporary %v", life, stays, stays.Temporary(), ends, ends.Temporary())
		}
	}
}

func TestEachLifeOfEachAddressHasAMaildropOfItsOwn(t *testing.T) {
	seen := make(map[mailbox.MaildropID]bool)
	var addresses []mailbox.Address
	for _, local := range []string{"fred", "wilma", "a b", "a@b", "fred+x", ""} {
		for _, domain := range []string{"example.org", "example.com", "b.example.org"} {
			addresses = append(addresses, mailbox.Address{Local: local, Domain: domain})
		}
	}
	lives := []uint32{0, 1, 2, 11, 1<<32 - 1}
	for _, a := range addresses {
		for _, life := range lives {
			seen[mailbox.MaildropOf(a, life)] = true
		}
	}
	if len(seen) != len(addresses)*len(lives) {
		t.Errorf("%d addresses with %d lives have %d maildrops", len(addresses), len(lives), len(seen))
	}
}

func TestARouteIsLiveUntilItExpiresUnlessItIsVacant(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		route mailbox.Route
		want  bool
	}{
		"account":           {mailbox.Route{Kind: mailbox.Account}, true},
		"alias":             {mailbox.Route{Kind: mailbox.Alias}, true},
		"vacant":            {mailbox.Route{Kind: mailbox.Vacant}, false},
		"expires later":     {mailbox.Route{Kind: mailbox.Temporary, Expires: now.Add(1)}, true},
		"expires now":       {mailbox.Route{Kind: mailbox.Temporary, Expires: now}, false},
		"expired":           {mailbox.Route{Kind: mailbox.Temporary, Expires: now.Add(-1)}, false},
		"vacant with a day": {mailbox.Route{Kind: mailbox.Vacant, Expires: now.Add(1)}, false},
	} {
		if got := c.route.Live(now); got != c.want {
			t.Errorf("%s: live %v; want %v", name, got, c.want)
		}
	}
}

func TestEveryKindHasAName(t *testing.T) {
	for k, want := range map[mailbox.Kind]string{
		mailbox.Vacant: "vacant", mailbox.Account: "account", mailbox.Alias: "alias", mailbox.Temporary: "temporary", 200: "unknown",
	} {
		if k.String() != want {
			t.Errorf("kind %d is called %s; want %s", uint8(k), k, want)
		}
	}
}

// Stores keep the numbers.
func TestTheNumberOfAKindNeverChanges(t *testing.T) {
	for i, k := range []mailbox.Kind{mailbox.Vacant, mailbox.Account, mailbox.Alias, mailbox.Temporary} {
		if int(k) != i {
			t.Errorf("%s is %d; want %d", k, k, i)
		}
	}
}

func TestAMessageIDIsAFunctionOfItsNameAndTime(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456700, time.UTC)
	id := mailbox.MessageIDOf("some name", at)
	if id.String() != "7ac36687-e65b-11f1-909d-ab7b1dd0baac" {
		t.Errorf("got %s; ids that were handed out must not change", id)
	}
	if again := mailbox.MessageIDOf("some name", at); again != id || !id.Time().Equal(at) {
		t.Errorf("got %s of %v, then %s; want one id of %v", id, id.Time(), again, at)
	}
	if parsed, err := mailbox.ParseMessageID(id.String()); parsed != id || err != nil {
		t.Errorf("ParseMessageID(%s) = %s, %v", id, parsed, err)
	}
	for name, other := range map[string]mailbox.MessageID{
		"another name": mailbox.MessageIDOf("another name", at),
		"another time": mailbox.MessageIDOf("some name", at.Add(100*time.Nanosecond)),
	} {
		if other == id {
			t.Errorf("%s has the same id", name)
		}
	}
}

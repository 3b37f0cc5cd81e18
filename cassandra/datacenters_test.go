package cassandra

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// Two data centres, and a store in each. The subtests share them and come one after
// the other: a node that one of them stops answering answers again at its end.
func TestTwoDatacenters(t *testing.T) {
	c := cassandratest.StartDatacenters(t, 2, 1)
	keyspace := c.Keyspace(t)
	if err := createTables(c, keyspace); err != nil {
		t.Fatal(err)
	}
	p := &pair{cluster: c, keyspace: keyspace}
	p.one = p.open(t, "dc1")
	p.two = p.open(t, "dc2")

	t.Run("what is put in one can be read in the other at once", p.contentAtOnce)
	t.Run("content that has not arrived is asked for in the other", p.contentFromAfar)
	t.Run("an address that has not arrived is asked for in the other", p.addressFromAfar)
	t.Run("maildrops of both release a content together", p.releasedInBoth)
	t.Run("while one is away the other does not say not found", p.alone)
	t.Run("the sweep in one asks the other", p.sweptFromAfar)
	t.Run("what is listed and removed in one is so in the other soon", p.listedInBoth)
	t.Run("what one has to send the other can take over", p.takenOver)
	t.Run("mail is accepted on what the options say, and sent on a quorum here", p.acceptedInBoth)
	t.Run("the schema", func(t *testing.T) { schemaInTwo(t, c) })
}

// A pair is two stores on the same keyspace, in dc1 and dc2.
type pair struct {
	cluster  *cassandratest.Cluster
	keyspace string
	one, two *Store
}

func (p *pair) open(t *testing.T, datacenter string) *Store {
	return openStore(t, optionsFor(p.cluster, datacenter, p.keyspace))
}

// onlyInOne does what does not come to dc2, as if it were still on its way.
func (p *pair) onlyInOne(t *testing.T, do func()) {
	t.Helper()
	p.replicate(t, "'dc1': 1")
	do()
	p.replicate(t, "'dc1': 1, 'dc2': 1")
}

func (p *pair) replicate(t *testing.T, to string) {
	t.Helper()
	alter := fmt.Sprintf("ALTER KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', %s}", p.keyspace, to)
	if err := p.cluster.Session(t, "dc1", p.keyspace).Query(alter).Exec(); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) contentAtOnce(t *testing.T) {
	for _, size := range []int{10, 5 * partSize} {
		for _, way := range []struct{ from, to *Store }{{p.one, p.two}, {p.two, p.one}} {
			want := mailboxtest.Message(size)
			m := mailbox.Message{ID: ids.Next()}
			keep(t, way.from, mailbox.Content{ID: m.ID, Maildrops: someDrops(1)}, want)
			if got, err := contentOf(t.Context(), way.to, m); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d octets of %d, %v", len(got), size, err)
			}
		}
	}
}

func (p *pair) contentFromAfar(t *testing.T) {
	small, large := ids.Next(), ids.Next()
	contents := map[mailbox.MessageID][]byte{small: []byte("x"), large: mailboxtest.Message(3 * partSize)}
	p.onlyInOne(t, func() {
		for id, content := range contents {
			keep(t, p.one, mailbox.Content{ID: id, Maildrops: someDrops(1)}, content)
		}
	})
	for id, want := range contents {
		did := statements(t, p.two, func() {
			if got, err := contentOf(t.Context(), p.two, mailbox.Message{ID: id}); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d octets of %d, %v", len(got), len(want), err)
			}
		})
		// One replica, a quorum of dc2, and a quorum of each.
		asked := map[string]int{"message select": 3, "message_temp select": 2}
		if id == large {
			asked["message select part"] = 2 // of those who had the first
		}
		if !maps.Equal(did, asked) {
			t.Errorf("reading %d octets took %v", len(want), did)
		}
	}
}

func (p *pair) addressFromAfar(t *testing.T) {
	unknown, vacant := anAddress(), anAddress()
	if err := p.two.Addresses().Put(t.Context(), vacant, mailbox.Route{Kind: mailbox.Vacant, Life: 1}); err != nil {
		t.Fatal(err)
	}
	p.onlyInOne(t, func() {
		for _, a := range []mailbox.Address{unknown, vacant} {
			if err := p.one.Addresses().Put(t.Context(), a, mailbox.Route{Kind: mailbox.Account, Life: 2}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, a := range []mailbox.Address{unknown, vacant} {
		if r, err := p.two.Addresses().Lookup(t.Context(), a); err != nil || r.Life != 2 {
			t.Errorf("Lookup = %v, %v; want what was put in dc1", r, err)
		}
	}
}

// Both deliver to one maildrop and both remove from it, each what it sees.
func (p *pair) listedInBoth(t *testing.T) {
	drop := someDrops(1)[0]
	added := make(map[*Store][]mailbox.Entry)
	for _, s := range []*Store{p.one, p.two} {
		for range 10 {
			added[s] = append(added[s], mailbox.Entry{Maildrop: drop, Message: mailbox.Message{ID: ids.Next(), Octets: 1, Recipients: 1}})
		}
		if err := s.Maildrops().Add(t.Context(), added[s]); err != nil {
			t.Fatal(err)
		}
	}
	lists := func(s *Store) []mailbox.Message {
		listed, err := s.Maildrops().List(t.Context(), drop)
		if err != nil {
			t.Fatal(err)
		}
		return listed
	}
	for _, s := range []*Store{p.one, p.two} {
		settles(t, "not all are listed", func() bool { return len(lists(s)) == 20 })
	}
	all := lists(p.two)
	if err := p.two.Maildrops().Remove(t.Context(), drop, all[5:]...); err != nil {
		t.Fatal(err)
	}
	if err := p.one.Maildrops().Remove(t.Context(), drop, all[:3]...); err != nil {
		t.Fatal(err)
	}
	// What is repeated was removed already.
	for s, entries := range added {
		if err := s.Maildrops().Add(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Store{p.one, p.two} {
		settles(t, "it is not the two that are left", func() bool {
			left := lists(s)
			return len(left) == 2 && left[0].ID == all[3].ID && left[1].ID == all[4].ID
		})
	}
}

func (p *pair) releasedInBoth(t *testing.T) {
	drops := someDrops(2)
	m := mailbox.Message{ID: ids.Next(), Recipients: 2}
	keep(t, p.one, mailbox.Content{ID: m.ID, Maildrops: drops}, []byte("x"))
	if err := p.one.Contents().Release(t.Context(), drops[0], m); err != nil {
		t.Fatal(err)
	}
	settles(t, "dc2 does not know who released it", func() bool { return rowsOf(t, p.two, "message_done", m.ID) == 1 })
	if _, err := contentOf(t.Context(), p.two, m); err != nil {
		t.Errorf("before the last released it: %v", err)
	}
	if err := p.two.Contents().Release(t.Context(), drops[1], m); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{p.one, p.two} {
		settles(t, "something of it is left", func() bool {
			return rowsOf(t, s, "message", m.ID) == 0 && rowsOf(t, s, "message_done", m.ID) == 0
		})
	}
}

func (p *pair) alone(t *testing.T) {
	known, late := anAddress(), anAddress()
	if err := p.one.Addresses().Put(t.Context(), known, mailbox.Route{Kind: mailbox.Account, Life: 1}); err != nil {
		t.Fatal(err)
	}
	arrived := mailbox.Message{ID: ids.Next()}
	keep(t, p.two, mailbox.Content{ID: arrived.ID, Maildrops: someDrops(1)}, mailboxtest.Message(3*partSize))
	unknown := mailbox.Message{ID: ids.Next()}
	p.onlyInOne(t, func() { keep(t, p.one, mailbox.Content{ID: unknown.ID, Maildrops: someDrops(1)}, []byte("x")) })

	var log bytes.Buffer
	o := optionsFor(p.cluster, "dc2", p.keyspace)
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	two := openStore(t, o)
	p.cluster.Node(1, 1).Freeze(t)
	thaw := func() { p.cluster.Node(1, 1).Thaw(t) }
	defer func() { thaw() }()

	if r, err := two.Addresses().Lookup(t.Context(), known); err != nil || r.Life != 1 {
		t.Errorf("Lookup of what is here = %v, %v", r, err)
	}
	if _, err := two.Addresses().Lookup(t.Context(), anAddress()); !errors.Is(err, mailbox.ErrUnavailable) || errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Lookup of what is not here = %v", err)
	}
	if _, err := contentOf(t.Context(), two, arrived); err != nil {
		t.Errorf("Open of what is here: %v", err)
	}
	if _, err := contentOf(t.Context(), two, unknown); !errors.Is(err, mailbox.ErrUnavailable) || errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("Open of what is not here = %v", err)
	}
	if err := two.Addresses().Put(t.Context(), late, mailbox.Route{Kind: mailbox.Account, Life: 3}); err != nil {
		t.Errorf("Put: %v", err)
	}
	if r, err := two.Addresses().Lookup(t.Context(), late); err != nil || r.Life != 3 {
		t.Errorf("Lookup of what was put here = %v, %v", r, err)
	}
	if !strings.Contains(log.String(), "address written in this data centre only") {
		t.Errorf("the log does not say that dc1 has not heard of the address: %s", &log)
	}
	d := mailbox.Directory{Addresses: two.Addresses(), Domains: []string{"example.org"}, TempDomains: []string{"temp.example.org"}}
	drawn, chosen := anAddress(), anAddress()
	drawn.Domain, chosen.Domain = "temp.example.org", "example.org"
	made, err := d.CreateRandom(t.Context(), drawn, mailbox.Route{Kind: mailbox.Temporary, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Errorf("CreateRandom: %v", err)
	}
	if to, err := d.Resolve(t.Context(), drawn); err != nil || len(to) != 1 || to[0].Maildrop != made.Maildrop {
		t.Errorf("what was created at random leads to %v, %v", to, err)
	}
	if _, err := d.Create(t.Context(), chosen, mailbox.Route{Kind: mailbox.Account}); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("Create of what may be in dc1 = %v", err)
	}
	m := mailbox.Message{ID: ids.Next()}
	keep(t, two, mailbox.Content{ID: m.ID, Maildrops: someDrops(1)}, mailboxtest.Message(3*partSize))
	if _, err := contentOf(t.Context(), two, m); err != nil {
		t.Errorf("Open of what was put here: %v", err)
	}

	thaw()
	thaw = func() {}
	// As soon as both see each other again, each knows of what the other has.
	var r mailbox.Route
	if err := onceAvailable(func() (err error) { r, err = p.one.Addresses().Lookup(t.Context(), late); return err }); err != nil || r.Life != 3 {
		t.Errorf("Lookup of what was put in dc2 meanwhile = %v, %v", r, err)
	}
	if err := onceAvailable(func() error { _, err := contentOf(t.Context(), two, unknown); return err }); err != nil {
		t.Errorf("Open of what was put in dc1 before: %v", err)
	}
}

// onceAvailable repeats a call until it has an answer, of whatever kind.
func onceAvailable(call func() error) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := call()
		if !errors.Is(err, mailbox.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
}

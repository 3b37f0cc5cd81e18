package cassandra

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// Three nodes, each with a replica of everything. The subtests come one after the other.
// What a node misses nobody brings it later; who waits for one soon asks another.
func TestThreeNodes(t *testing.T) {
	c := cassandratest.StartDatacenters(t, 1, 3, "hinted_handoff_enabled: false", "read_request_timeout: 1s")
	keyspace := c.Keyspace(t)
	if err := createTables(c, keyspace); err != nil {
		t.Fatal(err)
	}
	p := &pile{Store: openStore(t, optionsFor(c, "dc1", keyspace)), t: t, cluster: c, old: idsAgo(30 * time.Hour)}
	t.Run("a frozen one is not taken for another data centre", p.addressBesideFrozen)
	t.Run("what one has is not nowhere", p.whatOneHas)
	t.Run("the store is ready while it can serve some", p.readyForSome)
}

func (p *pile) addressBesideFrozen(t *testing.T) {
	var log logBuffer
	o := p.session.options
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := openStore(t, o)
	put := func() {
		if err := s.Addresses().Put(t.Context(), anAddress(), mailbox.Route{Kind: mailbox.Account, Life: 1}); err != nil {
			t.Error(err)
		}
	}
	put() // so that the driver knows the statements
	p.cluster.Node(1, 3).Freeze(t)
	defer p.cluster.Node(1, 3).Thaw(t)
	var all sync.WaitGroup
	for range 9 { // of which some have their first replica there
		all.Go(put)
	}
	all.Wait()
	if text := log.String(); strings.Contains(text, "in this data centre only") {
		t.Errorf("the log has %s", text)
	}
}

// Of three replicas one has what was acknowledged, since another lost its disk and was
// filled from the third, which had missed it. While that one is away, a majority says that
// it is nowhere.
func (p *pile) whatOneHas(t *testing.T) {
	p.checkSweep(SweepOptions{}, SweepStats{}) // which learns that there are three
	const n = 12                               // of each kind, so that some are at the node that is stopped
	var shorts, dangling, unlisted, uncommitted []mailbox.Entry
	entry := func() mailbox.Entry {
		return mailbox.Entry{Maildrop: aDrop(), Message: mailbox.Message{ID: p.old.Next(), Octets: int64(len(smallLetter)), Recipients: 1}}
	}
	for range n {
		shorts = append(shorts, p.shortEntry(p.old.Next(), aDrop()))
		dangling, unlisted, uncommitted = append(dangling, entry()), append(unlisted, entry()), append(uncommitted, entry())
	}
	contents := func(entries []mailbox.Entry) {
		for _, e := range entries {
			p.content(e.Message.ID, e.Maildrop)
		}
	}
	p.replicate(1)
	add(t, p.Store.Maildrops(), shorts)
	contents(dangling)
	add(t, p.Store.Maildrops(), unlisted)
	contents(uncommitted)
	p.replicate(3)
	for i := range shorts { // a login brings the line to the others, without the content
		m := shorts[i].Message
		p.write(insertLine, insertedAt(m.ID), shorts[i].Maildrop, m.Place.Lane, m.Place.Ord, m.ID, m.Octets, withContent, int64(insertedAt(m.ID)))
		shorts[i].Message.Inline = ""
	}
	add(t, p.Store.Maildrops(), dangling)
	contents(unlisted)
	for _, e := range uncommitted {
		p.torn(e.Message.ID)
	}
	add(t, p.Store.Maildrops(), uncommitted)
	var repeated []mailbox.Content
	for range n {
		repeated = append(repeated, mailbox.Content{ID: ids.Next(), Maildrops: someDrops(1), Repeatable: true})
	}
	sizes := []int{100, 3 * partSize}
	for i, c := range repeated {
		keep(t, p.Store, c, mailboxtest.Message(sizes[i%len(sizes)]))
	}

	p.cluster.Node(1, 3).Stop(t)
	for i, c := range repeated {
		keep(t, p.Store, c, bytes.Repeat([]byte("x"), sizes[i%len(sizes)]-10))
	}
	p.checkSweep(SweepOptions{}, SweepStats{})
	o := RepairOptions{Apply: true}
	o.pause = impatient
	stats, err := p.Repair(t.Context(), o)
	if err != nil || stats.Dangling != 0 {
		t.Errorf("repaired %+v, %v; nothing dangles", stats, err)
	}
	p.cluster.Node(1, 3).Start(t)
	eventually(t, func() error {
		if up := len(p.session.db.Load().policy.up()); up < 3 {
			return fmt.Errorf("%d nodes are connected", up)
		}
		return nil
	})
	for i, c := range repeated { // of which one node has what was put first
		want := bytes.Repeat([]byte("x"), sizes[i%len(sizes)]-10)
		got, err := contentOf(t.Context(), p.Store, mailbox.Message{ID: c.ID, Octets: int64(len(want))})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("what was put again has %d octets, %v; want %d", len(got), err, len(want))
		}
	}
	eventually(t, func() error { stats, err = p.Repair(t.Context(), o); return err })
	if stats.Dangling != 0 {
		t.Errorf("repaired %+v; nothing dangles", stats)
	}
	p.checkSweep(SweepOptions{}, SweepStats{})
	for what, entries := range map[string][]mailbox.Entry{"short": shorts, "its content": dangling, "its line": unlisted, "its commit record": uncommitted} {
		for _, e := range entries {
			list := listOf(t, p.Store.Maildrops(), e.Maildrop)
			if len(list) != 1 || list[0].ID != e.Message.ID {
				t.Errorf("%s: %v is listed, want one message", what, list)
				continue
			}
			if octets, err := contentOf(t.Context(), p.Store, list[0]); err != nil || string(octets) != string(smallLetter) {
				t.Errorf("%s: %q, %v", what, octets, err)
			}
		}
	}
}

// One replica is all that there is of everything, so that a node takes a third with it.
func (p *pile) readyForSome(t *testing.T) {
	alone := *p
	alone.t = t
	o := p.session.options
	o.Keyspace = p.cluster.Keyspace(t)
	if err := createTables(p.cluster, o.Keyspace); err != nil {
		t.Fatal(err)
	}
	alone.Store = openStore(t, o)
	if err := alone.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone.replicate(1)
	p.cluster.Node(1, 3).Stop(t)
	for range 20 {
		if err := alone.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	late := openStore(t, o)
	wantUnavailable(t, late.Ping(t.Context()), "schema_change select all")
	p.cluster.Node(1, 3).Start(t)
	eventually(t, func() error { return late.Ping(t.Context()) })
	did := statements(t, late, func() {
		if err := late.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if did["schema_change select"] != 1 || did["schema_change select all"] != 0 {
		t.Errorf("one more look takes %v", did)
	}
	session := p.cluster.Session(t, "dc1", o.Keyspace)
	if err := session.Query("TRUNCATE schema_change").Exec(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, late.Ping(t.Context()), "lacks 0001-")
}

package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"restante/cassandra/cassandratest"
	"restante/mailbox"
	"restante/schema"
)

// keyspaceToMake is the name of a keyspace that is not there. It is dropped when t
// has ended.
func keyspaceToMake(t *testing.T, c *cassandratest.Cluster) string {
	name := fmt.Sprintf("restante_test_%016x", rand.Uint64())
	db := c.Session(t, c.Datacenters()[0], "")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := db.Query("DROP KEYSPACE IF EXISTS " + name).WithContext(ctx).Exec(); err != nil {
			t.Error(err)
		}
	})
	return name
}

// once is a replica in each data centre.
func once(c *cassandratest.Cluster) schema.Replication {
	r := schema.Replication{}
	for _, name := range c.Datacenters() {
		r[name] = 1
	}
	return r
}

// apply applies the schema, and returns what had not been applied before.
func apply(ctx context.Context, o Options, r schema.Replication) (now []string, err error) {
	err = ApplySchema(ctx, o, r, func(c schema.Change, applied bool) {
		if applied {
			now = append(now, c.Name)
		}
	})
	return now, err
}

func names() []string {
	var names []string
	for _, c := range schema.Changes() {
		names = append(names, c.Name)
	}
	return names
}

func TestTheSchemaIsAppliedOnce(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	o := optionsFor(c, dc, keyspaceToMake(t, c))

	var missing *schema.MissingError
	if err := CheckSchema(t.Context(), o); !errors.As(err, &missing) || missing.Changes != nil {
		t.Errorf("without a keyspace: %v", err)
	}
	now, err := apply(t.Context(), o, once(c))
	if err != nil || !slices.Equal(now, names()) {
		t.Fatalf("applied %q: %v", now, err)
	}
	if err := CheckSchema(t.Context(), o); err != nil {
		t.Errorf("with all applied: %v", err)
	}
	now, err = apply(t.Context(), o, nil)
	if err != nil || now != nil {
		t.Errorf("applied again %q: %v", now, err)
	}

	db := c.Session(t, dc, o.Keyspace)
	last := names()[len(names())-1]
	if err := db.Query("DELETE FROM schema_change WHERE name = ?", last).Exec(); err != nil {
		t.Fatal(err)
	}
	if err := CheckSchema(t.Context(), o); !errors.As(err, &missing) || !slices.Equal(missing.Changes, []string{last}) {
		t.Errorf("with one not applied: %v", err)
	}
	if now, err := apply(t.Context(), o, once(c)); err != nil || !slices.Equal(now, []string{last}) {
		t.Errorf("applied %q of what was there already: %v", now, err)
	}

	var changed *schema.ChangedError
	if err := db.Query("UPDATE schema_change SET digest = 'other' WHERE name = ?", last).Exec(); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(t.Context(), o, nil); !errors.As(err, &changed) || changed.Change != last {
		t.Errorf("apply after one was changed: %v", err)
	}
	if err := CheckSchema(t.Context(), o); !errors.As(err, &changed) || changed.Change != last {
		t.Errorf("check after one was changed: %v", err)
	}
}

func TestATableThatHasNoRecordsYetLacksEverything(t *testing.T) {
	c := cassandratest.Start(t)
	o := optionsFor(c, c.Datacenters()[0], c.Keyspace(t))
	var missing *schema.MissingError
	if err := CheckSchema(t.Context(), o); !errors.As(err, &missing) || !slices.Equal(missing.Changes, names()) {
		t.Errorf("got %v", err)
	}
}

func TestSeveralApplyTheSchemaAtTheSameTime(t *testing.T) {
	c := cassandratest.Start(t)
	o := optionsFor(c, c.Datacenters()[0], keyspaceToMake(t, c))
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := apply(t.Context(), o, once(c)); err != nil {
				t.Error(err)
			}
			if err := CheckSchema(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAKeyspaceThatIsReplicatedOtherwiseIsNotTouched(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	o := optionsFor(c, dc, c.Keyspace(t))
	_, err := apply(t.Context(), o, schema.Replication{dc: 5})
	var other *schema.ReplicationError
	if !errors.As(err, &other) {
		t.Fatalf("got %v", err)
	}
	// What the error says to run is understood.
	if err := c.Session(t, dc, "").Query(statementIn(err)).Exec(); err != nil {
		t.Fatalf("%q: %v", statementIn(err), err)
	}
	if _, err := apply(t.Context(), o, schema.Replication{dc: 1}); !errors.As(err, &other) || other.Is != dc+":5" {
		t.Errorf("got %v", err)
	}
	if err := CheckSchema(t.Context(), o); err == nil {
		t.Error("tables were made in a keyspace that is not as wanted")
	}
}

func TestADatacenterThatIsNotThereIsNamed(t *testing.T) {
	c := cassandratest.Start(t)
	o := optionsFor(c, c.Datacenters()[0], keyspaceToMake(t, c))
	_, err := apply(t.Context(), o, schema.Replication{"nowhere": 3})
	if err == nil || !strings.Contains(err.Error(), "nowhere") || errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestASchemaThatNobodyAnswersForIsUnavailable(t *testing.T) {
	o := Options{Hosts: []string{"127.0.0.1:1", "127.0.0.2:1"}, Keyspace: "mail", Datacenter: "dc1"}
	err := CheckSchema(t.Context(), o)
	if !errors.Is(err, mailbox.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "127.0.0.2:1") {
		t.Errorf("check: %v", err)
	}
	if _, err := apply(t.Context(), o, nil); !errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("apply: %v", err)
	}
	o.Keyspace = "Mail"
	if err := CheckSchema(t.Context(), o); err == nil || errors.Is(err, mailbox.ErrUnavailable) {
		t.Errorf("check a keyspace that cannot be: %v", err)
	}
}

// A refusal is an error that Cassandra gave.
type refusal struct{ code int }

func (r refusal) Code() int       { return r.code }
func (r refusal) Message() string { return "no" }
func (r refusal) Error() string   { return r.Message() }

func TestWhatSomebodyElsesChangeHindersIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		code  int
		fails int
		tries int
	}{
		{gocql.ErrCodeInvalid, 0, 1},
		{gocql.ErrCodeInvalid, 2, 3},
		{gocql.ErrCodeInvalid, 100, patience},
		{gocql.ErrCodeConfig, 100, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			began := time.Now()
			err := besideOthers(t.Context(), func() error {
				if tries++; tries > c.fails {
					return nil
				}
				return refusal{c.code}
			}, gocql.ErrCodeInvalid)
			if tries != c.tries || (err != nil) != (c.fails >= c.tries) {
				t.Errorf("%+v: %v after %d tries", c, err, tries)
			}
			if took := time.Since(began); took != time.Duration(tries-1)*patienceInterval {
				t.Errorf("%+v: took %s", c, took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patienceInterval/2)
		defer cancel()
		tries := 0
		err := besideOthers(ctx, func() error { tries++; return refusal{gocql.ErrCodeInvalid} }, gocql.ErrCodeInvalid)
		if tries != 1 || codeOf(err) != gocql.ErrCodeInvalid {
			t.Errorf("%v after %d tries, although the time was over", err, tries)
		}
	})
}

// schemaInTwo is part of TestTwoDatacenters.
func schemaInTwo(t *testing.T, c *cassandratest.Cluster) {
	one, two := c.Node(1, 1), c.Node(2, 1)
	at := func(n *cassandratest.Node, keyspace string) Options {
		return Options{Hosts: []string{n.Address}, Keyspace: keyspace, Datacenter: n.Datacenter}
	}
	// A row for each table, with an id in it.
	rows := map[string]string{
		"address":          " (domain, shard, local, route) VALUES ('example.org', 0, '%s', {kind: 1})",
		"message":          " (id, part, octets) VALUES (%s, 0, 1)",
		"message_temp":     " (id, part, octets) VALUES (%s, 0, 1)",
		"message_done":     " (id, maildrop) VALUES (%s, %[1]s)",
		"maildrop_content": " (maildrop, lane, ord) VALUES (%s, %[1]s, 0)",
		"maildrop":         " (maildrop, lane, ord) VALUES (%s, %[1]s, 0)",
		"maildrop_temp":    " (maildrop, lane, ord) VALUES (%s, %[1]s, 0)",
		"progress":         " (task, updated) VALUES ('%s', 0)",
		"relay_event":      " (lane, segment, message, recipient, kind, seq, writer) VALUES (%s, %[1]s, %[1]s, 0, 1, 0, %[1]s)",
		"relay_content":    " (lane, segment, message) VALUES (%s, %[1]s, %[1]s)",
		"relay_segment":    " (lane, segment) VALUES (%s, %[1]s)",
		"relay_lane":       " (datacenter, lane) VALUES ('dc1', %s)",
		"relay_claim":      " (lane, segment, claimed) VALUES (%s, %[1]s, %[1]s)",
	}
	const keyspace = "restante"
	t.Run("both apply it at the same time and lose nothing that they write then", func(t *testing.T) {
		var both sync.WaitGroup
		for _, n := range c.Nodes() {
			both.Go(func() {
				if _, err := apply(t.Context(), at(n, keyspace), once(c)); err != nil {
					t.Error(err)
					return
				}
				db := c.Session(t, n.Datacenter, keyspace)
				id := gocql.TimeUUID()
				for table, columns := range rows {
					if err := db.Query("INSERT INTO " + table + fmt.Sprintf(columns, id)).Exec(); err != nil {
						t.Errorf("%s: write to %s: %v", n.Datacenter, table, err)
					}
				}
			})
		}
		both.Wait()
		for _, n := range c.Nodes() {
			if err := CheckSchema(t.Context(), at(n, keyspace)); err != nil {
				t.Error(err)
			}
			for table := range rows {
				if got := count(t, c.Session(t, n.Datacenter, keyspace), table); got != 2 {
					t.Errorf("%s: %s has %d rows, want those of both", n.Datacenter, table, got)
				}
			}
		}
	})

	t.Run("a node that is down is named and nothing is recorded", func(t *testing.T) {
		two.Stop(t)
		d, err := openDefiner(t.Context(), at(one, keyspace))
		if err != nil {
			t.Fatal(err)
		}
		defer d.db.Close()
		if err := d.Define(t.Context(), "DROP KEYSPACE "+keyspace); err != nil {
			t.Fatal(err)
		}
		applying, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		now, err := apply(applying, at(one, keyspace), once(c))
		if err == nil || now != nil || !strings.Contains(err.Error(), "127.0.2.1 of data centre dc2 has not taken over the schema") {
			t.Errorf("applied %q: %v", now, err)
		}
	})

	t.Run("and what a keyspace had that was dropped meanwhile does not come back", func(t *testing.T) {
		two.Start(t)
		if now, err := apply(t.Context(), at(two, keyspace), schema.Replication{"dc1": 1}); err != nil || !slices.Equal(now, names()) {
			t.Fatalf("applied %q: %v", now, err)
		}
		for table := range rows {
			if got := count(t, c.Session(t, "dc1", keyspace), table); got != 0 {
				t.Errorf("%s has %d rows", table, got)
			}
		}
	})

	t.Run("a data centre that was added is not fit before it was rebuilt", func(t *testing.T) {
		_, err := apply(t.Context(), at(one, keyspace), once(c))
		var other *schema.ReplicationError
		if !errors.As(err, &other) {
			t.Fatal(err)
		}
		d, err := openDefiner(t.Context(), at(one, keyspace))
		if err != nil {
			t.Fatal(err)
		}
		defer d.db.Close()
		if err := d.Define(t.Context(), statementIn(other)); err != nil {
			t.Fatal(err)
		}
		// To look from elsewhere does not bring the rows over.
		if now, err := apply(t.Context(), at(one, keyspace), once(c)); err != nil || now != nil {
			t.Errorf("applied %q: %v", now, err)
		}
		if err := CheckSchema(t.Context(), at(one, keyspace)); err != nil {
			t.Errorf("where all is: %v", err)
		}
		var missing *schema.MissingError
		if err := CheckSchema(t.Context(), at(two, keyspace)); !errors.As(err, &missing) || missing.Datacenter != "dc2" {
			t.Errorf("where nothing is yet: %v", err)
		}
	})
}

// statementIn is what an error says to run.
func statementIn(err error) string {
	_, statement, _ := strings.Cut(err.Error(), "\n  ")
	statement, _, _ = strings.Cut(statement, ";\n")
	return statement
}

// count is how many rows a table has on all nodes together.
func count(t *testing.T, db *gocql.Session, table string) int {
	t.Helper()
	var n int
	if err := db.Query("SELECT COUNT(*) FROM " + table).Consistency(gocql.All).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

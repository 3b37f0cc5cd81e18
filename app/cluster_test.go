package app

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/cassandra/cassandratest"
	"restante/internal/script"
	"restante/mailbox"
	"restante/schema"
)

func TestMain(m *testing.M) { cassandratest.Main(m) }

// onCluster is the configuration of a server on a keyspace.
func onCluster(t *testing.T, c *cassandratest.Cluster, keyspace string) Config {
	config := testConfig(t)
	config.Store = cassandraStore
	config.Cassandra.CassandraConfig = cassandraConfig()
	config.Cassandra.Hosts, config.Cassandra.Keyspace, config.Cassandra.Datacenter = c.Hosts(), keyspace, c.Datacenters()[0]
	return config
}

// withTables is onCluster on a keyspace that is ready and goes with the test.
func withTables(t *testing.T, c *cassandratest.Cluster) Config {
	t.Helper()
	config := onCluster(t, c, c.Keyspace(t))
	if err := config.Cassandra.ApplySchema(t.Context(), func(string, bool) {}); err != nil {
		t.Fatal(err)
	}
	return config
}

// await waits until the server is ready, or is not.
func (h *house) await(ready bool) {
	h.t.Helper()
	want := http.StatusServiceUnavailable
	if ready {
		want = http.StatusOK
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := h.get("/readyz")
		if err != nil {
			h.t.Fatal(err)
		}
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("/readyz answers %d, want %d\n%s", got, want, h.log)
		}
	}
}

// get asks the admin listener and returns the status.
func (h *house) get(path string) (int, error) {
	token, err := ReadAdminToken(h.config.Data)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, fmt.Sprintf("http://%s%s", h.addr("admin"), path), nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func TestDialoguesOnCassandra(t *testing.T) {
	config := withTables(t, cassandratest.Start(t))
	scripts, err := script.Load("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(s.Name), ".txt"), func(t *testing.T) {
			config := config
			config.Data = filepath.Join(t.TempDir(), "data")
			h := start(t, config)
			h.playScript(s)
			// The next dialogue begins with an empty maildrop.
			fred := mailbox.Address{Local: "fred", Domain: "example.org"}
			if err := h.directory.Remove(t.Context(), fred); err != nil {
				t.Error(err)
			}
			if err := h.end(); err == nil && strings.Contains(h.out.String(), "password") {
				t.Errorf("an account was made by surprise:\n%s", h.out)
			}
		})
	}
}

func TestAServerMakesItsTables(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	keyspace := fmt.Sprintf("restante_serve_%d", time.Now().UnixNano())
	t.Cleanup(func() {
		if err := c.Session(t, dc, "").Query("DROP KEYSPACE IF EXISTS " + keyspace).Exec(); err != nil {
			t.Error(err)
		}
	})
	config := onCluster(t, c, keyspace)
	_, err := New(Options{Config: config, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "run restante schema apply") {
		t.Errorf("without --cassandra-apply-schema: %v", err)
	}
	config.ApplySchema = true
	config.Cassandra.Replication = schema.Replication{dc: 1}
	h := run(t, config, func(*house) {})
	h.await(true)
	h.account("fred@example.org", "secret")
	h.play(deliver("250 {{.*}}", "fred@example.org") + login("fred", "secret", 1))
}

// awaitWithdrawal waits until nothing is listed that was refused.
func (h *house) awaitWithdrawal() {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	said := func(what string) int { return strings.Count(h.log.String(), what) }
	for said("message refused but perhaps listed") > said("refused message withdrawn") {
		if time.Now().After(deadline) {
			h.t.Fatalf("what was refused was not withdrawn\n%s", h.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestAClusterThatGoesAndComes takes the cluster away from clients in the middle of
// what they do. None of them reads more than that it should try again.
func TestAClusterThatGoesAndComes(t *testing.T) {
	c := cassandratest.StartDatacenters(t, 1, 1)
	node := c.Node(1, 1)
	h := start(t, withTables(t, c))
	h.await(true)
	h.play(deliver("250 {{.*}}", "fred@example.org"))

	const (
		begin = `
on smtp-data
S: 220 {{.*}}
C: EHLO client.example
S* 250 {{.*}}
C: MAIL FROM:<alice@elsewhere.example>
S: 250 {{.*}}
C: RCPT TO:<fred@example.org>
S: 250 {{.*}}
on smtp-rcpt
S: 220 {{.*}}
C: EHLO client.example
S* 250 {{.*}}
C: MAIL FROM:<alice@elsewhere.example>
S: 250 {{.*}}
on pop3-retr
S: +OK {{.*}}
C: USER fred
S: +OK {{.*}}
C: PASS secret
S: +OK 1 messages {{.*}}
on pop3-pass
S: +OK {{.*}}
C: USER fred
S: +OK {{.*}}
`
		away = `
on cluster
S: away
close
on smtp-data
C: DATA
S: 354 {{.*}}
C: Subject: two
C:
C: two
C: .
S: 451 4.3.0 try again later ({{[^ ]*}})
on smtp-rcpt
C: RCPT TO:<barney@example.org>
S: 451 4.3.0 try again later ({{[^ ]*}})
on pop3-retr
C: RETR 1
S: -ERR [SYS/TEMP] try again later ({{[^ ]*}})
on pop3-pass
C: PASS secret
S: -ERR [SYS/TEMP] try again later ({{[^ ]*}})
`
		remove = `
on pop3-retr
C: DELE 1
S: +OK {{.*}}
C: QUIT
S: -ERR [SYS/TEMP] some deleted messages not removed ({{[^ ]*}})
closed
`
	)
	for _, way := range []struct {
		name, script string
		take, bring  func(testing.TB)
	}{
		// A node that is frozen carries out later what it was told.
		{"frozen", begin + away, node.Freeze, node.Thaw},
		// One that is killed has lost the last tenth of a second of its commit log, which
		// nobody else has here: what was withdrawn just before would be back.
		{"dead", begin + away + remove, func(t testing.TB) { time.Sleep(time.Second); node.Kill(t) }, node.Start},
	} {
		t.Run(way.name, func(t *testing.T) {
			h.t = t
			s, err := script.Parse(way.name, strings.NewReader(way.script))
			if err != nil {
				t.Fatal(err)
			}
			player := script.Player{Timeout: 30 * time.Second, Dial: func(name string) (net.Conn, error) {
				if name != "cluster" {
					return h.dial(name)
				}
				way.take(t)
				ours, theirs := net.Pipe()
				go io.WriteString(theirs, "away\r\n") // until ours is closed
				return ours, nil
			}}
			if err := player.Play(s); err != nil {
				t.Errorf("%v\n%s", err, h.log)
			}
			h.await(false)
			if status, err := h.get("/accounts/fred@example.org"); status != http.StatusServiceUnavailable || err != nil {
				t.Errorf("accounts: %d, %v", status, err)
			}
			way.bring(t)
			h.await(true)
			h.awaitWithdrawal() // a node that was frozen may have listed it first
			h.play(login("fred", "secret", 1))
			for _, statement := range []string{"maildrop insert with content at ", "address select at ", "maildrop_content select at "} {
				if !strings.Contains(h.log.String(), statement+node.Address) {
					t.Errorf("the log does not say %q:\n%s", statement, h.log)
				}
			}
		})
	}
	h.t = t
	h.play(deliver("250 {{.*}}", "fred@example.org") + login("fred", "secret", 2))
}

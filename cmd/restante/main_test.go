package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"restante/cassandra/cassandratest"
	"restante/internal/freeport"
)

// TestMain lets the scripts run the program itself, as processes of its own.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"restante": main})
}

type tests struct{ *testing.M }

func (t tests) Run() int { return cassandratest.Run(t.M) }

// TestStories plays testdata/*.txt. Each has ports of its own in its environment,
// and the commands wait-port HOST:PORT, wait-output PATTERN PROGRAM ARGUMENT...,
// entry-of RECIPIENT and readme HEADING FILE...
func TestStories(t *testing.T) {
	testscript.Run(t, stories("testdata", nil))
}

// TestStoriesOnCassandra plays testdata/cassandra/*.txt in the same way. A keyspace
// of its own, which is not there yet, is in the environment of each, as are the
// settings to reach it, and the name of the data centre.
func TestStoriesOnCassandra(t *testing.T) {
	c := cassandratest.Start(t)
	dc := c.Datacenters()[0]
	db := c.Session(t, dc, "")
	testscript.Run(t, stories("testdata/cassandra", func(env *testscript.Env) {
		keyspace := fmt.Sprintf("restante_test_%016x", rand.Uint64())
		t.Cleanup(func() {
			if err := db.Query("DROP KEYSPACE IF EXISTS " + keyspace).Exec(); err != nil {
				t.Error(err)
			}
		})
		env.Setenv("DATACENTER", dc)
		env.Setenv("RESTANTE_STORE", "cassandra")
		env.Setenv("RESTANTE_CASSANDRA_HOSTS", strings.Join(c.Hosts(), ","))
		env.Setenv("RESTANTE_CASSANDRA_DATACENTER", dc)
		env.Setenv("RESTANTE_CASSANDRA_KEYSPACE", keyspace)
	}))
}

// stories are the scripts in a folder, with what they may use. more adds to the
// environment of each.
func stories(dir string, more func(*testscript.Env)) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			flags := []string{"RESTANTE_SMTP", "RESTANTE_SUBMISSION", "RESTANTE_SUBMISSIONS", "RESTANTE_POP3", "RESTANTE_POP3S",
				"RESTANTE_HTTP", "RESTANTE_ADMIN", "AGENT", "FAKE", "FAKE_CONTROL"}
			addrs, release, err := freeport.Hold(len(flags))
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := release(); err != nil {
					env.T().Log(err)
				}
			})
			for i, flag := range flags {
				env.Setenv(flag, addrs[i])
			}
			env.Setenv("RESTANTE_GRACE", "5s")
			if more != nil {
				more(env)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"wait-port":   waitPort,
			"wait-output": waitOutput,
			"entry-of":    entryOf,
			"readme":      readme,
		},
	}
}

// waitPort waits until something listens.
func waitPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wait-port HOST:PORT")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		conn, err := net.DialTimeout("tcp", args[0], time.Second)
		if err == nil {
			conn.Close()
			return
		}
		<-time.After(20 * time.Millisecond) // a port has nothing to wait on
	}
	ts.Fatalf("nothing listens on %s", args[0])
}

// waitOutput runs a program again and again until its output is as wanted.
func waitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: wait-output PATTERN PROGRAM ARGUMENT...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	ts.Fatalf("no output like %s; the last:\n%s%s", args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// entryOf puts the entry of the queue for a recipient into $ENTRY.
func entryOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: entry-of RECIPIENT")
	}
	ts.Check(ts.Exec("restante", "relay", "queue"))
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if strings.Contains(line, " "+args[0]+" ") {
			ts.Setenv("ENTRY", strings.Fields(line)[0])
			return
		}
	}
	ts.Fatalf("no entry for %s in\n%s", args[0], ts.ReadFile("stdout"))
}

// readme writes the commands of the README's code blocks under a heading to shell
// scripts, for exec, a script for each block: what the README shows is what is tested,
// but for the ports. A script that leaves something in the background waits, and
// takes it along on SIGINT.
func readme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: readme HEADING FILE...")
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	ts.Check(err)
	_, section, ok := strings.Cut(string(text), "\n## "+args[0]+"\n")
	if !ok {
		ts.Fatalf("README.md has no heading %q", args[0])
	}
	section, _, _ = strings.Cut(section, "\n## ")
	ports := strings.NewReplacer(
		"go run ./cmd/restante", "restante",
		"127.0.0.1:2525", ts.Getenv("RESTANTE_SMTP"),
		"127.0.0.1:2587", ts.Getenv("RESTANTE_SUBMISSION"),
		"127.0.0.1:2110", ts.Getenv("RESTANTE_POP3"),
		"127.0.0.1:8080", ts.Getenv("RESTANTE_HTTP"),
		"127.0.0.1:2600", ts.Getenv("FAKE"),
		"127.0.0.1:2601", ts.Getenv("FAKE_CONTROL"),
	)
	for _, file := range args[1:] {
		_, rest, ok := strings.Cut(section, "```sh\n")
		block, rest, closed := strings.Cut(rest, "```")
		if !ok || !closed {
			ts.Fatalf("no ```sh block for %s under %q", file, args[0])
		}
		if strings.HasSuffix(block, "&\n") {
			block = "trap 'jobs -p >jobs; kill $(cat jobs); wait; exit 0' INT\n" + block + "wait\n"
		}
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte("set -eu\n"+ports.Replace(block)), 0o700))
		section = rest
	}
}

// root is the folder of the project; the tests of a package run in its own.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(fmt.Sprintf("no working directory: %v", err))
	}
	return dir
}()

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/perf/peer"
	"restante/perf/rig"
	"restante/perf/scenario"
	"restante/perf/wan"
	"restante/perf/wire"
)

// progress shows what a stage says.
type progress struct{ *testing.T }

func (p progress) Write(line []byte) (int, error) {
	p.Logf("%s", line)
	return len(line), nil
}

// delivers puts some letters on a server.
func delivers(ctx context.Context, t *testing.T, s *rig.Server, count int) {
	t.Helper()
	load := scenario.Load{Address: s.SMTP, Connections: 2, Count: count, Users: 2, Pattern: peer.Pattern, Password: peer.Password}
	faultless(ctx, t, "deliver to "+s.Name, scenario.Deliver{Load: load, Size: 2048, From: peer.Sender})
}

// metered has some more letters delivered, and what they cost told.
func metered(ctx context.Context, t *testing.T, st *stage) {
	t.Helper()
	st.Profile = true
	ended, err := meters{st, ctx}.watch("deliver")
	if err != nil {
		t.Fatal(err)
	}
	load := scenario.Load{Address: st.servers[0].SMTP, Connections: 2, Rate: 10, Duration: 3 * profiledFor, Users: 2, Pattern: peer.Pattern, Password: peer.Password}
	r, err := scenario.Measure(ctx, "deliver", scenario.Deliver{Load: load, Size: 2048, From: peer.Sender}, st.serverPIDs()...)
	figures, e := ended(&r)
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	var server float64
	for kind, ms := range figures {
		if strings.HasPrefix(kind, "server CPU ms an operation, ") {
			server += ms
		}
	}
	if math.Abs(server-r.ServerCPU) > 1e-6 || server == 0 {
		t.Errorf("the kinds of the servers' work are %v ms an operation, all of it is %v", server, r.ServerCPU)
	}
	for _, name := range []string{"Cassandra CPU ms an operation, requests", "octets over the link an operation"} {
		if figures[name] <= 0 {
			t.Errorf("%s: %v", name, figures[name])
		}
	}
	if n := figures["statements an operation"]; n < 1 || n > 5 {
		t.Errorf("%v statements an operation", n)
	}
}

// fetches has each of two users find and remove some letters, which may yet be on their way
// from the other data centre.
func fetches(ctx context.Context, t *testing.T, s *rig.Server, messages int) {
	t.Helper()
	for i := range 2 {
		awaits(ctx, t, s, fmt.Sprintf(peer.Pattern, i), messages)
	}
	load := scenario.Load{Address: s.POP3, Connections: 2, Count: 2, Users: 2, Pattern: peer.Pattern, Password: peer.Password}
	faultless(ctx, t, "fetch from "+s.Name, scenario.Session{Load: load, Messages: messages, Delete: true})
}

func awaits(ctx context.Context, t *testing.T, s *rig.Server, user string, messages int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		n, err := count(ctx, s.POP3, user)
		if err == nil && n >= messages {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s has %d letters on %s, want %d; %v", user, n, s.Name, messages, err)
			return
		}
	}
}

// count is what STAT says.
func count(ctx context.Context, address, user string) (messages int, err error) {
	p, err := wire.DialPOP3(ctx, address, wire.Options{})
	if err != nil {
		return 0, err
	}
	if err := p.Login(user, peer.Password); err != nil {
		return 0, errors.Join(err, p.Close())
	}
	messages, _, err = p.Stat()
	return messages, errors.Join(err, p.Quit())
}

func faultless(ctx context.Context, t *testing.T, name string, s scenario.Runner) {
	t.Helper()
	r, err := scenario.Measure(ctx, name, s)
	if err == nil && r.Errors > 0 {
		err = errors.New(r.Faults[0])
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func do(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestTwoDatacentresServeThroughAllThatMayHappenToThem(t *testing.T) {
	if err := wan.Permitted(); err != nil && os.Getenv("RESTANTE_REQUIRE_NAMESPACES") != "1" {
		t.Logf("%v, which is fine", err)
		return
	}
	temp := t.TempDir()
	s, err := parse(t, "--layout=2x1", "--servers=1", "--users=2", "--delay=20ms", "--temp="+temp, "up")
	if err != nil {
		t.Fatal(err)
	}
	var namespace string
	err = s.play(t.Context(), progress{t}, nil, func(ctx context.Context, st *stage) error {
		namespace = st.network.Places[0].Namespace
		one, two := st.servers[0], st.servers[1]
		if targets := st.targets(); len(targets) != 2 || targets[1].Name != "dc2-a" || targets[1].POP3 != two.POP3 {
			t.Errorf("targets are %+v", targets)
		}
		delivers(ctx, t, one, 10)
		fetches(ctx, t, two, 5)

		do(t, "cut the link", st.network.Cut(ctx))
		delivers(ctx, t, one, 4)
		delivers(ctx, t, two, 4)
		do(t, "mend the link", st.network.Mend(ctx))

		do(t, "kill a server", one.Kill())
		if err := one.Ready(ctx); err == nil {
			t.Error("a killed server is ready")
		}
		do(t, "start it again", one.Start(ctx))
		do(t, "freeze it", one.Freeze())
		if err := one.Ready(ctx); err == nil {
			t.Error("a frozen server is ready")
		}
		do(t, "thaw it", one.Thaw())
		do(t, "wait", st.healthy(ctx)) // and hints for what came meanwhile
		fetches(ctx, t, one, 4)

		n := st.rig.Nodes[1]
		do(t, "kill a node", st.rig.Do(ctx, "kill", n.Name))
		delivers(ctx, t, one, 4)
		do(t, "wipe it", st.rig.Do(ctx, "wipe", n.Name))
		if found, _ := filepath.Glob(filepath.Join(n.Dir, "data", "*")); found != nil {
			t.Errorf("a wiped node has %q", found)
		}
		do(t, "start it empty", st.rig.Do(ctx, "start", n.Name,
			"-Dcassandra.replace_address_first_boot="+st.network.Places[1].Node(1), "-Dcassandra.allow_unsafe_replace=true"))
		_, err := st.rig.Nodetool(ctx, n.Name, "rebuild dc1")
		do(t, "rebuild it", err)
		do(t, "wait", st.healthy(ctx))
		fetches(ctx, t, two, 2)
		metered(ctx, t, st)
		return nil
	})
	if errors.Is(err, rig.ErrAbsent) && os.Getenv("RESTANTE_REQUIRE_CASSANDRA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/run/netns/" + namespace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the namespace %s: %v", namespace, err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

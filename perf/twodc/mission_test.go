package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"restante/perf/mission"
	"restante/perf/peer"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// planned is what a command line prints that does nothing.
func planned(t *testing.T, command string) string {
	t.Helper()
	var c cli
	var out strings.Builder
	k, err := kong.New(&c, kong.BindTo(t.Context(), (*context.Context)(nil)), kong.BindTo(&out, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := k.Parse(append([]string{"--plan"}, strings.Fields(command)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Run(&c.settings); err != nil {
		t.Error(err)
	}
	return out.String()
}

func TestThePlanOfAMeasurementSaysWhatIsMeasured(t *testing.T) {
	for command, wants := range map[string][]string{
		"mission --rate 120 --duration 3m --peers postfix": {
			"postfix, alone on this machine and before all else", "\nwarm-up: mail at 60/s for 5m0s", "\nfirst logins:",
			"mail at 120/s for 3m0s to 80 users in turn", "besides, 1/s in each data centre", "every user: STAT, RETR and verify,", "system.paxos",
		},
		"rate --begin 25 --step 5s --peers restante": {
			"restante, alone", "\nwarm-up: mail at 25/s", "mail at 25/s for 5s, then at twice the rate", "until p99 is 1s or more", "half of it", "until the highest is known to 5 %",
			"2s to 30s pass until all is idle", "system.paxos",
		},
		"lag --every 20ms": {
			"warm-up: mail at 50/s", "mail at 50/s for 1m0s into each data centre in turn, looked for in the other every 20ms", "system.paxos",
		},
		"--warm 1m sweep size": {"warm-up: mail at 100/s for 1m0s"},
	} {
		plan := planned(t, command)
		at := 0
		for _, want := range wants {
			i := strings.Index(plan[at:], want)
			if i < 0 {
				t.Errorf("the plan of %s does not say %q in its place:\n%s", command, want, plan)
				continue
			}
			at += i
		}
	}
}

func TestThePlanLeavesOutWhatIsNotDone(t *testing.T) {
	for command, not := range map[string][]string{
		"--warm 0s mission --unread --probe 0":   {"warm-up", "RETR", "250", "alone"},
		"mission --compose " + small:             {"paxos"},
		"lag --compose " + small + " --warm 0s":  {"paxos", "warm-up"},
		"rate --compose " + small + " --warm 0s": {"paxos", "warm-up"},
	} {
		plan := planned(t, command)
		for _, word := range not {
			if strings.Contains(plan, word) {
				t.Errorf("the plan of %s says %q:\n%s", command, word, plan)
			}
		}
	}
}

// A server that remembered a password would make a first login look cheap.
func TestAWarmUpHasUsersOfItsOwn(t *testing.T) {
	test := mission.Flags{Probe: 1, Rate: 1}.Test(mission.Party{Users: 80, Targets: []scenario.Target{{Datacenter: "dc1", POP3: "a"}, {Datacenter: "dc2", POP3: "b"}}})
	if w := others(test); w.First < test.First+test.Accounts() || w.Users != test.Users {
		t.Errorf("%d users from %d on, and the test has %d", w.Users, w.First, test.Accounts())
	}
}

func TestWhatAServerCountedIsReadWithItsToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`# TYPE restante_cassandra_statements_total counter
restante_cassandra_statements_total{result="ok",statement="list"} 41
restante_cassandra_statements_total{result="timeout",statement="list"} 2
`))
	}))
	defer server.Close()
	data := t.TempDir()
	s := &rig.Server{Name: "dc1-a", Server: &peer.Server{Admin: strings.TrimPrefix(server.URL, "http://"), Data: data}}
	if _, err := metrics(t.Context(), s); err == nil {
		t.Error("there is no token")
	}
	token := filepath.Join(data, "admin-token")
	for _, c := range []struct {
		token string
		good  bool
	}{{"wrong\n", false}, {"secret\n", true}} {
		if err := os.WriteFile(token, []byte(c.token), 0o600); err != nil {
			t.Fatal(err)
		}
		families, err := metrics(t.Context(), s)
		if (err == nil) != c.good {
			t.Errorf("with %q: %v", c.token, err)
		}
		if !c.good {
			continue
		}
		all := families["restante_cassandra_statements_total"].GetMetric()
		if len(all) != 2 || all[0].GetCounter().GetValue() != 41 || label(all[1], "result") != "timeout" || label(all[1], "other") != "" {
			t.Errorf("read %v", all)
		}
	}
}

func TestAPeerThatDoesNotExistIsNamed(t *testing.T) {
	_, err := beside{Peers: []string{"sendmail"}}.measure(context.Background(), settings{}, new(strings.Builder), "mission", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "sendmail") {
		t.Error(err)
	}
}

func TestWhatAProcessWroteIsFoundAmongItsCounts(t *testing.T) {
	if n := writeBytes("rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n"); n != 4096 {
		t.Errorf("%d octets", n)
	}
}

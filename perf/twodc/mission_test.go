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

	"restante/perf/peer"
	"restante/perf/rig"
)

func TestThePlanOfAMeasurementSaysWhatIsMeasured(t *testing.T) {
	for command, want := range map[string]string{
		"mission --rate 120 --duration 3m --peers postfix": "mail at 120/s for 3m0s to 80 users in turn",
		"rate --begin 25 --step 5s":                        "mail at 25/s and more, 5s each, until p99 is over 1s",
		"lag --every 20ms":                                 "mail at 50/s for 1m0s into each data centre in turn, looked for in the other every 20ms",
	} {
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
		if !strings.Contains(out.String(), want) {
			t.Errorf("the plan of %s does not say %q:\n%s", command, want, out.String())
		}
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

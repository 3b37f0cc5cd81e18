package mission

import (
	"path/filepath"
	"testing"
	"time"

	"restante/perf/peer"
	"restante/perf/scenario"
)

// A short form of the test, on the server of this tree.
func TestRestanteDoesNothingWrong(t *testing.T) {
	dir := t.TempDir()
	binary, err := peer.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := peer.Find("restante")
	if err != nil {
		t.Fatal(err)
	}
	test := Test{
		Clients: Clients{Users: 10, Pattern: peer.Pattern, Password: peer.Password, Sender: peer.Sender, Size: 4096},
		Rate:    100, Duration: 2 * time.Second, Connections: 16, Readers: 4, Probe: 5,
	}
	s, err := kind.Start(t.Context(), peer.Settings{Dir: filepath.Join(dir, "server"), Users: 20, Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	test.Targets, test.PIDs = []scenario.Target{{Name: "a", SMTP: s.SMTP, POP3: s.POP3}}, s.PIDs()
	if n := test.Accounts(); n > 20 {
		t.Fatalf("%d accounts are needed", n)
	}
	o := outcome(t, test)
	if err := o.Err(); err != nil {
		t.Error(err)
	}
	if o.Accepted != 200 || o.Verdict != (Verdict{Verified: 200}) || o.Looks != 10 || o.Missed != 0 {
		t.Errorf("%+v", o)
	}
	for _, p := range o.Phases {
		if p.Scenario == "deliver" && p.ServerCPU <= 0 {
			t.Errorf("no CPU was used: %+v", p)
		}
	}

	lag := Lag{
		Clients: test.Clients, Into: test.Targets[0], From: test.Targets[0],
		Rate: 20, Duration: time.Second, Every: 10 * time.Millisecond, Patience: 10 * time.Second,
	}
	if l, err := lag.Run(t.Context()); err != nil || l.Err() != nil || l.Result.Figures["misses"] != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

package proc

import (
	"os/exec"
	"testing"
	"time"
)

func TestTheWorkOfAChildIsSeen(t *testing.T) {
	// The shell counts until it is told to stop, so it certainly uses time.
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	m, err := Start(System{}, cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		u, err := System{}.Tree(cmd.Process.Pid)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the child used %v, %v", u.CPU, err)
		}
		if u.CPU >= 5*tick {
			break
		}
	}
	r, err := m.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if r.Server < tick || r.Tool <= 0 || r.Elapsed <= 0 || r.Others < 0 || r.Others > 1 {
		t.Errorf("measured %+v", r)
	}
	if r.RSS <= 0 || r.PSS <= 0 || r.PSS > r.RSS || r.PeakRSS < r.RSS {
		t.Errorf("memory %+v", r)
	}
}

func TestAMeterWithoutAServerMeasuresTheTool(t *testing.T) {
	m, err := Start(System{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Stop()
	if err != nil || r.Server != 0 || r.RSS != 0 || r.Elapsed <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

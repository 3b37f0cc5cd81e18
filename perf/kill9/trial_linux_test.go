package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"restante/perf/peer"
)

// A short form of the trial that the command runs a hundred rounds of.
func TestAKilledServerKeepsItsWord(t *testing.T) {
	dir, err := peer.TempDir("")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	binary, err := peer.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := peer.Find("restante")
	if err != nil {
		t.Fatal(err)
	}
	trial := newTrial(settings{
		Rounds: 3, Load: 1500 * time.Millisecond, Deliverers: 4, Fetchers: 2, Maildrops: 3, Backlog: 200, Kill: []string{killServer},
	}, kind, peer.Settings{Dir: filepath.Join(dir, "server"), Binary: binary}, t.Output())
	if err := trial.run(ctx); err != nil {
		t.Fatalf("%v; %q; the server's directory is kept: %s, %v", err, trial.ledger.faults, dir, trial.keep(err))
	}
	if s := trial.ledger.stats; s.Kept == 0 || s.Removed == 0 || s.Verified == 0 {
		t.Errorf("the trial has shown nothing: %+v", s)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

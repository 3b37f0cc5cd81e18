package main

import (
	"testing"

	"restante/internal/freeport"
	"restante/perf/peer"
)

func TestAMailThatNobodyTakesIsNotAnswered(t *testing.T) {
	ports, release, err := freeport.Hold(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	n := &node{Server: &peer.Server{Submission: ports[0]}, name: "1"}
	l := newLedger(7)
	if err := (traffic{nodes: []*node{n}, ledger: l, rate: 1000, octets: 100}).run(t.Context(), 0, 20); err == nil {
		t.Error("no error")
	}
	if n := l.counts(); n.submitted != 20 || n.unanswered != 20 {
		t.Errorf("counts %+v", n)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/perf/peer"
	"restante/perf/rig"
)

// A short form of what the commands show, on one node: every message is listed by the
// next login, through whichever server; a small mail takes one write; and nothing is
// a lightweight transaction, as Cassandra itself tells.
func TestAServerOnCassandraKeepsItsWord(t *testing.T) {
	dir, err := peer.TempDir("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	b, err := rig.Build(ctx, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rig.Start(ctx, b, filepath.Join(dir, "rig"), rig.Layout{Datacenters: 1, Nodes: 1}, "-jmx")
	if errors.Is(err, rig.ErrAbsent) && os.Getenv("RESTANTE_REQUIRE_CASSANDRA") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	v := visible{looks: looks{Count: 60, Connections: traceUsers, Keep: 5, Patience: 30 * time.Second}}
	if err := v.on(ctx, r, t.Output()); err != nil {
		t.Fatal(err)
	}
	tr := trace{JSON: filepath.Join(dir, "trace.json")}
	if err := tr.on(ctx, r, t.Output(), 0); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(tr.JSON)
	var told traceRecord
	if err = errors.Join(err, json.Unmarshal(raw, &told)); err != nil {
		t.Fatal(err)
	}
	written := len(told.Acts) == len(acts) && slices.ContainsFunc(told.Acts[0].Statements, func(s traced) bool {
		return writing.MatchString(s.CQL) && s.Level != "" && s.Took > 0
	})
	if !written || !strings.Contains(told.Version, "Cassandra 5") {
		t.Errorf("a delivery and the version are to be seen in %s", raw)
	}
}

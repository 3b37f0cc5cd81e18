package main

import (
	"maps"
	"testing"
	"time"

	"restante/perf/proc"
)

func TestTheWorkOfThreadsHasAKind(t *testing.T) {
	before := map[int]proc.Thread{1: {Name: "MutationStage-1", CPU: 5}, 2: {Name: "ScheduledTasks:", CPU: 7}, 3: {Name: "PerDiskMemtableF", CPU: 4}, 4: {Name: "VM Thread", CPU: 9}}
	after := map[int]proc.Thread{
		1: {Name: "ReadStage-2", CPU: 25}, 2: {Name: "ScheduledTasks:", CPU: 8}, 3: {Name: "PerDiskMemtableF", CPU: 3}, 5: {Name: "java", CPU: 2}, 6: {Name: "G1 Conc#0", CPU: 3},
	}
	want := map[string]time.Duration{"requests": 20, unknown: 3, "garbage collector": 3, "flush": 0}
	if got := byKind(before, after); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

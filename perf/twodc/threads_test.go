package main

import (
	"maps"
	"testing"
	"time"
)

func TestTheWorkOfThreadsHasAKind(t *testing.T) {
	before := map[string]time.Duration{"MutationStage": 5, "ScheduledTasks": 7, "PerDiskMemtableF": 4}
	after := map[string]time.Duration{
		"MutationStage": 25, "ScheduledTasks": 8, "java": 2, "G1 Conc": 3, "VM Thread": 1,
		"PerDiskMemtableF": 3, // one has ended
	}
	want := map[string]time.Duration{"writes": 20, others: 3, "garbage collector": 4, "flush": 0}
	if got := byKind(before, after); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

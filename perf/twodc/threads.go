package main

import (
	"strings"
	"time"
)

// kinds are what the threads of a node of Cassandra do, by how the kernel has their names.
var kinds = []struct {
	name    string
	threads []string
}{
	{"clients", []string{"Native-Transpor", "epollEventLoopG"}},
	{"other nodes", []string{"Messaging-Event", "RequestResponse", "GossipStage", "GossipTasks", "HintsDispatcher"}},
	{"writes", []string{"MutationStage"}},
	{"reads", []string{"ReadStage"}},
	{"commit log", []string{"PERIODIC-COMMIT", "COMMIT-LOG-ALLO", "GROUP-COMMIT"}},
	{"flush", []string{"MemtableFlushWr", "PerDiskMemtable", "MemtablePostFl", "MemtableReclaim", "SlabPoolCleaner"}},
	{"compaction", []string{"CompactionExec", "NonPeriodicTask"}},
	{"compiler of Java", []string{"C1 CompilerThre", "C2 CompilerThre"}},
	{"garbage collector", []string{"VM Thread", "GC Thread", "G1 "}},
}

// others are threads of no kind.
const others = "the rest"

// byKind adds up the CPU of threads between two looks. A thread that ended between them
// leaves its kind with less, but never with less than nothing.
func byKind(before, after map[string]time.Duration) map[string]time.Duration {
	sum := map[string]time.Duration{}
	for name, cpu := range after {
		sum[kindOf(name)] += max(0, cpu-before[name])
	}
	return sum
}

func kindOf(thread string) string {
	for _, k := range kinds {
		for _, prefix := range k.threads {
			if strings.HasPrefix(thread, prefix) {
				return k.name
			}
		}
	}
	return others
}

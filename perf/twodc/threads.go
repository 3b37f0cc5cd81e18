package main

import (
	"strings"
	"time"

	"restante/perf/proc"
)

// kinds are what the threads of a node of Cassandra do, by how the kernel has their names.
var kinds = []struct {
	name    string
	threads []string
}{
	// One pool of threads, which call themselves by what they have found to do.
	{"requests", []string{"Native-Transpor", "MutationStage", "ReadStage", "RequestResponse", "SharedPool"}},
	{"clients' sockets", []string{"epollEventLoopG"}},
	{"other nodes' sockets", []string{"Messaging-Event"}},
	{"gossip", []string{"GossipStage", "GossipTasks"}},
	{"commit log", []string{"PERIODIC-COMMIT", "COMMIT-LOG-ALLO"}},
	{"flush", []string{"MemtableFlushWr", "PerDiskMemtable", "MemtablePostFl", "MemtableReclaim"}},
	{"compaction", []string{"CompactionExec", "NonPeriodicTask"}},
	{"compiler of Java", []string{"C1 CompilerThre", "C2 CompilerThre"}},
	{"garbage collector", []string{"VM Thread", "GC Thread", "G1 "}},
}

// unknown is what threads of no kind do.
const unknown = "the rest"

// byKind adds up what threads did between two looks. One that has ended between them is
// left out.
func byKind(before, after map[int]proc.Thread) map[string]time.Duration {
	sum := map[string]time.Duration{}
	for id, t := range after {
		sum[kindOf(t.Name)] += max(0, t.CPU-before[id].CPU) // less is another thread with its id
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
	return unknown
}

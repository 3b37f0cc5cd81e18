package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"restante/perf/mission"
	"restante/perf/report"
	"restante/perf/scenario"
)

// A tested is a line of the results of the performance test.
type tested struct {
	Kind, Server, Command string
	Result                mission.Outcome
}

// readTested finds what our server has come to in the last of the tests of a file; nil
// where there is no file.
func readTested(file string) (*tested, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var last *tested
	for lines := json.NewDecoder(f); ; {
		var t tested
		err := lines.Decode(&t)
		switch {
		case errors.Is(err, io.EOF) && last == nil:
			return nil, fmt.Errorf("%s: no performance test of %s", file, report.Ours)
		case errors.Is(err, io.EOF):
			return last, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", file, err)
		case t.Kind == "mission" && t.Server == report.Ours:
			last = &t
		}
	}
}

// phase is one with operations, and what Cassandra's nodes were measured to do in it.
func (t *tested) phase(name string) (scenario.Result, bool) {
	if t == nil {
		return scenario.Result{}, false
	}
	for _, p := range t.Result.Phases {
		if _, measured := p.Figures[mission.CassandraCPU]; measured && p.Scenario == name && p.Operations > 0 {
			return p, true
		}
	}
	return scenario.Result{}, false
}

// leftOut are the costs that no sweep measures, and how large they were in a test.
func leftOut(a assumptions, t *tested) []string {
	return []string{removal(t), compaction(a, t)}
}

func removal(t *tested) string {
	said := "What it costs to remove mail, by DELE and QUIT, is not in these sizes: no sweep measures it."
	p, ok := t.phase(mission.PhaseRemove)
	if !ok {
		return said
	}
	return said + fmt.Sprintf(" In the performance test (`%s`) a session that removed %s messages took %s statements, %s ms of Restante and %s ms of Cassandra, %s ms of that Java's compiler."+
		" The statements are those of the session, so mail that is removed one by one costs more.",
		t.Command, report.Short(float64(t.Result.Verdict.Verified)/float64(p.Operations)), report.Short(p.Figures[mission.Statements]),
		report.Short(p.ServerCPU), report.Short(p.Figures[mission.CassandraCPU]), report.Short(p.Figures[mission.CassandraCPU+", compiler of Java"]))
}

// compaction is told by the octet too: what is written again is the content.
func compaction(a assumptions, t *tested) string {
	said := "Flushes and compaction are not in these sizes: nodes do not compact while sizes are swept, and of each point the least of its rounds counts."
	p, ok := t.phase(mission.PhaseDeliver)
	if !ok {
		return said
	}
	kib := float64(p.Octets) / float64(p.Operations) / 1024
	var all float64
	var each []string
	for _, kind := range []string{"flush", "compaction"} {
		ms := p.Figures[mission.CassandraCPU+", "+kind]
		all += ms
		each = append(each, fmt.Sprintf("%s %s", kind, report.Short(ms)))
	}
	return said + fmt.Sprintf(" In the performance test they took %s ms (%s) of the %s ms that a mail of %s KiB cost Cassandra's nodes. If it is the octets that cost, a mail of %s KiB has %s ms of it.",
		report.Short(all), strings.Join(each, ", "), report.Short(p.Figures[mission.CassandraCPU]), report.Short(kib), report.Short(a.Size), report.Short(all*a.Size/kib))
}

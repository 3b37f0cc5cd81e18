package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"restante/perf/report"
)

// bareStore runs benchmarks of the embedded store and adds what they print: what
// the store can do with no server around it.
func (b *bench) bareStore(ctx context.Context) error {
	b.say("benchmarks of the bare store")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", b.BareStore.String(), "-count", strconv.Itoa(b.Rounds), "restante/embedded")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("bare store: %w: %s", err, out)
	}
	found := parseBenchmarks(out)
	if len(found) == 0 {
		return fmt.Errorf("bare store: no benchmark matches %v", b.BareStore)
	}
	b.result.Measurements = append(b.result.Measurements, found...)
	return nil
}

// parseBenchmarks reads the lines that testing prints: a name, a number of
// iterations, and pairs of value and unit. Repeats of a name are rounds.
func parseBenchmarks(out []byte) []report.Measurement {
	var found []report.Measurement
	rounds := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0]
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i] // the number of processors
		}
		rounds[name]++
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				break
			}
			found = append(found, measurement(name, fields[i+1], value, rounds[name]))
		}
	}
	return found
}

func measurement(name, unit string, value float64, round int) report.Measurement {
	better := report.Less
	if strings.HasSuffix(unit, "/s") {
		better = report.More
	}
	return report.Measurement{Scenario: "bare store, " + name, Figure: unit, Better: better, Server: report.Ours, Round: round, Value: value}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"restante/perf/mission"
	"restante/perf/proc"
	"restante/perf/rig"
	"restante/perf/scenario"
)

// meters watch what a phase costs besides what its clients see: the statements of the
// servers, the nodes of Cassandra, the link, and what both write.
type meters struct {
	*stage
	ctx context.Context
}

// A reading is what all meters show at one time.
type reading struct {
	sent    statements
	link    int64 // octets, both ways
	written map[string]int64
	threads map[int]proc.Thread // of Cassandra
}

// statements are those that all servers have sent to Cassandra since they started.
type statements struct{ all, timeouts, failures, retries, hedges float64 }

// watch is for the phases of a test.
func (m meters) watch(string) (func(*scenario.Result) (map[string]float64, error), error) {
	before, err := m.read()
	if err != nil {
		return nil, err
	}
	nodes, err := mission.Behind(m.cassandraPID())
	if err != nil {
		return nil, err
	}
	profiles := new(profiling)
	if m.Profile {
		profiles = startProfiling(m.ctx, m.servers)
	}
	return func(r *scenario.Result) (map[string]float64, error) {
		shares, err := profiles.end()
		if err != nil {
			return nil, err
		}
		figures, err := nodes(r)
		if err != nil {
			return nil, err
		}
		after, err := m.read()
		if err != nil {
			return nil, err
		}
		each := func(total float64) float64 { return total / float64(max(r.Operations, 1)) }
		maps.Copy(figures, map[string]float64{
			mission.Statements:                          each(after.sent.all - before.sent.all),
			"statements that timed out":                 after.sent.timeouts - before.sent.timeouts,
			"statements that failed otherwise":          after.sent.failures - before.sent.failures,
			"statements sent again":                     after.sent.retries - before.sent.retries,
			"statements sent twice":                     after.sent.hedges - before.sent.hedges,
			"octets over the link an operation":         each(float64(after.link - before.link)),
			"octets written by Cassandra an operation":  each(float64(after.written[cassandra] - before.written[cassandra])),
			"octets written by the server an operation": each(float64(after.written[restante] - before.written[restante])),
		})
		for kind, cpu := range byKind(before.threads, after.threads) {
			figures[mission.CassandraCPU+", "+kind] = each(float64(cpu) / float64(time.Millisecond))
		}
		for kind, share := range shares {
			figures["server CPU ms an operation, "+kind] = share * r.ServerCPU
		}
		return figures, nil
	}, nil
}

// Who writes.
const (
	cassandra = "cassandra"
	restante  = "restante"
)

func (m meters) read() (reading, error) {
	r := reading{written: map[string]int64{}}
	var err error
	if r.sent, err = m.stated(m.ctx); err != nil {
		return r, err
	}
	traffic, err := m.network.Traffic(m.ctx)
	if err != nil {
		return r, err
	}
	for _, way := range traffic {
		r.link += way.Octets
	}
	if r.written[cassandra], err = written(m.cassandraPID()); err != nil {
		return r, err
	}
	if r.threads, err = (proc.System{}).Threads(m.cassandraPID()); err != nil {
		return r, err
	}
	r.written[restante], err = written(m.serverPIDs()...)
	return r, err
}

// stated counts the statements of all servers.
func (s *stage) stated(ctx context.Context) (total statements, err error) {
	for _, server := range s.servers {
		families, err := metrics(ctx, server)
		if err != nil {
			return total, err
		}
		for _, one := range families["restante_cassandra_statements_total"].GetMetric() {
			n := one.GetCounter().GetValue()
			total.all += n
			switch label(one, "result") {
			case "ok":
			case "timeout":
				total.timeouts += n
			default:
				total.failures += n
			}
		}
		for _, one := range families["restante_cassandra_retries_total"].GetMetric() {
			total.retries += one.GetCounter().GetValue()
		}
		for _, one := range families["restante_cassandra_hedges_total"].GetMetric() {
			total.hedges += one.GetCounter().GetValue()
		}
	}
	return total, nil
}

// metrics are what a server has counted.
func metrics(ctx context.Context, s *rig.Server) (map[string]*dto.MetricFamily, error) {
	raw, err := asked(ctx, s, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.Name, err)
	}
	return families, nil
}

// answerTimeout is how long a server may take to tell about itself.
const answerTimeout = 10 * time.Second

// asked is what the admin listener of a server answers.
func asked(ctx context.Context, s *rig.Server, path string) ([]byte, error) {
	token, err := os.ReadFile(filepath.Join(s.Data, "admin-token"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for %s: %s", s.Name, path, answer.Status)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", s.Name, path, err)
	}
	return body, nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// written is how many octets processes and their descendants have had written to disks.
func written(roots ...int) (total int64, err error) {
	members, err := proc.System{}.Members(roots...)
	if err != nil {
		return 0, err
	}
	for _, pid := range members {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		if err != nil {
			continue // it has ended
		}
		total += writeBytes(string(text))
	}
	return total, nil
}

// writeBytes is that count of a process (proc(5), /proc/pid/io).
func writeBytes(text string) (n int64) {
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	return 0
}

// noPaxos shows that no node has ever taken part in a lightweight transaction.
func (s *stage) noPaxos(ctx context.Context) error {
	if s.containers != nil {
		return nil // which cannot be asked
	}
	for _, n := range s.rig.Nodes {
		rows, err := s.rig.Query(ctx, n, "SELECT JSON * FROM system.paxos")
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("system.paxos of %s has %d rows, such as %s", n.Name, len(rows), rows[0])
		}
	}
	s.say("system.paxos is empty on all %d nodes", len(s.rig.Nodes))
	return nil
}

package cassandra

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// gathered is the values of a family, by the values of its labels.
func gathered(t *testing.T, r prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetName() + "=" + l.GetValue() + " "
			}
			// Of the three a metric has one, and the others are 0.
			values[labels] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestStatementsAreCounted(t *testing.T) {
	r := prometheus.NewRegistry()
	o := tableOptions(t)
	o.Registerer = r
	s := openStore(t, o)
	l := &letters{session: s.session}
	for range 3 {
		if _, err := l.send(t.Context(), LocalQuorum, "dear Fred"); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.send(gone, LocalQuorum, "dear Fred"); err == nil {
		t.Error("written for a caller who has gone")
	}
	wrong := &statement{name: "letter wrong", cql: "SELECT letter FROM message"}
	if _, err := l.read(t.Context(), wrong, LocalQuorum).one(nil); err == nil {
		t.Error("read what is not there")
	}

	for name, want := range map[string]map[string]float64{
		"restante_cassandra_statements_total": {
			"result=ok statement=letter insert ":       3,
			"result=canceled statement=letter insert ": 1,
			"result=refused statement=letter wrong ":   1,
		},
		"restante_cassandra_statement_seconds":    {"statement=letter insert ": 4},
		"restante_cassandra_statements_in_flight": {"": 0},
		"restante_cassandra_retries_total":        {"": 0},
		"restante_cassandra_hedges_total":         {"": 0},
		"restante_cassandra_nodes_up":             {"": 1},
	} {
		got := gathered(t, r, name)
		for labels, value := range want {
			if v, there := got[labels]; !there || v != value {
				t.Errorf("%s{%s}: %v, %t; want %v", name, labels, v, there, value)
			}
		}
	}
	if offset := gathered(t, r, "restante_cassandra_clock_offset_seconds")[""]; offset < -1 || offset > 1 {
		t.Errorf("the clock of this machine is %v s off its own", offset)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := gathered(t, r, "restante_cassandra_nodes_up"); len(left) > 0 {
		t.Errorf("a closed store still has metrics: %v", left)
	}
}

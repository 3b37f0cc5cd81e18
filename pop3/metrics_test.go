package pop3

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetricsCountWhatHappens(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := &shelf{messages: shelved}
	s := New(Options{Backend: d, InsecureAuth: true, Log: quiet, Metrics: registry})
	in := "USER fred\r\nPASS wrong\r\nUSER fred\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nRETR 4\r\nDELE 2\r\n" +
		"WHATEVER\r\n" + strings.Repeat("x", 300) + "\r\nQUIT\r\n"
	newConn(s, &tape{Reader: strings.NewReader(in)}, false).serve()

	got := gather(t, registry)
	for name, want := range map[string]float64{
		"commands_total USER ok":     2,
		"commands_total PASS ok":     1,
		"commands_total PASS err":    1,
		"commands_total STAT ok":     1,
		"commands_total RETR ok":     1,
		"commands_total RETR err":    1,
		"commands_total QUIT ok":     1,
		"commands_total unknown err": 2,
		"commands_total LIST ok":     0,
		"command_seconds RETR":       2,
		"login_failures_total":       1,
		"removed_messages_total":     1,
		"sent_octets_total":          float64(len(letters[0])),
		"panics_total":               0,
	} {
		if n, exists := got["restante_pop3_"+name]; !exists || n != want {
			t.Errorf("%s is %v (%v), want %v", name, n, exists, want)
		}
	}
	// What a client makes up is no label: the table, "unknown", both outcomes.
	if n := count(got, "restante_pop3_commands_total "); n != 2*(len(commands)+1) {
		t.Errorf("%d counters of commands, want %d", n, 2*(len(commands)+1))
	}
}

// gather is every metric by its name and labels: a counter's value, a
// histogram's count.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func count(metrics map[string]float64, prefix string) (n int) {
	for name := range metrics {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

func TestEveryNameIsOurs(t *testing.T) {
	registry := prometheus.NewRegistry()
	newMetrics(registry)
	for name := range gather(t, registry) {
		if !strings.HasPrefix(name, "restante_pop3_") {
			t.Error(fmt.Sprint(name, " is not named after the package"))
		}
	}
}

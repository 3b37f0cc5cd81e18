package cassandra

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// roundMetrics are what sweeps and repairs count. A server begins to show them with
// its first sweep.
type roundMetrics struct {
	rows     *prometheus.CounterVec
	found    *prometheus.CounterVec
	ring     *prometheus.GaugeVec
	finished *prometheus.GaugeVec
}

// roundMetricsOf are those that were registered before, or new ones.
func roundMetricsOf(registerer prometheus.Registerer) *roundMetrics {
	return &roundMetrics{
		rows: registered(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_cassandra_round_rows_total",
			Help: "Rows that sweeps and repairs read, by task and table.",
		}, []string{"task", "table"})),
		found: registered(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_cassandra_round_found_total",
			Help: "What sweeps and repairs found, by task and kind.",
		}, []string{"task", "kind"})),
		ring: registered(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "restante_cassandra_round_progress",
			Help: "How far the last sweep or repair of this process came, 0 to 1.",
		}, []string{"task"})),
		finished: registered(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "restante_cassandra_round_finished_timestamp_seconds",
			Help: "When a sweep or repair last came to its end, as far as this process knows, in seconds since 1970.",
		}, []string{"task"})),
	}
}

// finish notes when a task came to its end, here or elsewhere.
func (m *roundMetrics) finish(task string, at time.Time) {
	m.finished.WithLabelValues(task).Set(float64(at.Unix()))
}

// registered is a collector that the registry knows: this one, or an equal one of an
// earlier round.
func registered[C prometheus.Collector](registerer prometheus.Registerer, c C) C {
	if registerer == nil {
		return c
	}
	var before prometheus.AlreadyRegisteredError
	if err := registerer.Register(c); errors.As(err, &before) {
		if same, ok := before.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}

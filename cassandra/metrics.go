package cassandra

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the store counts.
type metrics struct {
	known      sync.Map // *statement to *observed
	statements *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	retries    prometheus.Counter
	hedges     prometheus.Counter
	inFlight   prometheus.Gauge
	releases   *prometheus.CounterVec
	all        []prometheus.Collector
}

func newMetrics(s *session) *metrics {
	m := &metrics{
		statements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_cassandra_statements_total",
			Help: "Statements, by name and result.",
		}, []string{"statement", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "restante_cassandra_statement_seconds",
			Help:    "How long statements took, with all their tries and the wait for their turn.",
			Buckets: prometheus.ExponentialBuckets(0.5e-3, 2, 14),
		}, []string{"statement"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restante_cassandra_retries_total",
			Help: "Statements sent again, to another node.",
		}),
		hedges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restante_cassandra_hedges_total",
			Help: "Reads sent to another node as well, as the first did not answer for a while.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "restante_cassandra_statements_in_flight",
			Help: "Statements that wait for their answer.",
		}),
	}
	m.releases = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_cassandra_releases_total",
		Help: "Contents that a maildrop no longer needed, by what became of them.",
	}, []string{"result"})
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "restante_cassandra_nodes_up",
		Help: "Nodes of the local data centre that are connected.",
	}, func() float64 {
		if db := s.db.Load(); db != nil {
			return float64(len(db.policy.up()))
		}
		return 0
	})
	offset := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "restante_cassandra_clock_offset_seconds",
		Help: "How far the clock of this machine is ahead of the cluster's; NaN: not known.",
	}, func() float64 {
		if offset, known := s.clock.offset(); known {
			return offset.Seconds()
		}
		return math.NaN()
	})
	m.all = []prometheus.Collector{m.statements, m.seconds, m.retries, m.hedges, m.inFlight, m.releases, up, offset}
	return m
}

// observe counts a statement. The usual outcome is found without its labels.
func (m *metrics) observe(st *statement, o outcome, took time.Duration) {
	v, ok := m.known.Load(st)
	if !ok {
		v, _ = m.known.LoadOrStore(st, &observed{
			succeeded: m.statements.WithLabelValues(st.name, string(succeeded)),
			seconds:   m.seconds.WithLabelValues(st.name),
		})
	}
	of := v.(*observed)
	of.seconds.Observe(took.Seconds())
	if o == succeeded {
		of.succeeded.Inc()
	} else {
		m.statements.WithLabelValues(st.name, string(o)).Inc()
	}
}

// observed are the metrics of one statement.
type observed struct {
	succeeded prometheus.Counter
	seconds   prometheus.Observer
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}

package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a queue counts.
type metrics struct {
	accepted *prometheus.CounterVec // messages, by class
	refused  prometheus.Counter     // messages
	outcomes *prometheus.CounterVec // of recipients, by result; the pool counts them by service
	events   *prometheus.CounterVec // entries, by what became of them
	appends  prometheus.Histogram
	together prometheus.Histogram
	failures prometheus.Counter
	entries  *entriesCollector
}

func newMetrics(q *Queue) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "restante_relay_" + name, Help: help}
	}
	return &metrics{
		accepted: prometheus.NewCounterVec(opts("accepted_total", "Messages that were taken on."), []string{"class"}),
		refused:  prometheus.NewCounter(opts("refused_total", "Messages whose content was stored, and that could not be taken on.")),
		outcomes: prometheus.NewCounterVec(opts("outcomes_total", "What services answered, by recipient."), []string{"result"}),
		events:   prometheus.NewCounterVec(opts("entries_total", "What became of entries: a message on its way to one recipient."), []string{"event"}),
		appends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "restante_relay_append_seconds", Help: "How long an append to the journal took.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 16),
		}),
		together: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "restante_relay_append_events", Help: "How many events were appended together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		}),
		failures: prometheus.NewCounter(opts("append_failures_total", "Appends to the journal that failed; each is tried again.")),
		entries:  &entriesCollector{q},
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.accepted, m.refused, m.outcomes, m.events, m.appends, m.together, m.failures, m.entries}
}

func (m *metrics) appended(took time.Duration, events int, err error) {
	m.appends.Observe(took.Seconds())
	m.together.Observe(float64(events))
	if err != nil {
		m.failures.Inc()
	}
}

// classNames and eventNames are those of the labels.
var (
	classNames = [...]string{High: "high", Normal: "normal", Bulk: "bulk"}
	eventNames = map[Kind]string{Delivered: "delivered", Deferred: "deferred", Failed: "failed", Cancelled: "cancelled"}
)

// An entriesCollector counts the entries when it is asked.
type entriesCollector struct{ queue *Queue }

var (
	entriesDesc = prometheus.NewDesc("restante_relay_entries", "Entries that something is left to do for.", []string{"class", "state"}, nil)
	oldestDesc  = prometheus.NewDesc("restante_relay_oldest_seconds", "The age of the oldest of them.", nil, nil)
)

func (c *entriesCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- entriesDesc
	ch <- oldestDesc
}

func (c *entriesCollector) Collect(ch chan<- prometheus.Metric) {
	counts, oldest := c.queue.Count()
	for _, class := range []Class{High, Normal, Bulk} {
		for state := QueueReady; state <= QueueHeld; state++ {
			ch <- prometheus.MustNewConstMetric(entriesDesc, prometheus.GaugeValue, float64(counts[class][state]), classNames[class], state.String())
		}
	}
	age := 0.0
	if !oldest.IsZero() {
		age = c.queue.now().time().Sub(oldest).Seconds()
	}
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age)
}

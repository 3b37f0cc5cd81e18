package embedded

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the store counts itself; the rest Pebble counts.
type metrics struct {
	syncs            prometheus.Histogram
	listings         *prometheus.CounterVec
	warm, cold       prometheus.Counter // of listings
	stalls           prometheus.Counter
	backgroundErrors prometheus.Counter
	corruptions      prometheus.Counter
	expired          prometheus.Counter
	forgotten        prometheus.Counter
	events           prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "restante_embedded_" + name, Help: help})
	}
	m := &metrics{
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "restante_embedded_log_sync_seconds",
			Help:    "How long a sync of the write-ahead log took.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
		}),
		listings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_embedded_listings_total",
			Help: "Listings of maildrops, by where they came from.",
		}, []string{"from"}),
		stalls:           counter("write_stalls_total", "How often writers were held back."),
		backgroundErrors: counter("background_errors_total", "Failed flushes and compactions; each is tried again."),
		corruptions:      counter("corruptions_total", "Values found to be other than what was written."),
		expired:          counter("expired_total", "Lines of listings, and contents, removed as their time was over."),
		forgotten:        counter("addresses_forgotten_total", "Temporary addresses that ended long ago and are forgotten."),
		events:           counter("journal_events_total", "Events of outbound mail that were written."),
	}
	m.warm, m.cold = m.listings.WithLabelValues("memory"), m.listings.WithLabelValues("disk")
	return m
}

func (m *metrics) observeSync(d time.Duration) { m.syncs.Observe(d.Seconds()) }

func (m *metrics) listed(fromMemory bool) {
	if fromMemory {
		m.warm.Inc()
	} else {
		m.cold.Inc()
	}
}

// A collector gathers the metrics of a store.
type collector struct{ store *Store }

func (s *Store) collector() *collector { return &collector{s} }

var (
	diskBytes   = desc("disk_bytes", "What the store takes on the disk.")
	logBytes    = desc("log_bytes", "The part of it that is write-ahead log.")
	memoryBytes = desc("memtable_bytes", "What was written and is in no table yet.")
	compactions = desc("compactions_total", "Compactions since the start.")
	flushes     = desc("flushes_total", "Flushes since the start.")
	cacheHits   = desc("cache_hits_total", "Blocks found in memory.")
	cacheMisses = desc("cache_misses_total", "Blocks read from the disk.")
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("restante_embedded_"+name, help, nil, nil)
}

func (c *collector) own() []prometheus.Collector {
	m := c.store.metrics
	return []prometheus.Collector{m.syncs, m.listings, m.stalls, m.backgroundErrors, m.corruptions, m.expired, m.forgotten, m.events}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, own := range c.own() {
		own.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{diskBytes, logBytes, memoryBytes, compactions, flushes, cacheHits, cacheMisses} {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, own := range c.own() {
		own.Collect(ch)
	}
	s := c.store
	s.life.RLock()
	defer s.life.RUnlock()
	if s.isClosed() {
		return
	}
	m := s.db.Metrics()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(d, kind, v)
	}
	send(diskBytes, prometheus.GaugeValue, float64(m.DiskSpaceUsage()))
	send(logBytes, prometheus.GaugeValue, float64(m.WAL.PhysicalSize))
	send(memoryBytes, prometheus.GaugeValue, float64(m.MemTable.Size))
	send(compactions, prometheus.CounterValue, float64(m.Compact.Count))
	send(flushes, prometheus.CounterValue, float64(m.Flush.Count))
	send(cacheHits, prometheus.CounterValue, float64(m.BlockCache.Hits))
	send(cacheMisses, prometheus.CounterValue, float64(m.BlockCache.Misses))
}

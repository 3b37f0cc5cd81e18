package pool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/relay"
)

type metrics struct {
	pool        *Pool
	outcomes    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	probes      *prometheus.CounterVec
	transitions *prometheus.CounterVec
}

const metricPrefix = "restante_relay_service"

func newMetrics(p *Pool) *metrics {
	return &metrics{
		pool: p,
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "_outcomes_total",
			Help: "What came of handing mail over, by recipient.",
		}, []string{"service", "result"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    metricPrefix + "_send_seconds",
			Help:    "How long handing a mail over took, whatever came of it.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 2, 18),
		}, []string{"service"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "_probes_total",
			Help: "What came of probes.",
		}, []string{"service", "result"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "_transitions_total",
			Help: "Changes of the state of a service or of the whole pool, by the state that followed.",
		}, []string{"to"}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.outcomes, m.durations, m.probes, m.transitions, gauges{m.pool}} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) sent(service string, outcomes []relay.Outcome, took time.Duration) {
	for _, o := range outcomes {
		m.outcomes.WithLabelValues(service, o.Result.String()).Inc()
	}
	m.durations.WithLabelValues(service).Observe(took.Seconds())
}

// forget drops what was counted of a service that is gone: names come and go.
func (m *metrics) forget(service string) {
	of := prometheus.Labels{"service": service}
	m.outcomes.DeletePartialMatch(of)
	m.durations.DeletePartialMatch(of)
	m.probes.DeletePartialMatch(of)
}

// gauges are read when they are asked for.
type gauges struct{ pool *Pool }

var (
	stateGauge   = prometheus.NewDesc(metricPrefix+"_state", "1 for the state of a service.", []string{"service", "state"}, nil)
	weightGauge  = prometheus.NewDesc(metricPrefix+"_weight", "What a service counts just now; 0: it is given no mail.", []string{"service"}, nil)
	sendingGauge = prometheus.NewDesc(metricPrefix+"_sending", "Mails that a service is given just now.", []string{"service"}, nil)
	downGauge    = prometheus.NewDesc("restante_relay_pool_down", "1 while no service is up and mail waits.", nil, nil)
	slowGauge    = prometheus.NewDesc("restante_relay_pool_subscribers_lost_total", "Subscribers of transitions that were too slow.", nil, nil)
)

func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stateGauge, weightGauge, sendingGauge, downGauge, slowGauge} {
		ch <- d
	}
}

func (g gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, s := range g.pool.Services() {
		send(stateGauge, prometheus.GaugeValue, 1, s.Document.Name, s.State.String())
		send(weightGauge, prometheus.GaugeValue, s.Weight, s.Document.Name)
		send(sendingGauge, prometheus.GaugeValue, float64(s.Sending), s.Document.Name)
	}
	g.pool.mu.Lock()
	down, lost := 0.0, float64(g.pool.events.lost)
	if g.pool.state == Down {
		down = 1
	}
	g.pool.mu.Unlock()
	send(downGauge, prometheus.GaugeValue, down)
	send(slowGauge, prometheus.CounterValue, lost)
}

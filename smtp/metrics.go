package smtp

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the counters of one server. Every label has a bounded set of
// values, whatever clients send.
type metrics struct {
	connections prometheus.Counter
	refused     prometheus.Counter
	sessions    prometheus.Gauge
	commands    *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	octets      prometheus.Counter
	keep        prometheus.Histogram
	recipients  *prometheus.CounterVec
	logins      *prometheus.CounterVec
	panics      prometheus.Counter
}

// newMetrics registers the metrics, unless r is nil. It panics, as client_golang
// does, when they are registered twice: two servers need two registries, or one
// that adds a label for each.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "restante", Subsystem: "smtp", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts(opts(name, help))
	}
	m := &metrics{
		connections: f.NewCounter(counter("connections_total", "Connections accepted.")),
		refused:     f.NewCounter(counter("connections_refused_total", "Connections refused because there were too many.")),
		sessions:    f.NewGauge(prometheus.GaugeOpts(opts("sessions", "Connections now."))),
		commands:    f.NewCounterVec(counter("commands_total", "Replies to commands."), []string{"command", "outcome"}),
		deliveries:  f.NewCounterVec(counter("deliveries_total", "Messages by what became of them."), []string{"result"}),
		octets:      f.NewCounter(counter("received_octets_total", "Octets of message content received.")),
		keep: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "restante", Subsystem: "smtp", Name: "keep_seconds",
			Help:    "Time from the end of the content to the reply.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		recipients: f.NewCounterVec(counter("recipients_refused_total", "RCPT commands refused."), []string{"reason"}),
		logins:     f.NewCounterVec(counter("logins_total", "AUTH commands by how they ended."), []string{"result"}),
		panics:     f.NewCounter(counter("panics_total", "Connections ended by a panic.")),
	}
	// What has not happened yet is shown as 0, so that the first time is a change.
	for _, reason := range refusalReasons {
		m.recipients.WithLabelValues(reason)
	}
	return m
}

// command counts the reply to a command, class is the first digit of its code.
func (m *metrics) command(verb string, class byte) {
	outcome := "ok"
	switch class {
	case '4':
		outcome = "temporary"
	case '5':
		outcome = "permanent"
	}
	m.commands.WithLabelValues(verb, outcome).Inc()
}

// The enhanced codes of refused recipients, as the metrics name them.
var refusalReasons = map[string]string{
	"5.1.1": "unknown",
	"5.1.2": "not_local",
	"5.7.1": "not_local",
	"5.1.3": "malformed",
	"5.6.7": "malformed",
	"4.3.0": "unavailable",
	"4.3.1": "full",
	"4.5.3": "too_many",
}

// refuse counts a refused recipient.
func (m *metrics) refuse(enhanced string) {
	reason, ok := refusalReasons[enhanced]
	if !ok {
		reason = "other"
	}
	m.recipients.WithLabelValues(reason).Inc()
}

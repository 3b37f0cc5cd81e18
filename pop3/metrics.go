package pop3

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of one server. Their labels are the commands of the
// table and nothing that a client can make up.
type metrics struct {
	connections   prometheus.Counter
	refused       prometheus.Counter
	sessions      prometheus.Gauge
	octets        prometheus.Counter
	removed       prometheus.Counter
	loginFailures prometheus.Counter
	panics        prometheus.Counter
	commands      map[*command]*commandMetrics
}

// commandMetrics are looked up once, not for each command.
type commandMetrics struct {
	positive, negative prometheus.Counter
	seconds            prometheus.Observer
}

// newMetrics registers the metrics unless reg is nil. It panics, as client_golang
// does, when they are registered twice: two servers need two registries.
func newMetrics(reg prometheus.Registerer) *metrics {
	register := func(c prometheus.Collector) {
		if reg != nil {
			reg.MustRegister(c)
		}
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "restante_pop3_" + name, Help: help})
		register(c)
		return c
	}
	sessions := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "restante_pop3_sessions", Help: "Connections that are open now.",
	})
	register(sessions)
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_pop3_commands_total", Help: "Commands answered, by verb and outcome.",
	}, []string{"command", "outcome"})
	register(answers)
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "restante_pop3_command_seconds", Help: "Time from a command to the end of its reply.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9), // 0.1 ms to 6.5 s
	}, []string{"command"})
	register(seconds)

	m := &metrics{
		connections:   counter("connections_total", "Connections accepted."),
		refused:       counter("connections_refused_total", "Connections closed because there were too many."),
		sessions:      sessions,
		octets:        counter("sent_octets_total", "Octets of messages sent by RETR and TOP."),
		removed:       counter("removed_messages_total", "Messages removed by QUIT."),
		loginFailures: counter("login_failures_total", "PASS and AUTH that were refused."),
		panics:        counter("panics_total", "Connections ended by a panic."),
		commands:      make(map[*command]*commandMetrics, len(commands)+2),
	}
	add := func(cmd *command, name string) {
		m.commands[cmd] = &commandMetrics{
			positive: answers.WithLabelValues(name, "ok"),
			negative: answers.WithLabelValues(name, "err"),
			seconds:  seconds.WithLabelValues(name),
		}
	}
	for name, cmd := range commands {
		add(cmd, name)
	}
	add(&plainResponse, plainResponse.name)
	add(nil, "unknown")
	return m
}

// command is never nil; a nil cmd is one that is not in the table.
func (m *metrics) command(cmd *command) *commandMetrics { return m.commands[cmd] }

func (c *commandMetrics) observe(positive bool, took time.Duration) {
	if positive {
		c.positive.Inc()
	} else {
		c.negative.Inc()
	}
	c.seconds.Observe(took.Seconds())
}

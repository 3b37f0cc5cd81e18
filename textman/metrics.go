package textman

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	posted, taken, deferred prometheus.Counter
	takes                   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := metrics{
		posted:   counter("restante_texts_posted_total", "Texts that were posted."),
		taken:    counter("restante_texts_taken_total", "Texts that were returned to their users."),
		deferred: counter("restante_texts_deferred_total", "Times that a text could not be opened and was left for later."),
		takes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_text_takes_total",
			Help: "Times that users asked for their texts, by outcome.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"found", "empty", "failed"} {
		m.takes.WithLabelValues(outcome) // so that each is there from the start
	}
	if r != nil {
		r.MustRegister(m.posted, m.taken, m.deferred, m.takes)
	}
	return m
}

// take counts one Take.
func (m metrics) take(texts int, err error) {
	outcome := "found"
	switch {
	case err != nil:
		outcome = "failed"
	case texts == 0:
		outcome = "empty"
	}
	m.takes.WithLabelValues(outcome).Inc()
	m.taken.Add(float64(texts))
}

package auth

import "github.com/prometheus/client_golang/prometheus"

// An outcome is how an attempt ended. It is for the operator; the client
// learns less.
type outcome string

const (
	right       outcome = "ok"
	cached      outcome = "cached"      // right, without a hash
	wrong       outcome = "wrong"       // password
	unknown     outcome = "unknown"     // user, or one that cannot log in
	throttled   outcome = "throttled"   // by account or network; not checked
	unavailable outcome = "unavailable" // storage, or too many attempts
)

type metrics struct {
	attempts *prometheus.CounterVec
	inFlight prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_auth_attempts_total",
			Help: "Attempts to log in, by outcome.",
		}, []string{"outcome"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "restante_auth_attempts_in_flight",
			Help: "Attempts to log in that are being checked or held back.",
		}),
	}
	for _, o := range []outcome{right, cached, wrong, unknown, throttled, unavailable} {
		m.attempts.WithLabelValues(string(o)) // so that each is there from the start
	}
	if r != nil {
		r.MustRegister(m.attempts, m.inFlight)
	}
	return m
}

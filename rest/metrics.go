package rest

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// counter returns a function that counts answers by route and status.
func counter(r prometheus.Registerer) func(pattern string, status int) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_rest_requests_total",
		Help: "Answered HTTP requests, by route and status.",
	}, []string{"route", "status"})
	if r != nil {
		r.MustRegister(answers)
	}
	return func(pattern string, status int) {
		if pattern == "" {
			pattern = "none" // never the path itself: anybody can make up paths
		}
		answers.WithLabelValues(pattern, strconv.Itoa(status)).Inc()
	}
}

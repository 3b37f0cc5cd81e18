package rest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counter returns a function that counts answers by route and status.
func counter(r prometheus.Registerer) func(pattern string, status int, took time.Duration) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_rest_requests_total",
		Help: "Answered HTTP requests, by route and status.",
	}, []string{"route", "status"})
	if r != nil {
		r.MustRegister(answers)
	}
	return func(pattern string, status int, _ time.Duration) {
		answers.WithLabelValues(route(pattern), strconv.Itoa(status)).Inc()
	}
}

// route is the label of a pattern: never the path itself, for anybody can make up
// paths.
func route(pattern string) string {
	if pattern == "" {
		return "none"
	}
	return pattern
}

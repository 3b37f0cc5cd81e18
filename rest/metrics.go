package rest

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A count counts an answer to the request of a context.
type count func(ctx context.Context, pattern string, status int, took time.Duration)

// counter returns a function that counts answers by route and status.
func counter(r prometheus.Registerer) count {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_rest_requests_total",
		Help: "Answered HTTP requests, by route and status.",
	}, []string{"route", "status"})
	if r != nil {
		r.MustRegister(answers)
	}
	return func(_ context.Context, pattern string, status int, _ time.Duration) {
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

// publicCounter returns a function that counts answers of the public interface by
// route and status, and how long they took.
func publicCounter(r prometheus.Registerer, streams *slots) count {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "restante_http_requests_total",
		Help: "Answered requests for temporary mailboxes, texts and the page, by route and status.",
	}, []string{"route", "status"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "restante_http_request_seconds",
		Help:    "Time from the header of a request to the end of its answer, by route, without what was spent waiting for mail.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route"})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "restante_http_streams",
		Help: "Clients that wait for mail.",
	}, func() float64 { return float64(streams.count()) })
	if r != nil {
		r.MustRegister(answers, seconds, waiting)
	}
	return func(ctx context.Context, pattern string, status int, took time.Duration) {
		name := route(pattern)
		answers.WithLabelValues(name, strconv.Itoa(status)).Inc()
		if v := visitOf(ctx); v != nil {
			took -= v.waited
		}
		seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}

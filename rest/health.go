package rest

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A status is the answer of the two probes.
type status struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

func okStatus() *status {
	s := new(status)
	s.Body.Status = "ok"
	return s
}

// health adds the two probes, which anybody may use.
func health(api *api, ready *readiness) {
	anyone := []map[string][]string{}
	huma.Register(api.API, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/healthz", Security: anyone, Tags: []string{"health"},
		Summary: "Whether the process lives",
	}, func(context.Context, *struct{}) (*status, error) { return okStatus(), nil })

	huma.Register(api.API, huma.Operation{
		OperationID: "readiness", Method: http.MethodGet, Path: "/readyz", Security: anyone, Tags: []string{"health"},
		Summary: "Whether the store answers", Errors: []int{http.StatusServiceUnavailable},
	}, func(ctx context.Context, _ *struct{}) (*status, error) {
		if !ready.now(ctx) {
			return nil, problem(http.StatusServiceUnavailable, "not-ready", "not ready")
		}
		return okStatus(), nil
	})
	// What the door answers, as it does before every operation.
	paths := api.OpenAPI().Paths
	paths["/readyz"].Get.Responses["default"] = paths["/healthz"].Get.Responses["default"]
}

// Anybody may ask for readiness, so the store is asked at most once in a while and
// by one at a time.
const (
	readyFor     = time.Second
	readyTimeout = 2 * time.Second
)

// A readiness knows whether the store answered a moment ago. The log hears of
// every change, the client of nothing else.
type readiness struct {
	ask func(context.Context) error
	log *slog.Logger

	mu    sync.Mutex
	asked time.Time
	ready bool
}

func (r *readiness) now(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked.IsZero() && time.Since(r.asked) < readyFor {
		return r.ready
	}
	// Whoever asked first may be gone, and the answer is for all.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	err := r.ask(ctx)
	switch first := r.asked.IsZero(); {
	case err != nil && (r.ready || first):
		r.log.Warn("not ready", "err", err)
	case err == nil && !r.ready && !first:
		r.log.Info("ready again")
	}
	r.ready, r.asked = err == nil, time.Now()
	return r.ready
}

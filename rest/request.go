package rest

import (
	"context"
	"net/http"
	"time"

	"restante/internal/session"
)

type requestKey struct{}

// withRequestID names a request, for its lines in the log and for an answer that
// an operator wants to find there.
func withRequestID(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), requestKey{}, session.NewID()))
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// How long a client may take to accept what is written at once.
const writeTimeout = 30 * time.Second

// A response notes the status, and gives each write a deadline of its own, so
// that a long answer may take long and a client that stops reading may not.
type response struct {
	http.ResponseWriter
	status int // 0: nothing was written
}

// Unwrap lets http.ResponseController through.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	w.extend()
	http.NewResponseController(w.ResponseWriter).Flush() //nolint:errcheck // the next write fails too
}

func (w *response) extend() {
	// Not every ResponseWriter has deadlines; one of a test has none.
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck
}

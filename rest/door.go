package rest

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A door stands before the operations of a listener: it names each request, sets
// the headers that every answer has, asks who may come in, and answers in the form
// of problem documents what the router would answer in plain text.
type door struct {
	mux   *http.ServeMux
	guard guard
	log   *slog.Logger
	count count
	limit func(pattern string) int64 // octets of a request
	room  *room                      // for requests that are read; nil: not bounded

	// astray answers a request that no operation is for, if it can, and says as what
	// it is counted. Allow are the methods that there are under the path, if any.
	astray func(w http.ResponseWriter, r *http.Request, allow string) (route string, done bool)
}

// A guard looks at a request before anything else does. It may set headers of the
// answer and put into the context who asks. What it returns instead is the answer.
type guard func(w http.ResponseWriter, r *http.Request) (*http.Request, *huma.ErrorModel)

func (d *door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w := &response{ResponseWriter: rw}
	r = withRequestID(r)
	_, pattern := d.mux.Handler(r)
	if !isClean(r.URL.EscapedPath()) {
		pattern = "" // the router would lead to another resource, with a page of HTML
	}
	defer func() { d.count(r.Context(), pattern, w.status, time.Since(began)) }()
	defer d.recover(w, r)

	secure(w.Header())
	r, refusal := d.guard(w, r)
	if refusal != nil {
		writeProblem(w, refusal)
		return
	}
	if pattern == "" {
		pattern = d.refuse(w, r)
		return
	}
	leave, refusal := d.takeBody(w, r, pattern)
	defer leave()
	if refusal != nil {
		writeProblem(w, refusal)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// isClean reports whether a path has no segments that are empty, "." or "..".
func isClean(p string) bool {
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return false
		}
	}
	return true
}

// secure sets headers for the case that a browser shows an answer: it must not
// guess a type, run anything, be framed, or keep it.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// refuse answers a request that no operation is for: as astray does, or 404, or 405
// with the methods that there are. It returns as what the request is counted.
func (d *door) refuse(w http.ResponseWriter, r *http.Request) (route string) {
	probe := probe{header: make(http.Header)}
	d.mux.ServeHTTP(&probe, r)
	allow := ""
	if probe.status == http.StatusMethodNotAllowed {
		allow = probe.header.Get("Allow")
	}
	if d.astray != nil {
		if route, done := d.astray(w, r, allow); done {
			return route
		}
	}
	if allow != "" {
		notAllowed(w, allow)
		return ""
	}
	writeProblem(w, problem(http.StatusNotFound, "no-such-resource", "there is nothing under this path"))
	return ""
}

// notAllowed answers a method that there is not (RFC 9110, section 15.5.6).
func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	writeProblem(w, problem(http.StatusMethodNotAllowed, "method-not-allowed", "allowed here: "+allow))
}

// A probe takes down what the router answers, apart from the text.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header            { return p.header }
func (p *probe) Write(text []byte) (int, error) { return len(text), nil }
func (p *probe) WriteHeader(status int)         { p.status = status }

// recover turns a panic into an answer. When one has begun, the connection is cut,
// so that the client does not take it for a whole one.
func (d *door) recover(w *response, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	id := requestID(r.Context())
	if cause != http.ErrAbortHandler { //nolint:errorlint // the value that net/http documents
		d.log.Error("request panicked", "session", id, "method", r.Method, "path", r.URL.Path, "err", cause)
	}
	if w.status != 0 || cause == http.ErrAbortHandler { //nolint:errorlint
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, problem(http.StatusInternalServerError, "internal-error", "internal error ("+id+")"))
}

package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// A door stands before the operations of a listener: it names each request, sets
// the headers that every answer has, asks for the token, and answers in the form
// of problem documents what the router would answer in plain text.
type door struct {
	mux   *http.ServeMux
	token [sha256.Size]byte // of the bearer token
	open  []string          // paths that need no token
	log   *slog.Logger
	count func(pattern string, status int)
	limit func(pattern string) int64 // octets of a request
}

func (d *door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw}
	r = withRequestID(r)
	_, pattern := d.mux.Handler(r)
	defer func() { d.count(pattern, w.status) }()
	defer d.recover(w, r)

	secure(w.Header())
	if !slices.Contains(d.open, r.URL.Path) && !d.knows(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="restante admin"`) // RFC 6750, section 3
		writeProblem(w, problem(http.StatusUnauthorized, "token-required", "the admin token is missing or wrong"))
		return
	}
	if pattern == "" {
		d.refuse(w, r)
		return
	}
	if p := d.takeBody(w, r, pattern); p != nil {
		writeProblem(w, p)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// secure sets headers for the case that a browser shows an answer: it must not
// guess a type, run anything, be framed, or keep it.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// knows reports whether the request bears the token. Digests are compared, so
// that the time says nothing about the token or its length.
func (d *door) knows(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], d.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// refuse answers a request that no operation is for: 404, or 405 with the methods
// that there are.
func (d *door) refuse(w http.ResponseWriter, r *http.Request) {
	probe := probe{header: make(http.Header)}
	d.mux.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		writeProblem(w, problem(http.StatusMethodNotAllowed, "method-not-allowed", "allowed here: "+probe.header.Get("Allow")))
		return
	}
	writeProblem(w, problem(http.StatusNotFound, "no-such-resource", "there is nothing under this path"))
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

package rest

import (
	"net/http"
	"slices"
)

// What pages of other origins may send and see (the CORS protocol of the Fetch
// standard). There are no cookies, so nothing is done in somebody's name.
const (
	corsRequestHeaders  = "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-API-Key"
	corsResponseHeaders = "ETag, Location, Preference-Applied, Retry-After"
	corsMaxAge          = "7200"
)

// allowOrigin lets the page that sent a request read the answer, if its origin is one
// of those.
func (p *public) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(p.Origins) == 0 {
		return
	}
	anybody := slices.Contains(p.Origins, "*")
	if !anybody {
		w.Header().Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return
	case anybody:
		w.Header().Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(p.Origins, origin):
		w.Header().Set("Access-Control-Allow-Origin", origin)
	default:
		return
	}
	w.Header().Set("Access-Control-Expose-Headers", corsResponseHeaders)
}

// preflight answers OPTIONS, also where a browser asks it for a page before the
// request itself.
func preflight(w http.ResponseWriter, r *http.Request, allow string) {
	h := w.Header()
	h.Set("Allow", allow)
	if h.Get("Access-Control-Allow-Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

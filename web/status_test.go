package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheStatusPageIsAllThatItNames(t *testing.T) {
	pages := Status()
	mux := http.NewServeMux()
	for path, h := range pages {
		mux.Handle("GET "+path, h)
	}
	w := get(t, mux, "/status")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	found := linked.FindAllStringSubmatch(w.Body.String(), -1)
	if len(found) != len(pages)-1 {
		t.Errorf("%d pages, and /status names %v", len(pages), found)
	}
	for _, f := range found {
		if w := get(t, mux, "/"+f[1]); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d", f[1], w.Code)
		}
	}
}

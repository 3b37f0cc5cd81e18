package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestThePagesOfOperatorsAreAllThatTheyName(t *testing.T) {
	for page, files := range map[string]map[string]http.Handler{"/status": Status(), "/relay": Relay()} {
		mux := http.NewServeMux()
		for path, h := range files {
			mux.Handle("GET "+path, h)
		}
		w := get(t, mux, page)
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", page, policy)
		}
		if bad := inline.FindString(w.Body.String()); bad != "" {
			t.Errorf("%s has %q, which its policy forbids", page, bad)
		}
		found := linked.FindAllStringSubmatch(w.Body.String(), -1)
		if len(found) != len(files)-1 {
			t.Errorf("%d files, and %s names %v", len(files), page, found)
		}
		for _, f := range found {
			if w := get(t, mux, "/"+f[1]); w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s: %d", f[1], w.Code)
			}
		}
	}
}

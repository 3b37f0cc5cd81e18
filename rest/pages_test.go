package rest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPagesNeedNoTokenAndEverythingElseDoes(t *testing.T) {
	h := Admin(AdminOptions{
		Token: testToken,
		Log:   slog.New(slog.DiscardHandler),
		Pages: map[string]http.Handler{"/status": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			io.WriteString(w, "a page")
		})},
	})
	for path, want := range map[string]int{
		"/status": http.StatusOK, "/status/": http.StatusUnauthorized, "/statusx": http.StatusUnauthorized, "//status": http.StatusUnauthorized,
		"/metrics": http.StatusUnauthorized, "/accounts": http.StatusUnauthorized, "/status/../metrics": http.StatusUnauthorized,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if policy := w.Header().Get("Content-Security-Policy"); path == "/status" && policy != "default-src 'self'" {
			t.Errorf("the page has the policy %q instead of its own", policy)
		}
	}
}

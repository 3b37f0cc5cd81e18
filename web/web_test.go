package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func handler() http.Handler {
	return Handler(Options{
		Domains: []string{"temp.example.org"}, Life: 15 * time.Minute, MaxLife: 7 * 24 * time.Hour,
		Servers: []Server{{Host: "mail.example.org", Port: 995, Security: "SSL/TLS"}},
	})
}

// get asks for a path, with header fields as pairs.
func get(t *testing.T, h http.Handler, path string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// linked are the files that a document names.
var linked = regexp.MustCompile(`(?:href|src|data-frame|data-remote-frame)="([^"#]+\?v=[0-9a-f]+)"`)

// inline is what a document may not have in its own text.
var inline = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>`)

func TestEveryFileThatThePageNamesIsThereForEver(t *testing.T) {
	h := handler()
	found := linked.FindAllStringSubmatch(get(t, h, "/").Body.String(), -1)
	if len(found) < 5 {
		t.Fatalf("the page names %v", found)
	}
	for _, f := range found {
		w := get(t, h, "/"+f[1])
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, Cache-Control %q", f[1], w.Code, w.Header().Get("Cache-Control"))
		}
	}
}

func TestAFileOfAnotherVersionIsNotKept(t *testing.T) {
	for _, path := range []string{"/assets/page.js", "/assets/page.js?v=0123456789abcdef", "/"} {
		w := get(t, handler(), path)
		if got := w.Header().Get("Cache-Control"); w.Code != http.StatusOK || got != "no-cache" {
			t.Errorf("%s: %d, Cache-Control %q", path, w.Code, got)
		}
	}
}

func TestWhatABrowserHasIsNotSentAgain(t *testing.T) {
	h := handler()
	for _, path := range []string{"/", "/assets/page.css"} {
		tag := get(t, h, path).Header().Get("ETag")
		w := get(t, h, path, "If-None-Match", tag)
		if tag == "" || w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s with the tag %q: %d, %d octets", path, tag, w.Code, w.Body.Len())
		}
	}
}

func TestNothingInlineIsAllowedAnywhere(t *testing.T) {
	h := handler()
	for _, path := range []string{"/", "/frame", "/remote-frame", "/assets/page.js", "/assets/icon.svg", "/nowhere"} {
		policy := get(t, h, path).Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	// A document that breaks its own policy would be shown without styles.
	for _, path := range []string{"/", "/frame", "/nowhere"} {
		if bad := inline.FindString(get(t, h, path).Body.String()); bad != "" {
			t.Errorf("%s has %q", path, bad)
		}
	}
}

func TestAMailIsShownWhereNoScriptRuns(t *testing.T) {
	h := handler()
	near, far := get(t, h, "/frame").Header().Get("Content-Security-Policy"), get(t, h, "/remote-frame").Header().Get("Content-Security-Policy")
	for _, policy := range []string{near, far} {
		if strings.Contains(policy, "script-src") || strings.Contains(policy, "allow-scripts") || !strings.Contains(policy, "sandbox") {
			t.Errorf("policy %q", policy)
		}
	}
	if strings.Contains(near, "http:") || !strings.Contains(far, "http:") {
		t.Errorf("remote images: without asking %q, asked %q", near, far)
	}
}

func TestThereIsNothingElsewhere(t *testing.T) {
	for _, path := range []string{"/nowhere", "/assets/", "/assets/web.go", "/assets/..%2fpolicy.go", "/frame/x"} {
		if w := get(t, handler(), path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestThePageOffersLivesUpToTheLongest(t *testing.T) {
	page := get(t, Handler(Options{Domains: []string{"a.example", "b.example"}, Life: 30 * time.Minute, MaxLife: time.Hour}), "/").Body.String()
	for _, want := range []string{
		`<option value="900">15 minutes</option>`, `<option value="1800" selected>30 minutes</option>`, `<option value="3600">1 hour</option>`,
		`<option value="b.example">@b.example</option>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "6 hours") {
		t.Error("longer than allowed")
	}
}

func TestLivesAreSaidInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * time.Second: "90 seconds", time.Minute: "1 minute", 36 * time.Hour: "36 hours", 7 * 24 * time.Hour: "7 days", time.Second: "1 second",
	} {
		if got := words(d); got != want {
			t.Errorf("%d s: %q, want %q", d/time.Second, got, want)
		}
	}
}

package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"time"
)

//go:embed static
var static embed.FS

//go:embed templates
var templates embed.FS

// A file is one answer, the same for everybody as long as the program runs. Its
// version is the digest of its octets. It stands in the URLs that documents name
// the file by, so such a URL never means anything else and may be kept; without it
// a browser asks each time whether it still has the right one.
type file struct {
	text        []byte
	contentType string
	policy      string
	version     string
	status      int
}

func newFile(text []byte, contentType, policy string) *file {
	sum := sha256.Sum256(text)
	return &file{text: text, contentType: contentType, policy: policy, version: hex.EncodeToString(sum[:8]), status: http.StatusOK}
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	secure(h, f.policy)
	h.Set("Content-Type", f.contentType)
	if f.status != http.StatusOK {
		w.WriteHeader(f.status)
		w.Write(f.text) //nolint:errcheck // the client is gone
		return
	}
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable") // RFC 8246
	}
	h.Set("ETag", `"`+f.version+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
}

// The machine's own table of types is not asked: it may say anything.
var contentTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// A site is files by their paths, seen from the directory of the document that
// names them, so that it works wherever it is mounted.
type site map[string]*file

// add takes files from the binary.
func (s site) add(paths ...string) {
	for _, p := range paths {
		text, err := static.ReadFile("static/" + path.Base(p))
		if err != nil {
			panic(fmt.Sprintf("web: %v", err)) // it is not in the binary
		}
		s[p] = newFile(text, contentTypes[path.Ext(p)], filePolicy)
	}
}

// render fills in a template, in which url names other files of the site. What can
// be wrong with it is found by the first test that makes a site.
func (s site) render(name, policy string, data any) *file {
	t := template.New(name).Funcs(template.FuncMap{"url": s.url, "words": words})
	var text bytes.Buffer
	if err := template.Must(t.ParseFS(templates, "templates/"+name)).Execute(&text, data); err != nil {
		panic(fmt.Sprintf("web: render %s: %v", name, err))
	}
	return newFile(text.Bytes(), "text/html; charset=utf-8", policy)
}

func (s site) url(p string) (string, error) {
	f, ok := s[p]
	if !ok {
		return "", fmt.Errorf("web: no file %s", p)
	}
	return p + "?v=" + f.version, nil
}

// handlers are the files by their paths on a server.
func (s site) handlers() map[string]http.Handler {
	all := make(map[string]http.Handler, len(s))
	for p, f := range s {
		all["/"+p] = f
	}
	return all
}

package web

import "net/http"

// Status are the documents of the status page by their paths. They hold nothing of
// the server: the page asks for the admin token, keeps it as long as its tab is
// open, and reads /metrics and /readyz beside itself.
func Status() map[string]http.Handler {
	s := make(site)
	s.add("status/status.js", "status/status.css", "status/page.css", "status/icon.svg")
	s["status"] = s.render("status.html", statusPolicy, nil)
	return s.handlers()
}

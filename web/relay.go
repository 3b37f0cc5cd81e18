package web

import "net/http"

// Relay are the documents of the page about how mail leaves, by their paths. Like those
// of [Status], which the page leads to, they hold nothing of the server: the page asks
// for the admin token, and uses what is under v1/services, v1/queue and v1/adoptions
// beside itself.
func Relay() map[string]http.Handler {
	s := make(site)
	s.add("relay/relay.js", "relay/relay.css", "relay/status.css", "relay/page.css", "relay/icon.svg")
	s["relay"] = s.render("relay.html", statusPolicy, nil)
	return s.handlers()
}

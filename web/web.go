// Package web is what people see of Restante: the page on which somebody makes a
// temporary address and reads the mail that comes to it, and the page on which an
// operator sees how the server is. Each is a document, a script and a style sheet,
// kept in the binary. They know nothing but the HTTP interface, which they use as
// any other client does.
//
// Nothing on the pages is executed or styled that is not a file of this package:
// the Content-Security-Policy says so, also to the documents in which mail is
// shown. There are no cookies, and nothing is loaded from anywhere else.
package web

import (
	"fmt"
	"net/http"
	"time"
)

// Options configures [Handler].
type Options struct {
	Domains []string      // of temporary addresses; the first is the default. At least one
	Life    time.Duration // of an address where nobody says anything; at least a second
	MaxLife time.Duration // the longest that may be asked for; not less
	Servers []Server      // where mail programs fetch the mail; may be none
}

// A Server is where a mail program fetches mail by POP3.
type Server struct {
	Host     string
	Port     int
	Security string // as mail programs call it: SSL/TLS, STARTTLS or none
}

// Handler answers GET and HEAD of the page for people and of all that it is made
// of, and says that there is nothing elsewhere. The page finds the interface beside
// itself, under v1/.
//
// It panics where the options cannot work.
func Handler(o Options) http.Handler {
	if len(o.Domains) == 0 || o.Life < time.Second || o.MaxLife < o.Life {
		panic(fmt.Sprintf("web: options %+v", o))
	}
	s := make(site)
	s.add("assets/page.js", "assets/page.css", "assets/mail.css", "assets/icon.svg")
	s["frame"] = s.render("frame.html", framePolicy, nil)
	s["remote-frame"] = s.render("frame.html", remoteFramePolicy, nil)
	page := s.render("page.html", pagePolicy, struct {
		Options
		Lives []life
	}{o, lives(o.Life, o.MaxLife)})
	missing := s.render("missing.html", pagePolicy, nil)
	missing.status = http.StatusNotFound

	mux := http.NewServeMux()
	for p, f := range s {
		mux.Handle("GET /"+p, f)
	}
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /", missing)
	return mux
}

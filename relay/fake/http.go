package fake

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// An answer is what an HTTP interface says.
type answer struct {
	status int
	header map[string]string
	body   any // sent as JSON; a string is sent as it is; nil is empty
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	switch body := a.body.(type) {
	case nil:
		w.WriteHeader(a.status)
	case string:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, body)
	default:
		reply(w, a.status, body)
	}
}

// A dialect is how one maker's interface answers.
type dialect interface {
	// authFail is the answer to credentials that are not known.
	authFail() answer
	unverified(from string) answer
	throttled(until time.Time) answer
	tooLarge() answer
	// refused is an answer with a status that was asked for.
	refused(status int, text string) answer
	accepted(id string) answer
	newID() string
}

// A parcel is what was read of a request to send a mail.
type parcel struct {
	from     string
	to       []string
	content  *content
	problem  *answer // what is wrong with it
	stranger bool    // the credentials are not known
	err      error   // the body broke off, or is too long
}

// hand decides about a mail.
func (c *Control) hand(w http.ResponseWriter, r *http.Request, d dialect, p parcel) {
	var tooLong *http.MaxBytesError
	if p.err != nil && !errors.As(p.err, &tooLong) {
		c.tally(func(s *Stats) { s.Broken++ })
		drop(w) // not a request
		return
	}
	m := c.now("", p.to...)
	if c.fail(w, r, d, m, p.from) {
		return
	}
	refuse := func(a answer) {
		c.tally(func(s *Stats) { s.Refused++ })
		a.write(w)
	}
	switch {
	case p.stranger:
		refuse(d.authFail())
		return
	case p.err != nil:
		refuse(d.tooLarge())
		return
	case p.problem != nil:
		refuse(*p.problem)
		return
	}
	if again, ok := c.admit(); !ok {
		c.tally(func(s *Stats) { s.Throttled++ })
		d.throttled(again).write(w)
		return
	}
	id := d.newID()
	c.accepted(p.content.mail(id, p.from, p.to))
	switch m.kind {
	case hangAfter:
		c.tally(func(s *Stats) { s.Broken++ })
		c.sleep(r.Context(), longest)
		drop(w)
	case resetAfter:
		c.tally(func(s *Stats) { s.Broken++ })
		drop(w)
	default:
		d.accepted(id).write(w)
	}
}

// probe answers a request that sends nothing.
func (c *Control) probe(w http.ResponseWriter, r *http.Request, d dialect, stranger bool, good answer) {
	if c.fail(w, r, d, c.now(""), "") {
		return
	}
	if stranger {
		good = d.authFail()
	}
	good.write(w)
}

// fail does what the mode asks for before anything is taken, and reports whether that
// was the answer.
func (c *Control) fail(w http.ResponseWriter, r *http.Request, d dialect, m mode, from string) bool {
	var a answer
	switch m.kind {
	case status:
		a = d.refused(m.code, m.text)
	case flap:
		a = d.refused(http.StatusServiceUnavailable, "")
	case authFail:
		a = d.authFail()
	case unverified:
		a = d.unverified(from)
	case throttle:
		c.tally(func(s *Stats) { s.Throttled++ })
		d.throttled(m.until).write(w)
		return true
	case hang:
		c.tally(func(s *Stats) { s.Broken++ })
		c.sleep(r.Context(), longest)
		drop(w)
		return true
	case reset:
		c.tally(func(s *Stats) { s.Broken++ })
		drop(w)
		return true
	case slow:
		if !c.sleep(r.Context(), m.wait) {
			drop(w)
			return true
		}
		return false
	default:
		return false
	}
	c.tally(func(s *Stats) { s.Refused++ })
	a.write(w)
	return true
}

// cut takes "Kind: words" apart; the kind is a single word, or empty.
func cut(text string) (kind, words string) {
	kind, words, found := strings.Cut(text, ": ")
	if !found || strings.Contains(kind, " ") {
		return "", text
	}
	return kind, words
}

// drop breaks the connection of a request.
func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			abort(conn)
			return
		}
	}
	panic(http.ErrAbortHandler)
}

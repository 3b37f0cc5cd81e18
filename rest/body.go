package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// How long a client may take to send a request.
const bodyTimeout = time.Minute

// takeBody reads the request to its end, so that an operation begins with all of it
// there and what goes wrong on the way has one answer. Then the deadline is taken
// off: net/http cancels a request that is at work when it passes. It stays when the
// body did not come, since net/http goes on to read the rest of it. The caller calls
// leave when the request is done.
func (d *door) takeBody(w http.ResponseWriter, r *http.Request, pattern string) (leave func(), refusal *huma.ErrorModel) {
	guest := &guest{room: d.room}
	if d.room != nil {
		guest.client = clientOf(r.Context())
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck // a test's writer has none
	limit := d.limit(pattern)
	body, err := io.ReadAll(guest.reader(http.MaxBytesReader(w, r.Body, limit)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errNoRoom):
		w.Header().Set("Retry-After", "1")
		return guest.leave, problem(http.StatusServiceUnavailable, "busy", "too many large requests at once, try again later")
	case errors.As(err, &tooLarge):
		return guest.leave, problem(http.StatusRequestEntityTooLarge, "request-too-large", fmt.Sprintf("a request is at most %d octets", limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return guest.leave, problem(http.StatusRequestTimeout, "request-timeout", fmt.Sprintf("the request did not come within %s", bodyTimeout))
	case err != nil:
		return guest.leave, problem(http.StatusBadRequest, "malformed-request", "the request broke off")
	}
	control.SetReadDeadline(time.Time{}) //nolint:errcheck
	r.Body = io.NopCloser(bytes.NewReader(body))
	return guest.leave, nil
}

var errNoRoom = errors.New("rest: no room for the request")

// A guest is one request in a room, perhaps none.
type guest struct {
	room   *room
	client client
	taken  int64
	body   io.Reader
}

func (g *guest) reader(body io.Reader) io.Reader {
	if g.room == nil {
		return body
	}
	g.body = body
	return g
}

// Read reads the body as long as there is room for it.
func (g *guest) Read(p []byte) (int, error) {
	n, err := g.body.Read(p)
	if n == 0 {
		return 0, err
	}
	if !g.room.take(g.client, int64(n), 1) {
		return 0, errNoRoom
	}
	g.taken += int64(n)
	return n, err
}

// leave gives back what the request took.
func (g *guest) leave() {
	if g.taken > 0 {
		g.room.leave(g.client, g.taken)
		g.taken = 0
	}
}

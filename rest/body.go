package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
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

// A room bounds what requests together hold in memory, in all and of each client, so
// that many large ones that come slowly cannot fill it, nor can one client.
type room struct {
	most, mostEach int64 // octets

	mu    sync.Mutex
	taken int64
	each  map[client]int64
}

func newRoom(most, mostEach int64) *room {
	return &room{most: most, mostEach: mostEach, each: make(map[client]int64)}
}

var errNoRoom = errors.New("rest: no room for the request")

// take takes so many octets if they are free.
func (r *room) take(c client, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken+n > r.most || c.limited() && r.each[c]+n > r.mostEach {
		return false
	}
	r.taken += n
	r.each[c] += n
	return true
}

func (r *room) leave(c client, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if r.each[c] -= n; r.each[c] == 0 {
		delete(r.each, c)
	}
}

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
	if !g.room.take(g.client, int64(n)) {
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

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
// body did not come, since net/http goes on to read the rest of it.
func (d *door) takeBody(w http.ResponseWriter, r *http.Request, pattern string) *huma.ErrorModel {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck // a test's writer has none
	limit := d.limit(pattern)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, "request-too-large", fmt.Sprintf("a request is at most %d octets", limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, "request-timeout", fmt.Sprintf("the request did not come within %s", bodyTimeout))
	case err != nil:
		return problem(http.StatusBadRequest, "malformed-request", "the request broke off")
	}
	control.SetReadDeadline(time.Time{}) //nolint:errcheck
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

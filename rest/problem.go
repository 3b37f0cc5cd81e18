package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"restante/auth"
	"restante/mailbox"
)

const problemType = "application/problem+json" // RFC 9457, section 3

// problem is a problem document of our own kind. The detail is for the person
// at the other end.
func problem(status int, kind, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{
		Type:   "urn:problem:" + kind,
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
	}
}

// problemOf is the one place where an error becomes something a client reads.
// What is our fault is logged, under the id that stands in the document; text of
// a store or driver does not leave the log.
func problemOf(ctx context.Context, log *slog.Logger, err error) error {
	var ready huma.StatusError
	switch {
	case errors.As(err, &ready):
		return err
	case errors.Is(err, mailbox.ErrAddress):
		return problem(http.StatusUnprocessableEntity, "malformed-address", err.Error())
	case errors.Is(err, errLine):
		return problem(http.StatusUnprocessableEntity, "malformed-line", err.Error())
	case errors.Is(err, mailbox.ErrNotLocal):
		return problem(http.StatusUnprocessableEntity, "domain-not-local", "the domain of the address is not served here")
	case errors.Is(err, auth.ErrPassword):
		return problem(http.StatusUnprocessableEntity, "unusable-password", err.Error())
	case errors.Is(err, auth.ErrHash):
		return problem(http.StatusUnprocessableEntity, "unusable-hash", err.Error())
	case errors.Is(err, mailbox.ErrNotFound):
		return problem(http.StatusNotFound, "address-not-found", "there is no such address")
	case errors.Is(err, mailbox.ErrExists):
		return problem(http.StatusConflict, "address-exists", "the address exists")
	}
	id := requestID(ctx)
	log.Error("request failed", "session", id, "err", err)
	switch {
	case errors.Is(err, mailbox.ErrTooFar):
		return problem(http.StatusUnprocessableEntity, "alias-too-far", "the address is an alias that leads to too many ("+id+")")
	case errors.Is(err, mailbox.ErrFull):
		return problem(http.StatusInsufficientStorage, "storage-full", "storage is full ("+id+")")
	case errors.Is(err, mailbox.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p := problem(http.StatusServiceUnavailable, "storage-unavailable", "storage does not answer, try again later ("+id+")")
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"5"}})
	}
	return problem(http.StatusInternalServerError, "internal-error", "internal error ("+id+")")
}

// refusalOf is problemOf for an answer that no operation gives: it sets the fields of the
// header.
func refusalOf(ctx context.Context, w http.ResponseWriter, log *slog.Logger, err error) *huma.ErrorModel {
	err = problemOf(ctx, log, err)
	var more huma.HeadersError
	if errors.As(err, &more) {
		for name, values := range more.GetHeaders() {
			w.Header()[name] = values
		}
	}
	var p *huma.ErrorModel
	if !errors.As(err, &p) {
		p = problem(http.StatusInternalServerError, "internal-error", "internal error ("+requestID(ctx)+")")
	}
	return p
}

// withoutValues keeps what a client sent out of the answer: the framework would
// repeat it, and it may be a password.
func withoutValues(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok {
		for _, e := range p.Errors {
			e.Value = nil
		}
	}
	return v, nil
}

// writeProblem answers a request that no operation sees.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("rest: marshal a problem: %v", err)) // strings and numbers only
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n')) //nolint:errcheck // the client is gone
}

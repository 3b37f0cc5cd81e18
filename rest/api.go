package rest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// An api is where the operations of a listener are registered.
type api struct {
	huma.API
	log    *slog.Logger
	errors []int // that every operation may answer
}

// apiConfig is what the descriptions of the listeners have in common.
func apiConfig(title, version string) huma.Config {
	c := huma.DefaultConfig(title, version)
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil // served here, or not at all
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{withoutValues}
	return c
}

// describe answers with the description (OpenAPI 3.1).
func (a *api) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	json.NewEncoder(w).Encode(a.OpenAPI()) //nolint:errcheck // the client is gone
}

// register adds an operation whose errors go through problemOf and whose context
// ends after the timeout.
func register[I, O any](a *api, op huma.Operation, timeout time.Duration, run func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // the door has read it
	op.Errors = append(op.Errors, a.errors...)
	huma.Register(a.API, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := run(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, a.log, err)
		}
		return out, nil
	})
}

// stream is register for an operation whose answer is sent bit by bit. What begin
// returns writes it; when that fails the connection is cut, so that nobody takes the
// answer for a whole one. Body is a value of what is sent, for the description.
func stream[I any](a *api, op huma.Operation, timeout time.Duration, contentType string, body any,
	begin func(context.Context, *I) (func(io.Writer) error, error),
) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "OK",
		Content: map[string]*huma.MediaType{contentType: {
			Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(body), true, ""),
		}},
	}}
	send(a, op, timeout, func(ctx context.Context, in *I) (answer, error) {
		write, err := begin(ctx, in)
		return answer{header: http.Header{"Content-Type": {contentType}}, write: write}, err
	})
}

// An answer is what an operation sends that does not go out as one value.
type answer struct {
	status int // 0: 200
	header http.Header
	write  func(io.Writer) error // nil: there is no body
	end    func()                // called when the answer is out; may be nil
}

// send is stream for an answer of any kind.
func send[I any](a *api, op huma.Operation, timeout time.Duration, begin func(context.Context, *I) (answer, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	op.Errors = append(op.Errors, a.errors...)
	huma.Register(a.API, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		out, err := begin(ctx, in)
		if err != nil {
			cancel()
			return nil, problemOf(ctx, a.log, err)
		}
		return &huma.StreamResponse{Body: func(to huma.Context) {
			defer cancel()
			if out.end != nil {
				defer out.end()
			}
			for name, values := range out.header {
				for i, v := range values {
					if i == 0 && name != "Vary" {
						to.SetHeader(name, v) // in the place of one of the door
					} else {
						to.AppendHeader(name, v)
					}
				}
			}
			if out.status != 0 {
				to.SetStatus(out.status)
			}
			if out.write == nil {
				return
			}
			if err := out.write(to.BodyWriter()); err != nil {
				a.log.Error("answer cut", "session", requestID(ctx), "err", err)
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
}

package rest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"restante/auth"
	"restante/mailbox"
)

// AdminOptions configures [Admin]. What is not said to be optional must be there.
type AdminOptions struct {
	Directory  *mailbox.Directory
	Maildrops  mailbox.Maildrops           // to find the mail of an account that is removed
	Deliveries *mailbox.Deliveries         // to expunge it
	Hasher     *auth.Hasher                // nil means one of its own
	Token      string                      // bearer token; must not be empty
	Gatherer   prometheus.Gatherer         // of /metrics; nil means that it is empty
	Ready      func(context.Context) error // whether the store answers
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil means no metrics
	Version    string                // of the program, for the description
}

// Limits of a request, in octets, and of the time an operation may take.
const (
	maxRequest    = 64 << 10
	maxImport     = 8 << 20 // some 100,000 accounts
	shortTimeout  = 30 * time.Second
	longTimeout   = 10 * time.Minute // a maildrop may hold a million messages
	importTimeout = time.Hour
)

type admin struct {
	AdminOptions
	ready readiness
}

// Admin is the interface of operators. Everything needs the token as a bearer
// token (RFC 6750), except /healthz and /readyz. It panics where the token is
// empty, since that would let everybody in.
//
// The handler bounds what it reads and the time of each write; the http.Server
// around it has to bound the time of a request's header.
func Admin(o AdminOptions) http.Handler {
	if o.Token == "" {
		panic("rest: the admin interface has no token")
	}
	if o.Hasher == nil {
		o.Hasher = auth.NewHasher(auth.HasherOptions{})
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.Gatherers{}
	}
	a := &admin{AdminOptions: o, ready: readiness{ask: o.Ready, log: o.Log}}

	mux := http.NewServeMux()
	api := humago.New(mux, describe(o.Version))
	a.listing(api)
	a.accounts(api)
	a.aliases(api)
	a.imports(api)
	a.health(api)
	metrics := promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(o.Log.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError,
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		json.NewEncoder(w).Encode(api.OpenAPI()) //nolint:errcheck // the client is gone
	})
	return &door{
		mux:   mux,
		token: sha256.Sum256([]byte(o.Token)),
		open:  []string{"/healthz", "/readyz"},
		log:   o.Log,
		count: counter(o.Registerer),
		limit: func(pattern string) int64 {
			if pattern == "POST /accounts/import" {
				return maxImport
			}
			return maxRequest
		},
	}
}

// describe is what the description says apart from the operations.
func describe(version string) huma.Config {
	c := huma.DefaultConfig("Restante administration", version)
	c.Info.Description = "Accounts and aliases of a Restante server, for its operators."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "The admin token; the server keeps it in the file admin-token of its data directory."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil // served here, or not at all
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{withoutValues}
	return c
}

// register adds an operation whose errors go through problemOf and whose context
// ends after the timeout.
func register[I, O any](a *admin, api huma.API, op huma.Operation, timeout time.Duration, run func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // the door has read it
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusServiceUnavailable)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := run(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, a.Log, err)
		}
		return out, nil
	})
}

// stream is register for an operation whose answer is sent bit by bit. What begin
// returns writes it; when that fails the connection is cut, so that nobody takes the
// answer for a whole one. Body is a value of what is sent, for the description.
func stream[I any](a *admin, api huma.API, op huma.Operation, timeout time.Duration, contentType string, body any,
	begin func(context.Context, *I) (func(io.Writer) error, error),
) {
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusServiceUnavailable)
	op.Responses = map[string]*huma.Response{"200": {
		Description: "OK",
		Content: map[string]*huma.MediaType{contentType: {
			Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(body), true, ""),
		}},
	}}
	huma.Register(api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		send, err := begin(ctx, in)
		if err != nil {
			cancel()
			return nil, problemOf(ctx, a.Log, err)
		}
		return &huma.StreamResponse{Body: func(answer huma.Context) {
			defer cancel()
			answer.SetHeader("Content-Type", contentType)
			if err := send(answer.BodyWriter()); err != nil {
				a.Log.Error("answer cut", "session", requestID(ctx), "err", err)
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
}

// changed tells the log what was changed at whose request.
func (a *admin) changed(ctx context.Context, what string, address mailbox.Address) {
	a.Log.Info("changed", "what", what, "session", requestID(ctx), "address", address.String())
}

package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
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
	Relay      *RelayOptions         // nil: no mail leaves, and there is nothing to steer

	// Pages are documents by their paths, which everybody may read without the token.
	// They have to hold nothing of the server: what they show, their scripts ask for.
	Pages map[string]http.Handler
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
	wrong *rates // tokens of services that are, by network
}

// Admin is the interface of operators. Everything needs the token as a bearer
// token (RFC 6750), except /healthz, /readyz, the pages, and what services that mail
// leaves through do with tokens of their own. It panics where the token is empty, since
// that would let everybody in.
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
	a := &admin{AdminOptions: o, ready: readiness{ask: o.Ready, log: o.Log}, wrong: newRates(wrongTokens)}

	mux := http.NewServeMux()
	api := &api{API: humago.New(mux, describe(o.Version)), log: o.Log, errors: []int{http.StatusUnauthorized, http.StatusServiceUnavailable}}
	a.listing(api)
	a.accounts(api)
	a.aliases(api)
	a.imports(api)
	var agents map[string]bool
	if o.Relay != nil {
		a.relay(api)
		agents = agentsMay
	}
	health(api, &a.ready)
	metrics := promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(o.Log.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError,
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /openapi.json", api.describe)
	open := []string{"/healthz", "/readyz"}
	for path, page := range o.Pages {
		mux.Handle("GET "+path, page)
		open = append(open, path)
	}
	return &door{
		mux:   mux,
		guard: a.guard(mux, agents, open),
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
	c := apiConfig("Restante administration", version)
	c.Info.Description = "Accounts and aliases of a Restante server, and how mail leaves it, for its operators."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "The admin token; the server keeps it in the file admin-token of its data directory."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

// changed tells the log what was changed at whose request.
func (a *admin) changed(ctx context.Context, what string, address mailbox.Address) {
	a.Log.Info("changed", "what", what, "session", requestID(ctx), "address", address.String())
}

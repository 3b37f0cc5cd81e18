package rest

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"restante/temporary"
	"restante/textman"
)

// PublicOptions configures [Public]. What is not said to be optional must be there.
type PublicOptions struct {
	Mailboxes  *temporary.Mailboxes
	Chat       *textman.Service            // nil: there are no texts
	Page       http.Handler                // what people see: GET and HEAD of all that is not the interface; nil: nothing
	Autoconfig http.Handler                // settings for mail programs; nil: none
	Ready      func(context.Context) error // whether the store answers

	Submissions *SubmissionOptions // how users send mail; nil: they do not

	MaxMessage   int64             // octets of a message that is posted; 0: 1 MiB
	MaxShown     int               // the most messages a mailbox shows; 0: 200
	MaxStreams   int               // clients that wait for mail at once; 0: 1000
	MaxPerClient int               // of those, of one client; 0: 50
	CreateRate   int               // mailboxes that one client may make a minute; 0: 60
	Origins      []string          // whose pages may use the interface (CORS); "*": everybody's
	Keys         map[string]string // API keys by the names of their holders

	// Stopping is closed when the server is about to stop, and ends what waits for
	// mail; nil: only the clients do.
	Stopping <-chan struct{}

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil means no metrics
	Version    string                // of the program, for the description
}

// Limits of the public interface.
const (
	defaultMaxMessage   = 1 << 20
	defaultMaxShown     = 200
	defaultMaxStreams   = 1000
	defaultMaxPerClient = 50
	defaultCreateRate   = 60
	postFactor          = 10       // how many messages a client may post for each mailbox it may make
	keyFactor           = 100      // how many times as much the holder of an API key may do
	maxBodies           = 64 << 20 // octets of requests that are held at once
)

// MaxBody is how many octets of requests are held at once for a client, and so the
// most that MaxMessage may be.
const MaxBody = maxBodies / 4

// public is the interface for everybody.
type public struct {
	PublicOptions
	api       *api
	creations *rates
	posts     *rates
	streams   *slots
	keys      keyring
	summaries *summaries
	reading   *turns
	repeats   *repeats
}

// Public is the interface of temporary mailboxes, for everybody: nobody needs an
// account, and who knows the address of a mailbox may read it. Those who have an account
// may send mail too. Every path is there also under /v1.
//
// The handler bounds what it reads and the time of each write; the http.Server
// around it has to bound the time of a request's header, and the connections.
func Public(o PublicOptions) http.Handler {
	o.MaxMessage = cmp.Or(o.MaxMessage, defaultMaxMessage)
	o.MaxShown = cmp.Or(o.MaxShown, defaultMaxShown)
	o.MaxStreams = cmp.Or(o.MaxStreams, defaultMaxStreams)
	o.MaxPerClient = cmp.Or(o.MaxPerClient, defaultMaxPerClient)
	o.CreateRate = cmp.Or(o.CreateRate, defaultCreateRate)

	mux := http.NewServeMux()
	p := &public{
		PublicOptions: o,
		api: &api{
			API: humago.New(mux, describePublic(o.Version)),
			log: o.Log,
			errors: []int{
				http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable,
			},
		},
		creations: newRates(o.CreateRate),
		posts:     newRates(o.CreateRate * postFactor),
		streams:   newSlots(o.MaxStreams, o.MaxPerClient),
		keys:      newKeyring(o.Keys),
		summaries: newSummaries(),
		reading:   newTurns(),
		repeats:   newRepeats(),
	}
	p.mailboxes()
	p.listings()
	p.messages()
	p.raw()
	p.events()
	if o.Chat != nil {
		p.chat(mux)
	}
	if o.Submissions != nil {
		p.Submissions = o.Submissions.withDefaults()
		p.submissions()
	}
	health(p.api, &readiness{ask: o.Ready, log: o.Log})
	mux.HandleFunc("GET /openapi.json", p.api.describe)
	if o.Autoconfig != nil {
		mux.Handle("GET /.well-known/autoconfig/mail/config-v1.1.xml", o.Autoconfig)
		mux.Handle("GET /mail/config-v1.1.xml", o.Autoconfig)
	}
	return versioned(&door{
		mux:    mux,
		guard:  p.guard,
		log:    o.Log,
		count:  publicCounter(o.Registerer, p.streams),
		limit:  p.limit,
		room:   newRoom(maxBodies, MaxBody),
		astray: p.astray,
	})
}

// describePublic is what the description says apart from the operations.
func describePublic(version string) huma.Config {
	c := apiConfig("Restante", version)
	c.Info.Description = "Temporary mailboxes: make one, let mail come to it by SMTP or by this interface, and read it here or by POP3. " +
		"Who knows the address of a mailbox may read it, and the random ones cannot be guessed; nothing lists mailboxes. " +
		"Errors are problem documents (RFC 9457). " +
		"A request under a path that there is is also answered to HEAD and OPTIONS."
	c.Servers = []*huma.Server{{URL: "/"}, {URL: "/v1", Description: "the same"}}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "An API key raises the limits of its holder. Nothing needs one."},
		"key":    {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "The same, for clients that cannot set Authorization."},
	}
	c.Security = []map[string][]string{{}, {"bearer": {}}, {"key": {}}}
	c.Transformers = append(c.Transformers, withType)
	return c
}

// limit is how many octets a request may have.
func (p *public) limit(pattern string) int64 {
	switch pattern {
	case "POST " + messagesPath:
		return p.MaxMessage
	case "POST " + chatPath:
		return maxChat
	case "POST " + submissionsPath:
		return p.Submissions.MaxMessage
	}
	return maxRequest
}

// roots are what the paths of the interface begin with.
var roots = []string{"/mailboxes", "/chat", submissionsPath, "/openapi.json", "/healthz", "/readyz"}

// isInterface reports whether a path is one of the interface, rather than of the page.
func isInterface(path string) bool {
	for _, root := range roots {
		if rest, ok := strings.CutPrefix(path, root); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return path == "/v1" || strings.HasPrefix(path, "/v1/")
}

// versioned serves the interface also under /v1. Links in answers keep to what the
// request had.
func versioned(next http.Handler) http.Handler {
	const prefix = "/v1"
	stripped := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, prefix)
		if !ok || !isInterface(rest) {
			next.ServeHTTP(w, r)
			return
		}
		stripped.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), prefixKey{}, prefix)))
	})
}

type prefixKey struct{}

// prefixOf is what the paths of links begin with.
func prefixOf(ctx context.Context) string {
	prefix, _ := ctx.Value(prefixKey{}).(string)
	return prefix
}

// astray answers what no operation is for: OPTIONS, and what belongs to the page.
func (p *public) astray(w http.ResponseWriter, r *http.Request, allow string) (route string, done bool) {
	page := p.Page != nil && allow == "" && !isInterface(r.URL.Path)
	if page {
		allow = "GET, HEAD"
	}
	switch {
	case r.Method == http.MethodOptions && allow != "":
		preflight(w, r, allow)
		return "OPTIONS", true
	case page && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		p.Page.ServeHTTP(w, r)
		return "page", true
	case page:
		notAllowed(w, allow)
		return "page", true
	}
	return "", false
}

// withType gives a type to the problems that the framework finds.
func withType(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok && p.Type == "" {
		p.Type = "urn:problem:" + map[int]string{
			http.StatusBadRequest:           "malformed-request",
			http.StatusNotAcceptable:        "not-acceptable",
			http.StatusUnsupportedMediaType: "unsupported-media-type",
			http.StatusUnprocessableEntity:  "invalid-request",
		}[p.Status]
		if p.Type == "urn:problem:" {
			p.Type += "internal-error"
		}
	}
	return v, nil
}

// schema is the description of a value in JSON.
func (p *public) schema(v any) *huma.Schema {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return p.api.OpenAPI().Components.Schemas.Schema(t, true, "")
}

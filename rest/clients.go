package rest

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"restante/auth"
	"restante/internal/network"
)

// A client is who limits count: the holder of an API key, or a network.
type client struct {
	holder  string       // of the key; empty: none was shown
	network netip.Prefix // not valid where the client is not limited
}

func (c client) limited() bool { return c.holder != "" || c.network.IsValid() }

// share is how many times as much as others the client may do.
func (c client) share() int {
	if c.holder != "" {
		return keyFactor
	}
	return 1
}

// A visit is what is known of a request.
type visit struct {
	client  client
	remote  netip.Addr // not valid where it is not known
	method  string
	waited  time.Duration  // for mail
	account *auth.Identity // who submits a message
}

type visitKey struct{}

// visitOf is the visit of the request of a context.
func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// clientOf is who sent the request of a context.
func clientOf(ctx context.Context) client { return visitOf(ctx).client }

// guard finds out who asks. A key that is shown must be known: a holder would rather
// hear of a wrong one than wonder about the limits.
func (p *public) guard(w http.ResponseWriter, r *http.Request) (*http.Request, *huma.ErrorModel) {
	p.allowOrigin(w, r)
	var c client
	key, shown := bearer(r)
	if other := r.Header.Get("X-API-Key"); other != "" {
		key, shown = other, true
	}
	switch holder, known := p.keys.holder(key); {
	case shown && known:
		c.holder = holder
	case shown:
		w.Header().Set("WWW-Authenticate", `Bearer realm="restante"`) // RFC 6750, section 3
		return r, problem(http.StatusUnauthorized, "key-unknown", "there is no such API key")
	default:
		c = clientAt(r)
	}
	v := &visit{client: c, method: r.Method}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.remote = from.Addr().Unmap()
	}
	if p.Submissions != nil && r.Method == http.MethodPost && r.URL.Path == submissionsPath {
		var refusal *huma.ErrorModel
		if v.account, refusal = p.authenticate(w, r, v.remote); refusal != nil {
			return r, refusal
		}
	}
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v)), nil
}

// clientAt is the network that a request comes from. Loopback is not limited.
func clientAt(r *http.Request) (c client) {
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && !from.Addr().Unmap().IsLoopback() {
		c.network = network.Subscriber(from.Addr())
	}
	return c
}

// A keyring knows API keys by their digests.
type keyring map[string]secretDigest

func newKeyring(keys map[string]string) keyring {
	k := make(keyring, len(keys))
	for holder, key := range keys {
		k[holder] = digest(key)
	}
	return k
}

// holder is whose key it is. Every key is looked at, whichever it is.
func (k keyring) holder(key string) (name string, known bool) {
	for holder, want := range k {
		if want.of(key) {
			name, known = holder, true
		}
	}
	return name, known
}

// rates bound how often each client may do something. What a client may do in a
// minute it may also do at once.
type rates struct {
	perMinute int

	mu sync.Mutex
	// Clients are forgotten by generations: who is in neither has not been there for
	// a while, or there were so many that somebody had to be.
	young, old map[client]*rate.Limiter
	born       time.Time
}

// How many clients a generation has, and for how long it is the young one. A client
// that was forgotten has its whole minute again, so that must not be less.
const (
	rateClients  = 50_000
	rateInterval = time.Minute
)

func newRates(perMinute int) *rates {
	return &rates{perMinute: perMinute, young: make(map[client]*rate.Limiter), born: time.Now()}
}

// take uses one of what the client may do. It returns how long to wait, or 0.
func (r *rates) take(c client) (wait time.Duration) {
	if !c.limited() {
		return 0
	}
	reservation := r.of(c).Reserve()
	if wait = reservation.Delay(); wait > 0 {
		reservation.Cancel()
	}
	return wait
}

// wait is how long a client has to wait until it may do it again, or 0. It uses nothing.
func (r *rates) wait(c client) time.Duration {
	if !c.limited() {
		return 0
	}
	limiter := r.of(c)
	if tokens := limiter.Tokens(); tokens < 1 {
		return time.Duration((1 - tokens) / float64(limiter.Limit()) * float64(time.Second))
	}
	return 0
}

func (r *rates) of(c client) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= rateClients || time.Since(r.born) > rateInterval {
		r.young, r.old, r.born = make(map[client]*rate.Limiter), r.young, time.Now()
	}
	limiter := r.young[c]
	if limiter == nil {
		if limiter = r.old[c]; limiter == nil {
			most := r.perMinute * c.share()
			limiter = rate.NewLimiter(rate.Limit(float64(most)/60), most)
		}
		r.young[c] = limiter
	}
	return limiter
}

// tooMany is the answer to a client that has to wait.
func tooMany(kind, detail string, wait time.Duration) error {
	return huma.ErrorWithHeaders(problem(http.StatusTooManyRequests, kind, detail), http.Header{"Retry-After": {retryAfter(wait)}})
}

package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// adminRealm is what those are told who have no token (RFC 6750, section 3).
const adminRealm = `Bearer realm="restante admin"`

// A caller is who asks something of the admin interface.
type caller struct {
	token string
	admin bool
	from  client
}

type callerKey struct{}

// callerOf is who sent the request of a context.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard lets in who has the token, and everybody under the open paths. Operations of
// agents look at tokens themselves, so they let in who has any. A network from which too
// many wrong ones came is let in with the right one only.
func (a *admin) guard(mux *http.ServeMux, agents map[string]bool, open []string) guard {
	want := digest(a.Token)
	return func(w http.ResponseWriter, r *http.Request) (*http.Request, *huma.ErrorModel) {
		if slices.Contains(open, r.URL.Path) {
			return r, nil
		}
		given, ok := bearer(r)
		shown := ok && given != ""
		who := caller{token: given, admin: ok && want.of(given), from: clientAt(r)}
		if !who.admin {
			if wait := a.wrong.wait(who.from); shown && wait > 0 {
				w.Header().Set("Retry-After", retryAfter(wait))
				return r, problem(http.StatusTooManyRequests, "too-many-tokens", "too many wrong tokens came from there, try again later")
			}
			_, pattern := mux.Handler(r)
			if !shown || !agents[pattern] || !isClean(r.URL.EscapedPath()) {
				if shown {
					a.wrong.take(who.from)
				}
				w.Header().Set("WWW-Authenticate", adminRealm)
				return r, problem(http.StatusUnauthorized, "token-required", "the admin token is missing or wrong")
			}
		}
		return r.WithContext(context.WithValue(r.Context(), callerKey{}, who)), nil
	}
}

// bearer is the token that a request bears (RFC 6750, section 2.1).
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// A secretDigest stands for a secret, so that the time of a comparison says nothing
// about the secret or its length.
type secretDigest [sha256.Size]byte

func digest(secret string) secretDigest { return sha256.Sum256([]byte(secret)) }

// of reports whether it is the digest of what was given.
func (d secretDigest) of(given string) bool {
	other := digest(given)
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1
}

package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// tokenGuard lets in who has the token, and everybody under the open paths.
func tokenGuard(token string, open ...string) guard {
	want := digest(token)
	return func(w http.ResponseWriter, r *http.Request) (*http.Request, *huma.ErrorModel) {
		if slices.Contains(open, r.URL.Path) {
			return r, nil
		}
		if given, ok := bearer(r); !ok || !want.of(given) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="restante admin"`) // RFC 6750, section 3
			return r, problem(http.StatusUnauthorized, "token-required", "the admin token is missing or wrong")
		}
		return r, nil
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

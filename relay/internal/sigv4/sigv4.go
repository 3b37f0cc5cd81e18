// Package sigv4 signs HTTP requests for Amazon's services (Signature Version 4), and
// derives the passwords of their SMTP interface. It knows as much as the mail service
// asks for: paths without escapes, and a body whose hash is known beforehand.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Credentials are of an account, for one service in one region.
type Credentials struct {
	KeyID, Secret   string
	Region, Service string
}

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	date      = "20060102"
	dateField = "X-Amz-Date"
	request   = "aws4_request"
)

// Skew is how far the clocks of both sides may be apart.
const Skew = 15 * time.Minute

// Errors of Verify.
var (
	ErrMissing   = errors.New("sigv4: no signature")
	ErrKey       = errors.New("sigv4: unknown key or wrong scope")
	ErrExpired   = errors.New("sigv4: too old, or from the future")
	ErrSignature = errors.New("sigv4: the signature does not match")
)

// Sign adds X-Amz-Date and Authorization to a request with a body of that SHA-256. It
// signs the host, the content type and what begins with X-Amz-.
func Sign(r *http.Request, body [sha256.Size]byte, c Credentials, now time.Time) {
	r.Header.Set(dateField, now.UTC().Format(stamp))
	signed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	at := r.Header.Get(dateField)
	r.Header.Set("Authorization", algorithm+" Credential="+c.KeyID+"/"+c.scope(at)+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+c.signature(r, signed, at, body))
}

// Verify checks what Sign added.
func Verify(r *http.Request, body [sha256.Size]byte, c Credentials, now time.Time) error {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return ErrMissing
	}
	values := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		values[name] = value
	}
	at := r.Header.Get(dateField)
	when, err := time.Parse(stamp, at)
	if err != nil {
		return ErrMissing
	}
	signed := strings.Split(values["SignedHeaders"], ";")
	switch {
	case values["Credential"] != c.KeyID+"/"+c.scope(at):
		return ErrKey
	case now.Sub(when).Abs() > Skew:
		return ErrExpired
	case !slices.Contains(signed, "host") || !slices.Contains(signed, strings.ToLower(dateField)):
		return ErrSignature
	case !hmac.Equal([]byte(values["Signature"]), []byte(c.signature(r, signed, at, body))):
		return ErrSignature
	}
	return nil
}

func (c Credentials) scope(at string) string {
	return strings.Join([]string{at[:len(date)], c.Region, c.Service, request}, "/")
}

func (c Credentials) signature(r *http.Request, signed []string, at string, body [sha256.Size]byte) string {
	var canonical strings.Builder
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	canonical.WriteString(r.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			if value = r.Host; value == "" {
				value = r.URL.Host
			}
		}
		canonical.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	canonical.WriteString("\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(body[:]))

	sum := sha256.Sum256([]byte(canonical.String()))
	text := algorithm + "\n" + at + "\n" + c.scope(at) + "\n" + hex.EncodeToString(sum[:])
	return hex.EncodeToString(chain("AWS4"+c.Secret, at[:len(date)], c.Region, c.Service, request, text))
}

// SMTPPassword is the password for the SMTP interface of the mail service in a region;
// the user name is the id of the key.
func SMTPPassword(secret, region string) string {
	key := chain("AWS4"+secret, "11111111", region, "ses", request, "SendRawEmail")
	return base64.StdEncoding.EncodeToString(append([]byte{4}, key...)) // 4 is the version
}

// chain signs one text after the other, each with what came of the one before.
func chain(secret string, texts ...string) []byte {
	key := []byte(secret)
	for _, text := range texts {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		key = mac.Sum(nil)
	}
	return key
}

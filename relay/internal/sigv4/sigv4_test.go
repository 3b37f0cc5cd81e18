package sigv4

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// example is the account of the published test suite.
var example = Credentials{
	KeyID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	Region: "us-east-1", Service: "service",
}

var then = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

func newRequest(t *testing.T, method, url, contentType, body string) (*http.Request, [sha256.Size]byte) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r, sha256.Sum256([]byte(body))
}

func TestSignaturesAreThePublishedOnes(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	iam := example
	iam.Service = "iam"
	for _, c := range []struct {
		name, method, url, contentType, body string
		credentials                          Credentials
		want                                 string
	}{
		{"get-vanilla", "GET", "https://example.amazonaws.com/", "", "", example, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "", "", example, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-vanilla", "POST", "https://example.amazonaws.com/", "", "", example, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST", "https://example.amazonaws.com/", form, "Param1=value1", example, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"the walk-through of the manual", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", form + "; charset=utf-8", "", iam, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		r, body := newRequest(t, c.method, c.url, c.contentType, c.body)
		Sign(r, body, c.credentials, then)
		got := r.Header.Get("Authorization")
		if !strings.HasSuffix(got, ", Signature="+c.want) {
			t.Errorf("%s: %s, want the signature %s", c.name, got, c.want)
		}
		if err := Verify(r, body, c.credentials, then.Add(Skew)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestVerifyRefusesWhatWasNotSignedLikeThat(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *http.Request, body *[sha256.Size]byte, who *Credentials, now *time.Time)
		want   error
	}{
		{"no signature", func(r *http.Request, _ *[sha256.Size]byte, _ *Credentials, _ *time.Time) {
			r.Header.Del("Authorization")
		}, ErrMissing},
		{"no date", func(r *http.Request, _ *[sha256.Size]byte, _ *Credentials, _ *time.Time) { r.Header.Del(dateField) }, ErrMissing},
		{"another body", func(_ *http.Request, b *[sha256.Size]byte, _ *Credentials, _ *time.Time) { b[0]++ }, ErrSignature},
		{"another path", func(r *http.Request, _ *[sha256.Size]byte, _ *Credentials, _ *time.Time) { r.URL.Path = "/other" }, ErrSignature},
		{"another host", func(r *http.Request, _ *[sha256.Size]byte, _ *Credentials, _ *time.Time) { r.Host = "example.org" }, ErrSignature},
		{"another secret", func(_ *http.Request, _ *[sha256.Size]byte, c *Credentials, _ *time.Time) { c.Secret = "x" }, ErrSignature},
		{"another region", func(_ *http.Request, _ *[sha256.Size]byte, c *Credentials, _ *time.Time) { c.Region = "eu-west-1" }, ErrKey},
		{"another key", func(_ *http.Request, _ *[sha256.Size]byte, c *Credentials, _ *time.Time) { c.KeyID = "x" }, ErrKey},
		{"an hour later", func(_ *http.Request, _ *[sha256.Size]byte, _ *Credentials, now *time.Time) { *now = now.Add(time.Hour) }, ErrExpired},
		{"the date is not signed", func(r *http.Request, _ *[sha256.Size]byte, _ *Credentials, _ *time.Time) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";x-amz-date", "", 1))
		}, ErrSignature},
	} {
		r, body := newRequest(t, "POST", "https://example.amazonaws.com/v2", "application/json", "{}")
		who, now := example, then
		Sign(r, body, who, then)
		c.change(r, &body, &who, &now)
		if err := Verify(r, body, who, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestPasswordsOfSMTPAreTheKnownOnes(t *testing.T) {
	for _, c := range []struct{ secret, region, want string }{
		{"some+secret+key", "eu-central-1", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"},
		{"another+secret+key", "eu-central-1", "BBbphbrQmrKMx42d1N6+C7VINYEBGI5v9VsZeTxwskfh"},
		{"some+secret+key", "us-west-1", "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj"},
	} {
		if got := SMTPPassword(c.secret, c.region); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.secret, c.region, got, c.want)
		}
	}
}

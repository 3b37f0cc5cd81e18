package auth

import (
	"context"
	"testing"

	"restante/mailbox"
)

// directory is one account with a real hash.
type directory struct{ route mailbox.Route }

func (d directory) Lookup(context.Context, mailbox.Address) (mailbox.Route, error) {
	return d.route, nil
}

func (d directory) Recall(mailbox.Address) (mailbox.Route, bool) { return mailbox.Route{}, false }

func benchVerifier(b *testing.B) *Passwords {
	hash, err := Hash("secret")
	if err != nil {
		b.Fatal(err)
	}
	return NewPasswords(Options{
		Directory: directory{mailbox.Route{Kind: mailbox.Account, Secret: hash}},
		Domain:    "example.org",
	})
}

// BenchmarkVerifyRemembered is the login of a client that was here a minute ago.
func BenchmarkVerifyRemembered(b *testing.B) {
	p := benchVerifier(b)
	a := Attempt{User: "fred@example.org", Password: "secret", Remote: home}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyFirst is the login of a client that was not.
func BenchmarkVerifyFirst(b *testing.B) {
	p := benchVerifier(b)
	a := Attempt{User: "fred@example.org", Password: "secret", Remote: home}
	b.ReportAllocs()
	for b.Loop() {
		p.verified = newVerified(cacheSize, 1)
		if _, err := p.Verify(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

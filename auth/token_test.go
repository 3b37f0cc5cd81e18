package auth

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"restante/mailbox"
)

func TestATokenBelongsToItsHashAlone(t *testing.T) {
	token := rand.Text()
	hash, err := HashToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$sha256-token$") || ValidHash(hash) != nil || !LooksLikeHash(hash) {
		t.Errorf("hash %q is no hash: %v", hash, ValidHash(hash))
	}
	if strings.Contains(hash, token) {
		t.Error("the token is in its hash")
	}
	if !Check(hash, token) {
		t.Error("the token is refused")
	}
	for _, wrong := range []string{"", token[1:], token + "x", strings.ToLower(token), rand.Text()} {
		if Check(hash, wrong) {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if again, _ := HashToken(token); again == hash {
		t.Error("two hashes of one token are equal: the salt is not fresh")
	}
}

// The hash is that of sha256sum(1).
func TestTheHashOfATokenNeverChanges(t *testing.T) {
	const token = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const hash = "$sha256-token$c2FsdHNhbHQ$N5JYv3mKrftwSLWlZ5/V1x7j7trxtDAPUxL+b09I6vE"
	if !Check(hash, token) || Check(hash, token[1:]) {
		t.Errorf("%s is not the hash of %s", hash, token)
	}
}

func TestAPasswordThatSomebodyMayHaveChosenIsNoToken(t *testing.T) {
	for _, password := range []string{"", "secret", "correct horse battery staple", strings.Repeat("x", 21), strings.Repeat("x", 513), strings.Repeat("x", 30) + "\n", strings.Repeat("é", 22)} {
		if hash, err := HashToken(password); !errors.Is(err, ErrPassword) || hash != "" {
			t.Errorf("%q: %q, %v; want ErrPassword", password, hash, err)
		}
	}
	// Not even where its hash came in by another way.
	weak := tokenSecret{salt: make([]byte, minSalt)}
	weak.key = weak.derive([]byte("secret"))
	if Check(weak.String(), "secret") {
		t.Error("a short password is accepted as a token")
	}
}

func TestAHashOfATokenThatIsNoneIsRefused(t *testing.T) {
	const salt, key = "c2FsdHNhbHQ", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
	if err := ValidHash(tokenPrefix + salt + "$" + key); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		tokenPrefix, tokenPrefix + "$", tokenPrefix + salt, tokenPrefix + salt + "$", tokenPrefix + "$" + key,
		tokenPrefix + salt[1:] + "$" + key, tokenPrefix + salt + "$" + key[2:], tokenPrefix + salt + "$" + key + "BB",
		tokenPrefix + salt + "$" + key + "$", tokenPrefix + salt + "$" + key[1:] + "B", tokenPrefix + salt + "=$" + key,
		"$sha256-tokens$" + salt + "$" + key, tokenPrefix + strings.Repeat("c2Fs", 22) + "$" + key,
	} {
		if err := ValidHash(s); !errors.Is(err, ErrHash) {
			t.Errorf("%s: %v; want ErrHash", s, err)
		}
	}
}

func TestATemporaryAddressIsOpenedByItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := rand.Text()
		hash, err := HashToken(token)
		if err != nil {
			t.Fatal(err)
		}
		p := NewPasswords(Options{Directory: directory{mailbox.Route{Kind: mailbox.Temporary, Secret: hash}}, Domain: "example.org"})
		a := Attempt{User: "x@temp.example.org", Password: token, Remote: home}
		if _, err := p.Verify(t.Context(), a); err != nil {
			t.Error(err)
		}
		a.Password = rand.Text()
		if _, err := p.Verify(t.Context(), a); !errors.Is(err, ErrCredentials) {
			t.Errorf("with another token: %v; want ErrCredentials", err)
		}
	})
}

func BenchmarkHashToken(b *testing.B) {
	token := rand.Text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := HashToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

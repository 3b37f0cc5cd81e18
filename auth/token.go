package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
)

// A token is a password that a program made up, of 128 random bits or more. There is
// nothing to guess at, so its hash need not be slow: what makes a stolen hash useless
// is the number of tokens, not the time for each.

// minToken is how many characters 128 random bits take at least: base64 has six bits
// in one.
const minToken = 22

// HashToken is the hash of a random token in PHC form, which [Check] understands. It
// takes a microsecond. It fails with [ErrPassword] for what is no token but a password
// that somebody may have chosen: too short, or with other characters than letters,
// digits, "-" and "_". It cannot tell whether the token is random.
func HashToken(token string) (string, error) {
	if why := noToken(token); why != "" {
		return "", fmt.Errorf("%w: %s", ErrPassword, why)
	}
	s := tokenSecret{salt: make([]byte, minSalt)}
	rand.Read(s.salt) // never fails
	s.key = s.derive([]byte(token))
	return s.String(), nil
}

// noToken says why the text cannot be a token, or nothing.
func noToken(token string) string {
	switch {
	case len(token) < minToken:
		return fmt.Sprintf("a token has at least %d characters", minToken)
	case len(token) > maxPassword:
		return fmt.Sprintf("longer than %d octets", maxPassword)
	case strings.Trim(token, tokenCharacters) != "":
		return "a token has letters, digits, - and _ only"
	}
	return ""
}

const tokenCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// tokenPrefix begins the hash of a token.
const tokenPrefix = "$sha256-token$"

// A tokenSecret is a salted SHA-256 hash.
type tokenSecret struct{ salt, key []byte }

func (s tokenSecret) matches(password []byte) bool {
	return noToken(string(password)) == "" && subtle.ConstantTimeCompare(s.derive(password), s.key) == 1
}

func (s tokenSecret) derive(token []byte) []byte {
	key := sha256.Sum256(append(append(make([]byte, 0, len(s.salt)+len(token)), s.salt...), token...))
	return key[:]
}

// String is the PHC form: $sha256-token$salt$key.
func (s tokenSecret) String() string {
	return tokenPrefix + phc.EncodeToString(s.salt) + "$" + phc.EncodeToString(s.key)
}

func parseToken(s string) (secret, error) {
	salt, key, _ := strings.Cut(strings.TrimPrefix(s, tokenPrefix), "$")
	var t tokenSecret
	var err error
	if t.salt, err = phc.DecodeString(salt); err != nil || len(t.salt) < minSalt || len(t.salt) > maxSalt {
		return nil, fmt.Errorf("%w: token: salt is not %d…%d octets of base64", ErrHash, minSalt, maxSalt)
	}
	if t.key, err = phc.DecodeString(key); err != nil || len(t.key) != sha256.Size {
		return nil, fmt.Errorf("%w: token: key is not %d octets of base64", ErrHash, sha256.Size)
	}
	return t, nil
}

package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// ErrPassword says that the text cannot be a password.
var ErrPassword = errors.New("unusable password")

// Longest password, in octets.
const maxPassword = 512

// Hash is the argon2id hash of a password in PHC form, with a fresh salt. It
// takes some 7 MiB and tens of milliseconds; [Hasher.Hash] bounds how many run
// at once. It fails with [ErrPassword] where the text is empty, too long, or holds
// characters that no password may (RFC 8265, section 4.2).
func Hash(password string) (string, error) {
	octets, err := prepare(password)
	if err != nil {
		return "", err
	}
	s := argonSecret{argonParams: defaultParams, salt: make([]byte, defaultSalt), key: make([]byte, defaultKey)}
	rand.Read(s.salt) // never fails
	s.key = s.derive(octets)
	return s.String(), nil
}

// Check reports whether a password belongs to a stored hash. A hash that cannot
// be understood belongs to no password, and is found out sooner than a wrong
// password: [Passwords] hides that.
func Check(hash, password string) bool {
	if unusable(password) != "" {
		return false
	}
	s, err := parseSecret(hash)
	return err == nil && s.matches(typed(password))
}

// decoy is a secret that takes as long as any new one and that no password
// matches: its key did not come from a password.
func decoy() string {
	s := argonSecret{argonParams: defaultParams, salt: make([]byte, defaultSalt), key: make([]byte, defaultKey)}
	rand.Read(s.salt)
	rand.Read(s.key)
	return s.String()
}

// prepare brings a new password into the one form in which passwords are
// compared, so that a letter typed on one system as e and a combining accent and
// on another as é is the same: the OpaqueString profile of RFC 8265, section 4.2.
func prepare(password string) ([]byte, error) {
	if why := unusable(password); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrPassword, why)
	}
	octets, err := opaque(password)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	return octets, nil
}

// typed brings what a client sent into the form of prepare. What cannot be brought
// there is compared as it is: an imported hash may be of other octets.
func typed(password string) []byte {
	octets, err := opaque(password)
	if err != nil {
		return []byte(password)
	}
	return octets
}

func opaque(password string) ([]byte, error) {
	if !utf8.ValidString(password) {
		return nil, errors.New("not UTF-8") // the profile would put U+FFFD for it
	}
	octets, err := precis.OpaqueString.Bytes([]byte(password))
	if err != nil {
		return nil, errors.New("contains a control character or one that is not assigned")
	}
	return octets, nil
}

// unusable says why no hash is of this password, or nothing.
func unusable(password string) string {
	switch {
	case password == "":
		return "empty"
	case len(password) > maxPassword:
		return fmt.Sprintf("longer than %d octets", maxPassword)
	case strings.ContainsRune(password, 0):
		return "contains NUL" // RFC 4616, section 2: no SASL client could send it
	}
	return ""
}

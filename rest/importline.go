package rest

import (
	"errors"
	"fmt"
	"strings"

	"restante/auth"
	"restante/mailbox"
)

// The longest line of an import, in octets: an address, a password, and what a
// passwd file has after it.
const maxImportLine = 2048

// errLine is wrapped by what is wrong with a line of an import; the text is
// shown to whoever imports.
var errLine = errors.New("malformed line")

// An importLine is an account to be made.
type importLine struct {
	address mailbox.Address
	credential
}

// parseImportLine reads "address:password" or "address:hash". Blank lines and
// those that begin with # are no account, which ok says. Everything after the
// colon is the password, spaces and colons included; but what looks like a hash
// is one, or an error: a hash that cannot be checked must not become a password.
//
// Lines of passwd files are understood too: a hash may have its scheme in braces
// before it, and fields behind it.
func parseImportLine(s string) (line importLine, ok bool, err error) {
	s = strings.TrimSuffix(s, "\r")
	if text := strings.TrimSpace(s); text == "" || text[0] == '#' {
		return importLine{}, false, nil
	}
	if len(s) > maxImportLine {
		return importLine{}, true, fmt.Errorf("%w: longer than %d octets", errLine, maxImportLine)
	}
	address, secret, err := cutAddress(s)
	if err != nil {
		return importLine{}, true, err
	}
	line.address = address
	if secret == "" {
		return line, true, fmt.Errorf("%w: no password after the colon", errLine)
	}
	if !auth.LooksLikeHash(secret) {
		line.Password = secret
		return line, true, nil
	}
	line.Hash = bareHash(secret)
	return line, true, auth.ValidHash(line.Hash)
}

// cutAddress takes the address off a line. A colon may be part of it, in quotes or
// in a literal, so the first is tried that makes what is before it an address.
func cutAddress(s string) (mailbox.Address, string, error) {
	var first error
	for i := 0; i < len(s) && i <= maxAddress; i++ {
		if s[i] != ':' {
			continue
		}
		address, err := mailbox.ParseAddress(strings.TrimSpace(s[:i]))
		if err == nil {
			return address, s[i+1:], nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("%w: no colon after the address", errLine)
	}
	return mailbox.Address{}, "", first
}

// The longest address, with the quotes and spaces it may be written with.
const maxAddress = 512

// bareHash takes off what passwd files put around a hash.
func bareHash(s string) string {
	s, _, _ = strings.Cut(s, ":") // no hash has one
	for _, scheme := range []string{"{ARGON2ID}", "{BLF-CRYPT}", "{CRYPT}"} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return s[len(scheme):]
		}
	}
	return s
}

package mailbox

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Limits of RFC 5321, section 4.5.3.1, in octets.
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 254 // a path is 256 octets with its angle brackets
)

// An Address is a local-part and a domain in canonical form: lower case, the
// local-part without quotes (RFC 5321, section 4.1.2; RFC 6531, section 3.3).
// Two addresses are the same mailbox when they are equal. A local-part differs
// in more than its letters' case only on paper: no user expects Fred and fred
// to be two people.
//
// An empty Local stands for every address of the domain that has no route of
// its own (a catch-all). The zero Address is the null reverse-path.
type Address struct {
	Local  string
	Domain string
}

// ParseAddress reads a Mailbox as RFC 5321, section 4.1.2, writes it, with the
// UTF-8 of RFC 6531. Quoted local-parts, domain literals and a trailing dot of
// the domain are understood. The error wraps [ErrAddress] and says what is
// wrong.
func ParseAddress(s string) (Address, error) {
	fail := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%w: %s", ErrAddress, why)
	}
	if !utf8.ValidString(s) {
		return fail("not UTF-8")
	}
	local, rest, why := cutLocal(s)
	if why != "" {
		return fail(why)
	}
	domain, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return fail("no @ after the local-part")
	}
	domain, why = canonicalDomain(domain)
	if why != "" {
		return fail(why)
	}
	local = strings.ToLower(local) // which may take more octets
	if len(local) > maxLocal {
		return fail("local-part longer than 64 octets")
	}
	a := Address{Local: local, Domain: domain}
	if len(a.String()) > maxPath {
		return fail("longer than 254 octets")
	}
	return a, nil
}

// ParseRoute reads what an operator may give a route: an address, or
// "@domain" for a catch-all.
func ParseRoute(s string) (Address, error) {
	rest, ok := strings.CutPrefix(s, "@")
	if !ok {
		return ParseAddress(s)
	}
	domain, why := canonicalDomain(rest)
	if why != "" {
		return Address{}, fmt.Errorf("%w: %s", ErrAddress, why)
	}
	return Address{Domain: domain}, nil
}

// cutLocal takes the local-part off s. The reason is empty when it is one.
func cutLocal(s string) (local, rest, why string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, '@')
		if end < 0 {
			end = len(s)
		}
		local = s[:end]
		if why := dotString(local); why != "" {
			return "", "", why
		}
		return local, s[end:], ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if b.Len() == 0 {
				return "", "", "empty local-part"
			}
			return b.String(), s[i+1:], ""
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", "bad quoted pair"
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", "control character in the local-part"
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "quote is not closed"
}

// dotString says why s is not a Dot-string, or nothing.
func dotString(s string) string {
	if s == "" {
		return "empty local-part"
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return "misplaced dot in the local-part"
		}
		for i := range len(atom) {
			if c := atom[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
				return fmt.Sprintf("%q in the local-part", c)
			}
		}
	}
	return ""
}

// canonicalDomain is the lower-case form of a domain or address literal.
func canonicalDomain(s string) (domain, why string) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		tagged := len(inner) >= 5 && strings.EqualFold(inner[:5], "IPv6:")
		if tagged {
			inner = inner[5:]
		}
		ip, err := netip.ParseAddr(inner)
		if !ok || err != nil || ip.Zone() != "" || ip.Is6() != tagged {
			return "", "bad address literal"
		}
		if ip.Is4() {
			return "[" + ip.String() + "]", ""
		}
		return "[ipv6:" + ip.String() + "]", ""
	}
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" {
		return "", "empty domain"
	}
	if len(s) > maxDomain {
		return "", "domain longer than 255 octets"
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return "", "misplaced dot in the domain"
		}
		if len(label) > 63 {
			return "", "label of the domain longer than 63 octets"
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return "", "label of the domain begins or ends with a hyphen"
		}
		for i := range len(label) {
			c := label[i]
			if c < utf8.RuneSelf && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", fmt.Sprintf("%q in the domain", c)
			}
		}
	}
	return s, ""
}

// String is the address as SMTP writes it, with quotes where the local-part
// needs them. ParseAddress reads it back to an equal Address.
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	local := a.Local
	if local != "" && dotString(local) != "" {
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	return local + "@" + a.Domain
}

// IsZero reports whether a is the null reverse-path.
func (a Address) IsZero() bool { return a == Address{} }

// Base is the address without its detail: fred+lists@example.org leads to
// fred@example.org unless it has a route of its own (RFC 5233, section 1).
func (a Address) Base() (Address, bool) {
	user, _, ok := strings.Cut(a.Local, "+")
	if !ok || user == "" {
		return a, false
	}
	return Address{Local: user, Domain: a.Domain}, true
}

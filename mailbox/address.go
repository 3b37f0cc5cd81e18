package mailbox

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321, section 4.5.3.1, in octets.
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 254 // a path is 256 octets with its angle brackets
)

// An Address is a local-part and a domain in canonical form: lower case, the
// local-part without quotes (RFC 5321, section 4.1.2; RFC 6531, section 3.3), an
// internationalized domain by its A-labels (RFC 5890, section 2.3.2.1).
// Two addresses are the same mailbox when they are equal. A local-part differs
// in more than its letters' case only on paper: no user expects Fred and fred
// to be two people.
//
// An empty Local stands for every address of the domain that has no route of
// its own (a catch-all). The zero Address is the null reverse-path.
//
// The paths of an envelope are the exception: ParsePath leaves their local-part as
// it was written, and Canonical is the mailbox that such an address is here.
type Address struct {
	Local  string
	Domain string
}

// ParseAddress reads a Mailbox as RFC 5321, section 4.1.2, writes it, with the
// UTF-8 of RFC 6531. Quoted local-parts, domain literals and a trailing dot of
// the domain are understood. The error wraps [ErrAddress] and says what is
// wrong.
func ParseAddress(s string) (Address, error) {
	a, err := ParsePath(s)
	if err != nil {
		return Address{}, err
	}
	a = a.Canonical() // which may take more octets
	switch {
	case len(a.Local) > maxLocal:
		return Address{}, fmt.Errorf("%w: local-part longer than 64 octets", ErrAddress)
	case len(a.String()) > maxPath:
		return Address{}, errLong
	}
	return a, nil
}

// errLong is what is wrong with a path that no command has room for.
var errLong = fmt.Errorf("%w: longer than 254 octets", ErrAddress)

// ParsePath reads a forward-path or a reverse-path like ParseAddress, but leaves the
// local-part as it is: only the host that it leads to may interpret it (RFC 5321,
// section 2.4). It may have more than 64 octets, as those that forwarders and lists make
// of other addresses do, within what a path has room for.
func ParsePath(s string) (Address, error) {
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
	a := Address{Local: local, Domain: domain}
	if len(a.String()) > maxPath {
		return Address{}, errLong
	}
	return a, nil
}

// Canonical is the address of the mailbox that a path leads to here.
func (a Address) Canonical() Address {
	a.Local = strings.ToLower(a.Local)
	return a
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

// aLabels are what a name is in the DNS: without them a domain would be two, that of those
// who write it with U-labels and that of those who do not.
var aLabels = idna.New(idna.MapForLookup(), idna.BidiRule())

// maxULabels is more octets than any domain has, however it is written.
const maxULabels = 4 * maxDomain

// IsASCII reports whether a text has no octet above 127.
func IsASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// canonicalDomain is the lower-case form of a domain or address literal, with A-labels.
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
	if !IsASCII(s) && len(s) <= maxULabels {
		ascii, err := aLabels.ToASCII(s)
		if err != nil {
			return "", "no internationalized domain"
		}
		s = ascii
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
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
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

// IsASCII reports whether a can be written without SMTPUTF8 (RFC 6531).
func (a Address) IsASCII() bool { return IsASCII(a.Local) && IsASCII(a.Domain) }

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

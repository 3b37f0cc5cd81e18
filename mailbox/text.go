package mailbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The text service keeps what it is given for a user in the maildrop of an address,
// so that a text can come by SMTP and be read by POP3. The address is made of the
// user's name and nothing is stored for it: whoever has a name has a maildrop.

// TextAddress is the address of a user of the text service, whose names may be any
// text that is not made of digits alone: [TextUser] reads the name back, and no two
// names have one address. Letters without case, lower-case ones, digits and most
// marks stand for themselves, every other octet becomes "=" and two hexadecimal
// digits. It fails with [ErrAddress] where the name is empty, all digits or too long.
func TextAddress(user, domain string) (Address, error) {
	if user == "" || digits(user) {
		return Address{}, fmt.Errorf("%w: a name that is empty or all digits", ErrAddress)
	}
	var local strings.Builder
	for i := 0; i < len(user) && local.Len() <= maxLocal; {
		r, size := utf8.DecodeRuneInString(user[i:])
		c := user[i : i+size]
		switch {
		case r == '.' && i > 0 && i+1 < len(user) && user[i-1] != '.', plainInText(r, size):
			local.WriteString(c)
		default:
			for _, octet := range []byte(c) {
				fmt.Fprintf(&local, "=%02x", octet)
			}
		}
		i += size
	}
	a := Address{Local: local.String(), Domain: domain}
	if len(a.Local) > maxLocal || len(a.String()) > maxPath {
		return Address{}, fmt.Errorf("%w: a name that is too long", ErrAddress)
	}
	return a, nil
}

// plainInText reports whether a character of a name, of so many octets, stands for
// itself in the address.
func plainInText(r rune, size int) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-/?^_`{|}~", r)
	case r == utf8.RuneError && size == 1:
		return false // not UTF-8
	}
	return (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)) && unicode.ToLower(r) == r
}

// TextUser is the name of the user whose texts an address receives. An address that
// [TextAddress] would not make is nobody's.
func TextUser(a Address) (user string, ok bool) {
	var name strings.Builder
	for i := 0; i < len(a.Local); i++ {
		c := a.Local[i]
		if c == '=' {
			if i+2 >= len(a.Local) {
				return "", false
			}
			high, low := hexDigit(a.Local[i+1]), hexDigit(a.Local[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		name.WriteByte(c)
	}
	again, err := TextAddress(name.String(), a.Domain)
	if err != nil || again != a {
		return "", false
	}
	return name.String(), true
}

// hexDigit is the value of a lower-case hexadecimal digit, or negative.
func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c) }

// digits reports whether a name is made of digits alone.
func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

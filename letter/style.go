package letter

import (
	"regexp"
	"strings"
)

// Properties of inline styles that make a letter look as it should and reach
// nothing outside of it: there is no position, no z-index, no image.
var properties = set(`background background-color border border-bottom
	border-bottom-color border-bottom-left-radius border-bottom-right-radius
	border-bottom-style border-bottom-width border-collapse border-color border-left
	border-left-color border-left-style border-left-width border-radius border-right
	border-right-color border-right-style border-right-width border-spacing
	border-style border-top border-top-color border-top-left-radius
	border-top-right-radius border-top-style border-top-width border-width clear
	color direction display float font font-family font-size font-style
	font-variant font-weight height letter-spacing line-height list-style-type margin
	margin-bottom margin-left margin-right margin-top max-height max-width
	min-height min-width overflow-wrap padding padding-bottom padding-left
	padding-right padding-top table-layout text-align text-decoration text-indent
	text-transform vertical-align white-space width word-break word-spacing
	word-wrap`)

// declarations is what style makes, seen more coarsely: nothing with brackets
// but colours.
var declarations = regexp.MustCompile(`^([a-z-]+: ([a-zA-Z0-9#%.,/!' -]|(?i:rgba?|hsla?)\([0-9., %/]*\))+(; |$))+$`)

const (
	mostStyle        = 4096 // octets of a style attribute
	mostDeclarations = 60
)

// style is what may stay of a style attribute. A declaration is either read as
// a whole or left out, so a mistake in where it ends does no harm.
func style(s string) string {
	if len(s) > mostStyle {
		return ""
	}
	var kept []string
	for d := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(d, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || !properties[name] || len(kept) == mostDeclarations {
			continue
		}
		value = strings.Join(strings.Fields(strings.ReplaceAll(value, `"`, `'`)), " ")
		if value != "" && isValue(value) && (name != "display" || displays[strings.ToLower(value)]) {
			kept = append(kept, name+": "+value)
		}
	}
	return strings.Join(kept, "; ")
}

// displays leaves out what takes an element out of the flow of the letter.
var displays = set("none block inline inline-block inline-table table table-row table-cell list-item")

// isValue: words, numbers, colours and names in quotes. There is no backslash,
// no comment, no address, and no negative length, which would draw over the
// page around the letter.
func isValue(s string) bool {
	for s != "" {
		n := 0
		switch c := s[0]; {
		case c == ' ' || c == ',' || c == '/':
			n = 1
		case c == '\'':
			n = strings.IndexByte(s[1:], '\'') + 2
			if n < 3 || !only(s[1:n-1], " _-") {
				return false
			}
		case c == '#':
			n = 1 + span(s[1:], "")
			if n < 4 || n > 9 {
				return false
			}
		case c >= '0' && c <= '9' || c == '.':
			n = span(s, ".%")
			if n > 10 {
				return false
			}
		case strings.HasPrefix(s, "!important"):
			n = len("!important")
		case isLetter(c) || c == '-' && len(s) > 1 && isLetter(s[1]):
			n = span(s, "-")
			if n < len(s) && s[n] == '(' {
				end := strings.IndexByte(s, ')')
				if end < 0 || !colours[strings.ToLower(s[:n])] || strings.Trim(s[n+1:end], "0123456789., %/") != "" {
					return false
				}
				n = end + 1
			}
		}
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

var colours = set("rgb rgba hsl hsla")

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// span is how many octets at the beginning of s are letters, digits, or of more.
func span(s, more string) int {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && strings.IndexByte(more, c) < 0 {
			return i
		}
	}
	return len(s)
}

func only(s, more string) bool { return span(s, more) == len(s) }

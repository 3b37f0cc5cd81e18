package letter

import (
	"strconv"
	"strings"
)

// mostParams of a field are looked at.
const mostParams = 200

// parseParams reads a field like Content-Type: a value in lower case, and
// parameters by their names in lower case (RFC 2045, section 5.1; RFC 2231,
// sections 3 and 4). Of a parameter that comes twice the first counts.
func parseParams(s string) (value string, params map[string]string) {
	value, rest, more := strings.Cut(s, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	params = map[string]string{}
	split := map[string][]piece{} // by RFC 2231
	for n := 0; more && n < mostParams; n++ {
		var name, v string
		name, v, rest, more = cutParam(rest)
		base, section, extended := strings.Cut(name, "*")
		if !extended {
			if _, ok := params[name]; !ok && name != "" {
				params[name] = decodeText(v)
			}
			continue
		}
		section, percent := strings.CutSuffix("*"+section, "*")
		split[base] = append(split[base], piece{strings.TrimPrefix(section, "*"), v, percent})
	}
	for name, pieces := range split {
		params[name] = join(pieces)
	}
	return value, params
}

// cutParam takes one parameter off s, up to the semicolon after it.
func cutParam(s string) (name, value, rest string, more bool) {
	end := strings.IndexAny(s, "=;")
	if end < 0 {
		return "", "", "", false
	}
	if s[end] == ';' {
		return "", "", s[end+1:], true
	}
	name = strings.ToLower(strings.TrimSpace(s[:end]))
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, more = strings.Cut(s, ";")
		return name, strings.TrimSpace(value), rest, more
	}
	var b strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		// Only these two need the backslash; before anything else it is of a
		// path in a file name.
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	_, rest, more = strings.Cut(s[min(i+1, len(s)):], ";")
	return name, b.String(), rest, more
}

// A piece of a parameter that comes in several.
type piece struct {
	section string
	value   string
	percent bool
}

// join puts pieces in the order of their sections. The charset is named at the
// beginning: charset'language'text.
func join(pieces []piece) string {
	bySection := make(map[string]piece, len(pieces))
	for _, p := range pieces {
		if _, ok := bySection[p.section]; !ok {
			bySection[p.section] = p
		}
	}
	p, ok := bySection[""]
	if !ok {
		p, ok = bySection["0"]
	}
	if !ok {
		return ""
	}
	var label string
	if p.percent {
		if charset, rest, ok := strings.Cut(p.value, "'"); ok {
			if _, text, ok := strings.Cut(rest, "'"); ok {
				label, p.value = charset, text
			}
		}
	}
	var octets []byte
	for n := 1; ok; n++ {
		if p.percent {
			octets = append(octets, unpercent(p.value)...)
		} else {
			octets = append(octets, p.value...)
		}
		p, ok = bySection[strconv.Itoa(n)]
	}
	return line(toUTF8(octets, label))
}

func unpercent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

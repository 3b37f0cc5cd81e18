package letter

import (
	"encoding/base64"
	"strings"
)

// decodeText is the text of a field: encoded-words decoded (RFC 2047), other
// octets taken for UTF-8 (RFC 6532) or guessed.
func decodeText(s string) string {
	if ascii(s) && !strings.Contains(s, "=?") {
		return strings.TrimSpace(s) // as most are
	}
	return line(decodeWords(s))
}

// ascii: nothing in s needs a decoder, or must not be shown.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// decodeWords decodes the encoded-words of s. Neighbours of the same charset
// are decoded together, as many programs split characters between them. Each
// octet is looked at a few times, however the words are broken.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return guess([]byte(s))
	}
	var (
		out     strings.Builder
		octets  []byte // of words that were read and are not yet decoded
		label   string
		pending bool
	)
	flush := func() {
		if pending {
			out.WriteString(toUTF8(octets, label))
		}
		octets, pending = octets[:0], false
	}
	for s != "" {
		at := strings.Index(s, "=?")
		if at < 0 {
			break
		}
		w, ok := cutWord(s[at:])
		if !ok {
			flush()
			out.WriteString(guess([]byte(s[:at+2])))
			s = s[at+2:]
			continue
		}
		// White space between two encoded-words is not shown.
		if between := s[:at]; !pending || strings.Trim(between, " \t") != "" {
			flush()
			out.WriteString(guess([]byte(between)))
		} else if !strings.EqualFold(label, w.charset) {
			flush()
		}
		octets, label, pending = append(octets, w.octets...), w.charset, true
		s = s[at+w.length:]
	}
	flush()
	out.WriteString(guess([]byte(s)))
	return out.String()
}

type word struct {
	charset string
	octets  []byte
	length  int // as it was written
}

// cutWord reads the encoded-word that s begins with.
func cutWord(s string) (w word, ok bool) {
	rest := s[len("=?"):]
	end := strings.IndexAny(rest, "?= \t")
	if end <= 0 || rest[end] != '?' {
		return w, false
	}
	w.charset, _, _ = strings.Cut(rest[:end], "*") // a language follows it (RFC 2231, section 5)
	rest = rest[end+1:]
	if len(rest) < 2 || rest[1] != '?' {
		return w, false
	}
	kind := rest[0] | 0x20
	rest = rest[2:]
	end = strings.IndexByte(rest, '?')
	if end < 0 || !strings.HasPrefix(rest[end:], "?=") {
		return w, false
	}
	switch kind {
	case 'q':
		w.octets = unquote(rest[:end])
	case 'b':
		var c collected
		d := base64Decoder{to: &c}
		_, _ = d.Write([]byte(rest[:end])) // collecting does not fail
		_ = d.Close()
		w.octets = c.octets
	default:
		return w, false
	}
	w.length = len(s) - len(rest) + end + len("?=")
	return w, true
}

// unquote decodes the Q encoding.
func unquote(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

// encodeWords is s as an unstructured field may hold it. What another program
// could read as something else (long words, runs of white space, what looks
// like an encoded-word) is encoded too.
func encodeWords(s string) string {
	if plain(s) {
		return s
	}
	var out strings.Builder
	for s != "" {
		piece := cut(s, 45) // 60 octets in base64: an encoded-word has 75 at most
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		out.WriteString("=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(piece)) + "?=")
		s = s[len(piece):]
	}
	return out.String()
}

func plain(s string) bool {
	if strings.Contains(s, "=?") {
		return false
	}
	run := 0 // of characters that cannot be folded
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			if run == 0 {
				return false // at the beginning, or two of them
			}
			run = 0
		case c < ' ' || c > '~' || run >= 60:
			return false
		default:
			run++
		}
	}
	return run > 0 || s == ""
}

package letter

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
)

// Names of charsets that mail has and no index knows.
var alias = map[string]string{
	"cp932": "shift_jis", "cp936": "gbk", "cp949": "euc-kr", "cp950": "big5",
	"windows-31j": "shift_jis", "ms936": "gbk", "cp1250": "windows-1250", "cp1251": "windows-1251",
}

// toUTF8 decodes text of the charset of that label. Labels lie: text that is
// said to be of the West, or of nothing that is known, is looked at. The
// others are taken for the supersets that mail programs mean by them, as the
// WHATWG's Encoding standard lists them.
func toUTF8(b []byte, label string) string {
	label = strings.ToLower(strings.Trim(label, " \t\"'"))
	if a, ok := alias[label]; ok {
		label = a
	}
	enc, _ := htmlindex.Get(label)
	if enc == encoding.Replacement {
		enc = nil
	}
	if enc == nil && label != "" {
		if r, err := charset.Reader(label, bytes.NewReader(b)); err == nil {
			// One replacement character stands for all of a charset that the
			// index knows but does not decode.
			if out, err := io.ReadAll(r); err == nil && string(out) != "\ufffd" {
				return valid(out)
			}
		}
	}
	if enc == nil || label == "utf-8" || enc == charmap.Windows1252 {
		return guess(b)
	}
	if name, _ := htmlindex.Name(enc); name == "utf-8" {
		return guess(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return guess(b)
	}
	return valid(out)
}

// guess decodes text of which nothing certain is known: UTF-8 where it is
// that, ISO-2022-JP by its escapes, and windows-1252 otherwise.
func guess(b []byte) string {
	if utf8.Valid(b) {
		if bytes.Contains(b, []byte("\x1b$")) {
			if out, err := japanese.ISO2022JP.NewDecoder().Bytes(b); err == nil {
				return string(out)
			}
		}
		return strings.TrimPrefix(string(b), "\ufeff")
	}
	good, bad := 0, 0
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		rest = rest[n:]
	}
	if good > bad {
		return valid(b) // UTF-8 with something broken in it
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return valid(b)
	}
	return string(out)
}

func valid(b []byte) string {
	return strings.TrimPrefix(strings.ToValidUTF8(string(b), "\ufffd"), "\ufeff")
}

// paragraphs is text of several lines: line ends become LF, other control
// characters than TAB go.
func paragraphs(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\u2028' || r == '\u2029':
			return '\n'
		case r != '\n' && r != '\t' && unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
}

// line is text of one line: control characters go, as does what changes the
// direction of the text that follows and so could hide who wrote a letter.
func line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || turns(r):
			return -1
		}
		return r
	}, s))
}

// turns: the embeddings, overrides and isolates of the bidirectional algorithm.
func turns(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// cut is at most max octets of s, and whole characters.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// Package cql cuts CQL text into statements and words, for what reads statements
// rather than sends them. It knows comments, quotes and where a statement ends, and
// nothing of the grammar.
package cql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Statement is one statement, without the semicolon that ends it.
type Statement struct {
	Text  string // as written, from its first word to its last, with the comments between
	Words []Word
}

// A Word is a name, a keyword, a number, a quoted text with its quotes, or one sign.
type Word struct {
	Text string
	At   int // where it begins in the text that was cut
}

// Is reports whether a word is a keyword or a name, in upper or lower case.
func (w Word) Is(keyword string) bool { return strings.EqualFold(w.Text, keyword) }

// Begin reports whether a statement begins with so many keywords.
func (s Statement) Begin(keywords ...string) bool {
	if len(s.Words) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if !s.Words[i].Is(k) {
			return false
		}
	}
	return true
}

// String is the statement on one line, without comments: the same for two texts
// that mean the same but for the case of their letters.
func (s Statement) String() string {
	words := make([]string, len(s.Words))
	for i, w := range s.Words {
		words[i] = w.Text
	}
	return strings.Join(words, " ")
}

// Split cuts a text into its statements. It fails where a quote or a comment does
// not end.
func Split(text string) ([]Statement, error) {
	var statements []Statement
	var words []Word
	end := func() {
		if len(words) > 0 {
			last := words[len(words)-1]
			statements = append(statements, Statement{text[words[0].At : last.At+len(last.Text)], words})
			words = nil
		}
	}
	for at := 0; at < len(text); {
		length, err := next(text[at:])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", 1+strings.Count(text[:at], "\n"), err)
		}
		word := Word{text[at : at+length], at}
		at += length
		switch {
		case word.Text == ";":
			end()
		case !blank(word.Text):
			words = append(words, word)
		}
	}
	end()
	return statements, nil
}

// blank reports whether a word is white space or a comment.
func blank(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return unicode.IsSpace(r) || strings.HasPrefix(word, "--") || strings.HasPrefix(word, "//") || strings.HasPrefix(word, "/*")
}

// next is the length of the word, the white space or the comment that a text begins
// with. The text is not empty.
func next(text string) (int, error) {
	first, size := utf8.DecodeRuneInString(text)
	switch {
	case strings.HasPrefix(text, "--"), strings.HasPrefix(text, "//"):
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			return i, nil
		}
		return len(text), nil
	case strings.HasPrefix(text, "/*"):
		return until(text, "*/")
	case strings.HasPrefix(text, "$$"):
		return until(text, "$$")
	case first == '\'' || first == '"':
		return quoted(text)
	case letter(first):
		if i := strings.IndexFunc(text, func(r rune) bool { return !letter(r) }); i >= 0 {
			return i, nil
		}
		return len(text), nil
	}
	return size, nil
}

// letter reports whether r is part of a name or a number.
func letter(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// until is the length of what begins with two signs and ends with two.
func until(text, last string) (int, error) {
	i := strings.Index(text[2:], last)
	if i < 0 {
		return 0, fmt.Errorf("%s does not end", text[:2])
	}
	return 2 + i + len(last), nil
}

// quoted is the length of a quoted text; a quote in it stands twice.
func quoted(text string) (int, error) {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != text[0]:
		case i+1 < len(text) && text[i+1] == text[0]:
			i++
		default:
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%s does not end", text[:1])
}

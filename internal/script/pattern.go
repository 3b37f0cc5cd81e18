package script

import (
	"fmt"
	"regexp"
	"strings"
)

// A pattern is a line of text with holes.
type pattern []piece

// A piece is plain text, a regular expression, or the name of what was
// remembered; one of the three.
type piece struct {
	text  string
	expr  string // of a hole
	name  string // that the hole is remembered as
	known string // a name that was remembered before
}

var (
	hole  = regexp.MustCompile(`\{\{(.*?)\}\}+`)
	named = regexp.MustCompile(`^([a-z][a-z0-9_]*)=(.*)$`)
)

func parsePattern(s string) (pattern, error) {
	var p pattern
	for s != "" {
		at := hole.FindStringSubmatchIndex(s)
		if at == nil {
			return append(p, piece{text: s}), nil
		}
		if at[0] > 0 {
			p = append(p, piece{text: s[:at[0]]})
		}
		// Braces that belong to the expression, as in {{[0-9]{3}}}, are inside.
		h := piece{expr: s[at[0]+2 : at[1]-2]}
		s = s[at[1]:]
		if name, ok := strings.CutPrefix(h.expr, "$"); ok && name != "" {
			p = append(p, piece{known: name})
			continue
		}
		if m := named.FindStringSubmatch(h.expr); m != nil {
			h.name, h.expr = m[1], m[2]
		}
		if _, err := regexp.Compile(h.expr); err != nil {
			return nil, err
		}
		p = append(p, h)
	}
	return p, nil
}

// match compares the pattern with a whole line. Where it matches, what the named
// holes held is put into vars.
func (p pattern) match(line string, vars map[string]string) (bool, error) {
	var expr strings.Builder
	var names []string
	for _, piece := range p {
		switch {
		case piece.known != "":
			value, ok := vars[piece.known]
			if !ok {
				return false, fmt.Errorf("nothing is remembered as %s", piece.known)
			}
			expr.WriteString(regexp.QuoteMeta(value))
		case piece.name != "":
			// A group of ours has a name, so groups of the author's do not count.
			fmt.Fprintf(&expr, "(?P<hole%d>%s)", len(names), piece.expr)
			names = append(names, piece.name)
		case piece.text != "":
			expr.WriteString(regexp.QuoteMeta(piece.text))
		default:
			fmt.Fprintf(&expr, "(?:%s)", piece.expr)
		}
	}
	whole, err := regexp.Compile(`\A(?s:` + expr.String() + `)\z`)
	if err != nil {
		return false, err
	}
	found := whole.FindStringSubmatch(line)
	if found == nil {
		return false, nil
	}
	for i, name := range names {
		vars[name] = found[whole.SubexpIndex(fmt.Sprint("hole", i))]
	}
	return true, nil
}

func (p pattern) String() string {
	var s strings.Builder
	for _, piece := range p {
		switch {
		case piece.known != "":
			fmt.Fprintf(&s, "{{$%s}}", piece.known)
		case piece.name != "":
			fmt.Fprintf(&s, "{{%s=%s}}", piece.name, piece.expr)
		case piece.text != "":
			s.WriteString(piece.text)
		default:
			fmt.Fprintf(&s, "{{%s}}", piece.expr)
		}
	}
	return s.String()
}

// expand replaces each {{$name}} by what is remembered.
func expand(text string, vars map[string]string) (string, error) {
	var err error
	out := hole.ReplaceAllStringFunc(text, func(h string) string {
		name, ok := strings.CutPrefix(h[2:len(h)-2], "$")
		if !ok {
			return h
		}
		value, ok := vars[name]
		if !ok {
			err = fmt.Errorf("nothing is remembered as %s", name)
		}
		return value
	})
	return out, err
}

package letter

import (
	"net/mail"
	"strings"
)

// mostAddresses of a field are kept.
const mostAddresses = 1000

// parseAddresses reads an address-list (RFC 5322, section 3.4) and what
// programs write instead of one: semicolons between addresses, names with dots
// and commas in encoded-words, brackets that are not closed. The text is the
// first of them as a person reads it, also where it has no address at all.
func parseAddresses(s string) (list []*mail.Address, text string) {
	p := addressParser{rest: s}
	for len(list) < mostAddresses && p.next() {
		a := p.address()
		if a.Address != "" {
			list = append(list, a)
		}
		if text == "" {
			text = show(a)
		}
	}
	if text == "" {
		text = decodeText(p.group)
	}
	return list, text
}

func show(a *mail.Address) string {
	switch {
	case a.Name == "":
		return a.Address
	case a.Address == "":
		return a.Name
	}
	return a.Name + " <" + a.Address + ">"
}

// An addressParser walks through the list once.
type addressParser struct {
	rest  string
	group string // the name of the last group

	phrase  strings.Builder // outside of comments and brackets, without quotes
	comment strings.Builder
	angle   string
	quoted  bool // something in phrase was
	bracket bool // there is an angle-addr
}

// next goes behind one address, or whatever stands there instead.
func (p *addressParser) next() bool {
	p.phrase.Reset()
	p.comment.Reset()
	p.angle, p.quoted, p.bracket = "", false, false
	if p.rest == "" {
		return false
	}
	for p.rest != "" {
		c := p.rest[0]
		switch c {
		case '"':
			p.quoted = true
			p.quotedString()
			continue
		case '(':
			p.skipComment()
			continue
		case '<':
			p.angleAddr()
			continue
		case '=':
			if w, ok := wordAt(p.rest); ok {
				p.phrase.WriteString(p.rest[:w.length])
				p.rest = p.rest[w.length:]
				continue
			}
		case ':':
			if name := p.phrase.String(); !p.bracket && !strings.Contains(name, "@") {
				p.group = name
				p.phrase.Reset()
				p.rest = p.rest[1:]
				continue
			}
		case ',', ';':
			p.rest = p.rest[1:]
			return true
		}
		n := strings.IndexAny(p.rest[1:], specials) + 1
		if n == 0 {
			n = len(p.rest)
		}
		p.phrase.WriteString(p.rest[:n])
		p.rest = p.rest[n:]
	}
	return true
}

// specials are what next stops at.
const specials = `"(<=:,;`

func wordAt(s string) (word, bool) {
	if !strings.HasPrefix(s, "=?") {
		return word{}, false
	}
	return cutWord(s)
}

func (p *addressParser) quotedString() {
	i := 1
	for ; i < len(p.rest) && p.rest[i] != '"'; i++ {
		if p.rest[i] == '\\' && i+1 < len(p.rest) {
			i++
		}
		p.phrase.WriteByte(p.rest[i])
	}
	p.rest = p.rest[min(i+1, len(p.rest)):]
}

func (p *addressParser) skipComment() {
	depth, i := 0, 0
	for ; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\\' && i+1 < len(p.rest):
			i++
		case c == '(':
			if depth++; depth == 1 {
				continue
			}
		case c == ')':
			depth--
		}
		if depth == 0 {
			i++
			break
		}
		p.comment.WriteByte(p.rest[i])
	}
	p.rest = p.rest[i:]
}

func (p *addressParser) angleAddr() {
	inner := p.rest[1:]
	if end := strings.IndexByte(inner, '>'); end >= 0 {
		inner, p.rest = inner[:end], inner[end+1:]
	} else if end := strings.IndexAny(inner, ",;"); end >= 0 {
		inner, p.rest = inner[:end], inner[end:]
	} else {
		p.rest = ""
	}
	if strings.HasPrefix(inner, "@") { // a route (section 4.4)
		inner = inner[strings.IndexByte(inner, ':')+1:]
	}
	p.angle, p.bracket = inner, true
}

// address is what next went over.
func (p *addressParser) address() *mail.Address {
	phrase := p.phrase.String()
	name := decodeText(phrase)
	switch {
	case p.bracket:
		if strings.HasPrefix(strings.TrimSpace(p.angle), `"`) {
			inner := addressParser{rest: p.angle}
			inner.next()
			return &mail.Address{Name: name, Address: line(guess([]byte(inner.phrase.String())))}
		}
		return &mail.Address{Name: name, Address: solid(p.angle)}
	case !strings.Contains(phrase, "@"):
		return &mail.Address{Name: name}
	}
	name = decodeText(p.comment.String())
	if p.quoted {
		return &mail.Address{Name: name, Address: line(guess([]byte(phrase)))}
	}
	return &mail.Address{Name: name, Address: solid(phrase)}
}

// solid is an address without the white space that may stand around its atoms,
// and without what cannot stand in them.
func solid(s string) string {
	if s = strings.TrimSpace(s); ascii(s) && !strings.ContainsAny(s, "<>\"\\(),; ") {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>"\(),;`, r) {
			return -1
		}
		return r
	}, line(guess([]byte(s))))
	return strings.Join(strings.Fields(s), "")
}

package letter

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// A rendition is one or two forms of the same content.
type rendition struct {
	text, html       string
	hasText, hasHTML bool
}

// asText and asHTML make the form that is not there.
func (r rendition) asText() string {
	if r.hasText || !r.hasHTML {
		return r.text
	}
	return htmlToText(r.html)
}

func (r rendition) asHTML() string {
	if r.hasHTML || !r.hasText {
		return r.html
	}
	return textToHTML(r.text)
}

// A builder puts together what a walk comes across.
type builder struct {
	limits      Limits
	open        []*group
	root        rendition
	attachments []Attachment
	cut         bool

	octets   limited // of the leaf
	textUsed int     // of limits.Text
	htmlUsed int
	cids     map[string]bool // that the HTML names
}

// A group is a multipart that is open.
type group struct {
	alternative bool
	shown       []rendition
	parts       int
	preamble    limited
}

// limited keeps the beginning of what is written to it.
type limited struct {
	octets []byte
	left   int
	cut    bool
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) <= l.left {
		l.octets = append(l.octets, p...)
		l.left -= len(p)
		return len(p), nil
	}
	l.octets = append(l.octets, p[:l.left]...)
	l.left, l.cut = 0, true
	return len(p), nil
}

func (b *builder) enter(subtype string) {
	b.count()
	b.open = append(b.open, &group{alternative: subtype == "alternative"})
}

// count tells the group around that it has one part more.
func (b *builder) count() {
	if n := len(b.open); n > 0 {
		b.open[n-1].parts++
	}
}

// preamble is only shown where no part follows it: then its message was broken
// on the way.
func (b *builder) preamble() io.Writer {
	g := b.open[len(b.open)-1]
	g.preamble.left = b.limits.Text - b.textUsed
	return &g.preamble
}

func (b *builder) leave() {
	g := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	if g.parts == 0 {
		b.cut = b.cut || g.preamble.cut
		b.textUsed += len(g.preamble.octets)
		b.add(b.plain(g.preamble.octets, ""))
		return
	}
	g.preamble.octets = nil
	if r, ok := b.merge(g); ok {
		b.add(r)
	}
}

func (b *builder) add(r rendition) {
	if n := len(b.open); n > 0 {
		b.open[n-1].shown = append(b.open[n-1].shown, r)
		return
	}
	b.root = r
}

func (b *builder) leaf(p part) io.Writer {
	b.count()
	if p.role != shown {
		return nil
	}
	b.octets.cut = false
	if p.ContentType == "text/html" {
		b.octets.left = b.limits.HTML - b.htmlUsed
	} else {
		b.octets.left = b.limits.Text - b.textUsed
	}
	b.octets.octets = b.octets.octets[:0]
	return &b.octets
}

func (b *builder) done(p part, octets int64) error {
	if p.role != shown {
		p.Octets = octets
		b.attachments = append(b.attachments, p.Attachment)
		return nil
	}
	b.cut = b.cut || b.octets.cut
	if p.ContentType == "text/html" {
		b.htmlUsed += len(b.octets.octets)
		b.add(b.html(b.octets.octets, p.charset))
	} else {
		b.textUsed += len(b.octets.octets)
		b.add(b.plain(b.octets.octets, p.charset))
	}
	return nil
}

func (b *builder) plain(octets []byte, label string) rendition {
	s := paragraphs(toUTF8(b.whole(octets), label))
	s = b.shorten(strings.TrimSuffix(s, "\n"))
	return rendition{text: s, hasText: true}
}

func (b *builder) html(octets []byte, label string) rendition {
	octets = b.whole(octets)
	if label == "" {
		_, label, _ = charset.DetermineEncoding(octets[:min(1024, len(octets))], "")
	}
	s, cids, cut := sanitize(toUTF8(octets, label), b.limits.HTML)
	b.cut = b.cut || cut
	for _, id := range cids {
		if b.cids == nil {
			b.cids = map[string]bool{}
		}
		b.cids[id] = true
	}
	return rendition{html: s, hasHTML: true}
}

// whole is what was kept, less half a character of UTF-8 at a cut.
func (b *builder) whole(octets []byte) []byte {
	if !b.octets.cut {
		return octets
	}
	for i := 1; i <= min(utf8.UTFMax, len(octets)); i++ {
		if tail := octets[len(octets)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return octets[:len(octets)-i]
			}
			break
		}
	}
	return octets
}

func (b *builder) shorten(s string) string {
	short := cut(s, b.limits.Text)
	b.cut = b.cut || len(short) < len(s)
	return short
}

// merge makes one rendition of what is shown of a group. Of alternatives the
// last is the best (RFC 2046, section 5.1.4); an empty text is none, as letters
// that are all HTML have it.
func (b *builder) merge(g *group) (r rendition, ok bool) {
	if len(g.shown) == 0 {
		return r, false
	}
	if len(g.shown) == 1 {
		return g.shown[0], true
	}
	if g.alternative {
		for _, s := range g.shown {
			if s.hasText && (strings.TrimSpace(s.text) != "" || !r.hasText) {
				r.text, r.hasText = s.text, true
			}
			if s.hasHTML {
				r.html, r.hasHTML = s.html, true
			}
		}
		if r.hasHTML && strings.TrimSpace(r.text) == "" {
			r.text, r.hasText = "", false
		}
		return r, true
	}
	for _, s := range g.shown {
		r.hasText = r.hasText || s.hasText
		r.hasHTML = r.hasHTML || s.hasHTML
	}
	var text, html strings.Builder
	for i, s := range g.shown {
		if r.hasText {
			b.join(&text, s.asText(), i, b.limits.Text)
		}
		if r.hasHTML {
			b.join(&html, s.asHTML(), i, b.limits.HTML)
		}
	}
	r.text, r.html = text.String(), html.String()
	return r, true
}

// join appends one of several pieces, or nothing where it is too much.
func (b *builder) join(to *strings.Builder, s string, i, max int) {
	if to.Len()+len(s)+1 > max {
		b.cut = true
		return
	}
	if i > 0 {
		to.WriteByte('\n')
	}
	to.WriteString(s)
}

func (b *builder) finish(l *Letter) {
	l.Text = b.shorten(b.root.asText())
	l.HTML = b.root.html
	l.Attachments = b.attachments
	for i := range l.Attachments {
		a := &l.Attachments[i]
		a.Inline = a.ContentID != "" && b.cids[a.ContentID]
	}
}

package letter

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// sanitize makes HTML of a letter safe to put into a page, at most max octets
// of it, and tells which parts of the letter it shows.
//
// It takes two steps. The first goes through the tags once and writes them
// anew: those that have a place in a letter, with attributes that do, each
// closed where it must be, at most mostOpen in each other. There is no foreign
// content and no raw text in what it writes, so that a browser has no way to
// read it in another way than it was meant. The second, a library that does
// nothing else, lets through what gate allows, whatever the first did.
func sanitize(s string, max int) (safe string, cids []string, cut bool) {
	w := &writer{max: max, count: map[string]int{}, dropped: map[string]int{}}
	w.document(s)
	safe = strings.TrimSpace(gate.Sanitize(w.out.String()))
	return safe, w.cids, w.cut
}

// mostOpen elements are in each other.
const mostOpen = 200

// rel and target of every link: the page it leads to knows neither who showed
// the letter nor has a handle on it.
const rel = "noopener noreferrer nofollow"

// The elements of a letter. Of all others only the text stays.
var elements = set(`a abbr acronym address article aside b bdi bdo big blockquote
	br caption center cite code col colgroup dd del dfn div dl dt em figcaption
	figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav
	ol p pre q s samp section small span strike strong sub summary sup table tbody
	td tfoot th thead tr tt u ul var wbr`)

// Elements whose text nobody is meant to read.
var silent = set(`script style title iframe noembed noframes noscript`)

var void = set(`br col hr img wbr`)

// blocks end a paragraph that is open.
var blocks = set(`address article aside blockquote center div dl figcaption
	figure footer h1 h2 h3 h4 h5 h6 header hr main nav ol p pre section table ul`)

var (
	paragraph = set(`p`)
	cells     = set(`td th caption table`)
)

// implied says which open elements a start tag ends, and which elements around
// them it does not reach through (HTML, section 13.1.2.4).
var implied = map[string]struct{ ends, within map[string]bool }{
	"li":    {set("li"), set("ul ol table td th")},
	"dt":    {set("dt dd"), set("dl table td th")},
	"dd":    {set("dt dd"), set("dl table td th")},
	"td":    {set("td th"), set("tr table")},
	"th":    {set("td th"), set("tr table")},
	"tr":    {set("tr"), set("tbody thead tfoot table")},
	"tbody": {set("tbody thead tfoot"), set("table")},
	"thead": {set("tbody thead tfoot"), set("table")},
	"tfoot": {set("tbody thead tfoot"), set("table")},
}

// structure ends what is open in it; other end tags stay in their cell.
var structure = set("table tbody thead tfoot tr td th caption")

func set(names string) map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(names) {
		m[n] = true
	}
	return m
}

// A writer writes the tags of a letter anew.
type writer struct {
	out     strings.Builder
	max     int
	cut     bool
	open    []element
	count   map[string]int // of open, by names as they are written
	closing int            // octets that the end tags of open take
	dropped map[string]int // start tags that were too deep
	cids    []string
}

type element struct {
	name    string // as the letter has it
	written string
	table   bool // of the structure of a table
}

func (w *writer) document(s string) {
	in := html.NewTokenizer(strings.NewReader(s))
	skip := "" // the silent element that is open
	for !w.cut {
		switch in.Next() {
		case html.ErrorToken:
			w.closeTo(0)
			return
		case html.TextToken:
			if skip == "" {
				w.write(html.EscapeString(paragraphs(string(in.Text()))), 0)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := in.Token()
			if skip = ""; silent[t.Data] {
				skip = t.Data
				continue
			}
			w.start(t)
		case html.EndTagToken:
			skip = ""
			name, _ := in.TagName()
			w.end(string(name))
		case html.CommentToken, html.DoctypeToken:
		}
	}
	w.closeTo(0)
}

// write appends s if there is room for it, the end tags of all that is open
// and more of them.
func (w *writer) write(s string, more int) bool {
	if w.out.Len()+len(s)+w.closing+more > w.max {
		w.cut = true
		return false
	}
	w.out.WriteString(s)
	return true
}

func (w *writer) start(t html.Token) {
	e := element{t.Data, t.Data, structure[t.Data]}
	if t.Data == "body" {
		e.written = "div" // it may have colours
	}
	if !elements[e.written] {
		return
	}
	t.Data = e.written
	if len(w.open) >= mostOpen && !void[e.name] {
		w.dropped[e.name]++
		return
	}
	w.imply(e.written)
	attrs, ok := w.attributes(t)
	if !ok {
		return
	}
	t.Type, t.Attr = html.StartTagToken, attrs
	tag := t.String()
	if void[e.name] {
		w.write(tag, 0)
		return
	}
	closing := len("</>") + len(e.written)
	if w.write(tag, closing) {
		w.open = append(w.open, e)
		w.count[e.written]++
		w.closing += closing
	}
}

// imply ends what the start tag of that name ends.
func (w *writer) imply(name string) {
	if blocks[name] {
		w.endOf(paragraph, cells)
	}
	i, ok := implied[name]
	if !ok {
		return
	}
	w.endOf(i.ends, i.within)
	if i.ends["tbody"] {
		w.endOf(implied["tr"].ends, i.within) // of a table without such groups
	}
}

// endOf closes the innermost of these elements that is within nothing of those.
func (w *writer) endOf(names, within map[string]bool) {
	open := 0
	for name := range names {
		open += w.count[name]
	}
	if open == 0 {
		return // as for nearly all tags
	}
	for i := len(w.open) - 1; i >= 0 && !within[w.open[i].written]; i-- {
		if names[w.open[i].written] {
			w.closeTo(i)
			return
		}
	}
}

func (w *writer) end(name string) {
	if w.dropped[name] > 0 {
		w.dropped[name]--
		return
	}
	if w.count[name] == 0 && name != "body" {
		return
	}
	for i := len(w.open) - 1; i >= 0; i-- {
		if w.open[i].name == name {
			w.closeTo(i)
			return
		}
		if w.open[i].table && (!structure[name] || w.open[i].name == "table") {
			return
		}
	}
}

// closeTo writes the end tags of all but the first n open elements. There is
// room for them.
func (w *writer) closeTo(n int) {
	for len(w.open) > n {
		e := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		w.count[e.written]--
		w.out.WriteString("</" + e.written + ">")
		w.closing -= len("</>") + len(e.written)
	}
}

var (
	number    = regexp.MustCompile(`^[0-9]{1,4}$`)
	length    = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4})?(%|px)?$`)
	colour    = regexp.MustCompile(`^(#[0-9a-fA-F]{3,8}|[0-9a-fA-F]{6}|[a-zA-Z]{3,20})$`)
	oneWord   = regexp.MustCompile(`^[a-zA-Z0-9-]{1,20}$`)
	language  = regexp.MustCompile(`^[a-zA-Z0-9-]{1,35}$`)
	face      = regexp.MustCompile(`^[a-zA-Z0-9 ,'_-]{1,200}$`)
	relSize   = regexp.MustCompile(`^[+-]?[0-9]{1,2}$`)
	direction = regexp.MustCompile(`^(ltr|rtl|auto)$`)
	noRole    = regexp.MustCompile(`^(presentation|none)$`)
	truth     = regexp.MustCompile(`^true$`)
)

// values of attributes that are kept as they are. nil is any value.
var attributeValues = map[string]*regexp.Regexp{
	"abbr": nil, "alt": nil, "title": nil,
	"align": oneWord, "valign": oneWord, "dir": direction, "lang": language,
	"bgcolor": colour, "color": colour, "face": face, "size": relSize,
	"width": length, "height": length, "border": number, "hspace": number, "vspace": number,
	"cellpadding": number, "cellspacing": number, "colspan": number, "rowspan": number,
	"span": number, "start": number, "type": oneWord, "role": noRole, "aria-hidden": truth,
}

// attributes are those of t that may stay, or false where the element must go.
func (w *writer) attributes(t html.Token) ([]html.Attribute, bool) {
	var kept []html.Attribute
	source := false
	for _, a := range t.Attr { // of two with the same name it has the first
		if len(kept) > 30 {
			break
		}
		switch value, ok := attributeValues[a.Key]; {
		case a.Key == "style":
			if a.Val = style(a.Val); a.Val != "" {
				kept = append(kept, a)
			}
		case ok && len(a.Val) <= mostURL:
			a.Val = line(a.Val)
			if value == nil || value.MatchString(a.Val) {
				kept = append(kept, a)
			}
		case a.Key == "href" && t.Data == "a":
			if a.Val, ok = link(a.Val); ok {
				kept = append(kept, a, html.Attribute{Key: "rel", Val: rel}, html.Attribute{Key: "target", Val: "_blank"})
			}
		case a.Key == "src" && t.Data == "img":
			a, ok = w.image(a.Val)
			if !ok {
				return nil, false
			}
			source = true
			kept = append(kept, a)
		}
	}
	if t.Data == "img" && (!source || isPixel(kept)) {
		return nil, false
	}
	return kept, true
}

// image says how an image is written: one of the letter, or of the network.
func (w *writer) image(src string) (html.Attribute, bool) {
	src, scheme := absolute(src)
	switch scheme {
	case "http", "https":
		return html.Attribute{Key: "data-remote-src", Val: src}, true
	case "cid":
		id, err := url.PathUnescape(src[len("cid:"):])
		if err != nil || id == "" || len(src) > mostURL {
			return html.Attribute{}, false
		}
		w.cids = append(w.cids, id)
		return html.Attribute{Key: "src", Val: "cid:" + url.PathEscape(id)}, true
	case "data":
		return html.Attribute{Key: "src", Val: src}, picture.MatchString(src)
	}
	return html.Attribute{}, false
}

// picture is an image that cannot be anything else, unlike one in SVG.
var picture = regexp.MustCompile(`^data:image/(png|gif|jpeg|jpg|webp);base64,[A-Za-z0-9+/]+={0,2}$`)

// isPixel knows an image that is there to be loaded rather than to be seen.
func isPixel(attrs []html.Attribute) bool {
	for _, a := range attrs {
		switch a.Key {
		case "width", "height":
			if v := strings.TrimSuffix(a.Val, "px"); v == "0" || v == "1" {
				return true
			}
		case "style":
			for d := range strings.SplitSeq(a.Val, ";") {
				name, v, _ := strings.Cut(d, ":")
				name, v = strings.TrimPrefix(strings.TrimSpace(name), "max-"), strings.TrimSuffix(strings.TrimSpace(v), "px")
				if (name == "width" || name == "height") && (v == "0" || v == "1") {
					return true
				}
			}
		}
	}
	return false
}

// mostURL is what browsers still open, in octets.
const mostURL = 8192

// link is the URL of a link, if it may be followed. A URL without a scheme
// leads nowhere in a letter.
func link(s string) (string, bool) {
	s, scheme := absolute(s)
	switch scheme {
	case "http", "https", "mailto", "tel":
		return s, len(s) <= mostURL
	}
	return "", false
}

// absolute is a URL as a browser reads it (URL standard, section 4.4: without
// the control characters that it ignores), and its scheme in lower case. Where
// it has none, or none that can be trusted, the scheme is empty.
func absolute(s string) (string, string) {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0x9f || turns(r) {
			return -1
		}
		return r
	}, s)
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "%20")
	if strings.HasPrefix(s, "//") {
		s = "https:" + s
	}
	scheme, rest, ok := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	if !ok || !oneWord.MatchString(scheme) {
		return s, ""
	}
	if scheme == "http" || scheme == "https" {
		// Without the slashes a browser takes it for a path of the page.
		if host := strings.TrimPrefix(rest, "//"); host == rest || host == "" || strings.ContainsRune(`/\?#`, rune(host[0])) {
			return s, ""
		}
	}
	return scheme + ":" + rest, scheme
}

// gate lets through what the writer writes and nothing else.
var gate = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	names := make([]string, 0, len(elements))
	for name := range elements {
		names = append(names, name)
	}
	slices.Sort(names)
	p.AllowElements(names...)
	p.AllowNoAttrs().OnElements(names...)
	for name, value := range attributeValues {
		if value == nil {
			p.AllowAttrs(name).Globally()
			continue
		}
		p.AllowAttrs(name).Matching(value).Globally()
	}
	p.AllowAttrs("style").Matching(declarations).Globally()
	p.AllowAttrs("href").Matching(regexp.MustCompile(`^(https?://|mailto:|tel:)`)).OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile(`^` + rel + `$`)).OnElements("a")
	p.AllowAttrs("target").Matching(regexp.MustCompile(`^_blank$`)).OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^cid:|` + picture.String())).OnElements("img")
	p.AllowAttrs("data-remote-src").Matching(regexp.MustCompile(`^https?://`)).OnElements("img")
	return p
}()

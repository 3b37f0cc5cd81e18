package letter

import (
	"html"
	"strings"

	nethtml "golang.org/x/net/html"
)

// textToHTML shows plain text among HTML.
func textToHTML(s string) string {
	return "<div>" + strings.ReplaceAll(html.EscapeString(s), "\n", "<br>") + "</div>"
}

// htmlToText is HTML that was made safe as plain text. Links keep their
// targets, images their descriptions; what is not displayed is left out.
func htmlToText(s string) string {
	var t textWriter
	in := nethtml.NewTokenizer(strings.NewReader(s))
	for {
		switch in.Next() {
		case nethtml.ErrorToken:
			return strings.TrimRight(t.out.String(), " \n")
		case nethtml.TextToken:
			if t.hidden == 0 {
				t.text(string(in.Text()))
			}
		case nethtml.StartTagToken:
			t.start(in.Token())
		case nethtml.EndTagToken:
			name, _ := in.TagName()
			t.end(string(name))
		case nethtml.SelfClosingTagToken, nethtml.CommentToken, nethtml.DoctypeToken:
			// There are none in what was made safe.
		}
	}
}

type textWriter struct {
	out    strings.Builder
	lines  int  // line ends that the next text needs before it
	space  bool // and a space, if there is no line end
	pre    int  // depth of pre
	hidden int  // depth within an element that is not displayed
	links  []target
}

// A target is where the link leads that began at that octet of the text.
type target struct {
	url   string
	at    int
	image bool // it has one
}

func (t *textWriter) text(s string) {
	if t.pre > 0 {
		t.flush()
		t.out.WriteString(s)
		return
	}
	s = strings.ReplaceAll(s, "\u00a0", " ")
	for s != "" {
		end := strings.IndexAny(s, " \t\n")
		if end < 0 {
			end = len(s)
		}
		if end > 0 {
			t.flush()
			t.out.WriteString(s[:end])
		}
		if end < len(s) {
			t.space = true
			end++
		}
		s = s[end:]
	}
}

// flush writes the white space that text needs before it.
func (t *textWriter) flush() {
	switch {
	case t.out.Len() == 0:
	case t.lines > 0:
		t.out.WriteString("\n\n"[:min(t.lines, 2)])
	case t.space:
		t.out.WriteByte(' ')
	}
	t.lines, t.space = 0, false
}

func (t *textWriter) apart(lines int) { t.lines = max(t.lines, lines) }

func (t *textWriter) start(tag nethtml.Token) {
	if t.hidden > 0 || isHidden(tag) {
		if !void[tag.Data] {
			t.hidden++
		}
		return
	}
	switch tag.Data {
	case "br":
		t.lines++
	case "hr":
		t.apart(1)
		t.text("----")
		t.apart(1)
	case "img":
		if n := len(t.links); n > 0 {
			t.links[n-1].image = true
		}
		for _, a := range tag.Attr {
			if a.Key == "alt" && a.Val != "" {
				t.text("[" + a.Val + "]")
			}
		}
	case "a":
		var url string
		for _, a := range tag.Attr {
			if a.Key == "href" {
				url = a.Val
			}
		}
		t.links = append(t.links, target{url: url, at: t.out.Len()})
	case "li":
		t.apart(1)
		t.text("- ")
	case "td", "th":
		t.space = true
	case "tr", "dt", "dd", "tbody", "thead", "tfoot", "caption", "div", "header", "footer", "section", "article":
		t.apart(1)
	case "pre":
		t.apart(2)
		t.pre++
	default:
		if blocks[tag.Data] {
			t.apart(2)
		}
	}
}

func (t *textWriter) end(name string) {
	if t.hidden > 0 {
		t.hidden--
		return
	}
	switch name {
	case "a":
		if n := len(t.links); n > 0 {
			t.link(t.links[n-1])
			t.links = t.links[:n-1]
		}
	case "pre":
		t.pre = max(t.pre-1, 0)
		t.apart(2)
	case "li", "tr", "dt", "dd", "caption", "div", "header", "footer", "section", "article":
		t.apart(1)
	default:
		if blocks[name] && name != "table" {
			t.apart(2)
		} else if name == "table" {
			t.apart(1)
		}
	}
}

// link writes where a link leads, unless its text says so.
func (t *textWriter) link(to target) {
	text := strings.TrimSpace(t.out.String()[to.at:])
	bare := strings.TrimPrefix(to.url, "mailto:")
	if to.url == "" || text == to.url || text == bare || "https://"+text == strings.TrimSuffix(bare, "/") {
		return
	}
	if text == "" && !to.image {
		return
	}
	t.space = true
	t.text("<" + to.url + ">")
}

func isHidden(tag nethtml.Token) bool {
	for _, a := range tag.Attr {
		if a.Key == "style" && strings.Contains(a.Val, "display: none") {
			return true
		}
	}
	return false
}

package letter

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

func TestHostileHTMLIsMadeSafe(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// Scripts, in all their places.
		{`a<script>alert(1)</script>b`, `ab`},
		{`a<script src=//e.example></script>b`, `ab`},
		{`a<SCRIPT>alert(1)</ScRiPt >b`, `ab`},
		{`a<script>alert(1)`, `a`},
		{`<scr<script>ipt>alert(1)</script>`, `ipt&gt;alert(1)`},
		{`<script/x>alert(1)</script>a`, `a`},
		{"<script\x00>alert(1)</script>", `alert(1)`},
		{`<p onclick=alert(1) onmouseover="alert(1)" ONFOCUS='x'>a</p>`, `<p>a</p>`},
		{`<p/onclick=alert(1)>a`, `<p>a</p>`},
		{`<img src=x onerror=alert(1)>`, ``},
		{`<img src="https://e.example/a.png"onerror=alert(1)>`, `<img data-remote-src="https://e.example/a.png">`},
		{`<body onload=alert(1)>a`, `<div>a</div>`},
		{`<details open ontoggle=alert(1)>a</details>`, `a`},
		{`<marquee onstart=alert(1)>a</marquee>`, `a`},
		{`<a href=https://e.example autofocus onfocus=alert(1)>a</a>`, `<a href="https://e.example" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{"<p title='\"><script>alert(1)</script>'>a</p>", `<p title="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;">a</p>`},

		// URLs that are scripts, however they are hidden.
		{`<a href="javascript:alert(1)">a</a>`, `<a>a</a>`},
		{`<a href="JaVaScRiPt:alert(1)">a</a>`, `<a>a</a>`},
		{`<a href=" javascript:alert(1)">a</a>`, `<a>a</a>`},
		{"<a href=\"java\nscript:alert(1)\">a</a>", `<a>a</a>`},
		{"<a href=\"java\tscript&colon;alert(1)\">a</a>", `<a>a</a>`},
		{"<a href=\"\x01javascript:alert(1)\">a</a>", `<a>a</a>`},
		{`<a href="&#106;avascript&#58;alert(1)">a</a>`, `<a>a</a>`},
		{`<a href="&#x6A&#x61vascript:alert(1)">a</a>`, `<a>a</a>`},
		{`<a href="javascript&NewLine;:alert(1)">a</a>`, `<a>a</a>`},
		{`<a href="vbscript:msgbox(1)">a</a>`, `<a>a</a>`},
		{`<a href="livescript:x">a</a>`, `<a>a</a>`},
		{`<a href="data:text/html,<script>alert(1)</script>">a</a>`, `<a>a</a>`},
		{`<a href="data:image/png;base64,AAAA">a</a>`, `<a>a</a>`},
		{`<a href="view-source:https://e.example">a</a>`, `<a>a</a>`},
		{`<a href="file:///etc/passwd">a</a>`, `<a>a</a>`},
		{`<a href="blob:https://e.example/1">a</a>`, `<a>a</a>`},
		{`<a href="/admin">a</a>`, `<a>a</a>`},
		{`<a href="admin?x=javascript:1">a</a>`, `<a>a</a>`},
		{`<a href="#top">a</a>`, `<a>a</a>`},
		{`<a href="http:admin">a</a>`, `<a>a</a>`},
		{`<a href="https:/admin">a</a>`, `<a>a</a>`},
		{`<a href="https:///admin">a</a>`, `<a>a</a>`},
		{`<a href="https:\\e.example">a</a>`, `<a>a</a>`},
		{`<a href="https://e.example/" ping="https://t.example/">a</a>`, `<a href="https://e.example/" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<a href="javascript:1" href="https://e.example/">a</a>`, `<a>a</a>`},
		{`<p href="https://e.example/">a</p>`, `<p>a</p>`},

		// Links keep their targets, and get no more than that.
		{`<a href="https://e.example/?a=1&b=2;c#d" target=_top rel=opener>a</a>`, `<a href="https://e.example/?a=1&amp;b=2;c#d" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<a href="HTTP://E.example/ä b">a</a>`, `<a href="http://E.example/ä%20b" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<a href="//e.example/x">a</a>`, `<a href="https://e.example/x" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<a href="mailto:a@e.example?subject=x">a</a>`, `<a href="mailto:a@e.example?subject=x" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<a href="tel:+4930123">a</a>`, `<a href="tel:+4930123" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{"<a href=\"ht\ntps://e.example/a\tb\x01\u202e\">a</a>", `<a href="https://e.example/ab" rel="noopener noreferrer nofollow" target="_blank">a</a>`},
		{`<area href="https://e.example"><map name=x>a</map>`, `a`},

		// Nothing is loaded until somebody asks.
		{`<img src="http://e.example/a.png" alt="a">`, `<img data-remote-src="http://e.example/a.png" alt="a">`},
		{`<img src="//e.example/a.png">`, `<img data-remote-src="https://e.example/a.png">`},
		{`<img data-remote-src="javascript:alert(1)">`, ``},
		{`<img data-remote-src="https://e.example/a" src="cid:x">`, `<img src="cid:x">`},
		{`<img src="cid:a%22b">`, `<img src="cid:a%22b">`},
		{`<img src="cid:">`, ``},
		{`<img srcset="https://e.example/a 2x" src="https://e.example/b">`, `<img data-remote-src="https://e.example/b">`},
		{`<img lowsrc="https://e.example/a" dynsrc="https://e.example/b">`, ``},
		{`<picture><source srcset="https://e.example/a"><img src="https://e.example/b"></picture>`, `<img data-remote-src="https://e.example/b">`},
		{`<img src="/v1/mailboxes">`, ``},
		{`<img src="https://t.example/o.gif" width=1 height=1>`, ``},
		{`<img src="https://t.example/o.gif" width="0">`, ``},
		{`<img src="https://t.example/o.gif" style="width:1px;height:1px">`, ``},
		{`<img src="https://t.example/o.gif" style="max-height:0">`, ``},
		{`<img src="data:image/png;base64,iVBORw0KGgo=">`, `<img src="data:image/png;base64,iVBORw0KGgo=">`},
		{`<img src="data:image/svg+xml;base64,PHN2Zz4=">`, ``},
		{`<img src="data:image/png,<svg onload=alert(1)>">`, ``},
		{`<img src="data:text/html;base64,PHN2Zz4=">`, ``},
		{`<table background="https://e.example/a"><tr><td background="https://e.example/b">a</table>`, `<table><tr><td>a</td></tr></table>`},
		{`<body background="https://e.example/a">a`, `<div>a</div>`},
		{`<link rel=stylesheet href="https://e.example/a.css">a`, `a`},
		{`<link rel=dns-prefetch href="//e.example">a`, `a`},
		{`<style>@import "https://e.example/a.css";</style>a`, `a`},
		{`<style>body{background:url(https://e.example)}`, ``},
		{`<video poster="https://e.example/a" src="https://e.example/b">a</video>`, `a`},
		{`<audio src="https://e.example/b" autoplay>a</audio>`, `a`},
		{`<bgsound src="https://e.example/b">a`, `a`},
		{`<blockquote cite="https://e.example">a</blockquote>`, `<blockquote>a</blockquote>`},

		// What changes the page around the letter.
		{`<meta http-equiv=refresh content="0;url=https://e.example">a`, `a`},
		{`<base href="https://e.example/">a`, `a`},
		{`<base target=_top>a`, `a`},
		{`<form action="https://e.example"><input name=password type=password><textarea>b</textarea><button formaction="https://e.example">a</button></form>`, `ba`},
		{`<iframe src="https://e.example">x</iframe>a`, `a`},
		{`<iframe srcdoc="<script>alert(1)</script>"></iframe>a`, `a`},
		{`<frameset><frame src="https://e.example"></frameset>a`, `a`},
		{`<object data="https://e.example/a.swf"><param name=movie value=x><embed src="https://e.example">a</object>`, `a`},
		{`<applet code=x>a</applet>`, `a`},
		{`<dialog open>a</dialog>`, `a`},
		{`<p id="main" class="nav" name="x" slot=y is=z>a</p>`, `<p>a</p>`},
		{`<p contenteditable tabindex=1 accesskey=x draggable=true popover>a</p>`, `<p>a</p>`},
		{`<img src="cid:x" usemap="#m" ismap>`, `<img src="cid:x">`},
		{`</div></div></body></html>a`, `a`},
		{`<div>a</div></div></section>b`, `<div>a</div>b`},

		// What a browser would read in another way (mutation XSS).
		{`<svg onload=alert(1)>a</svg>`, `a`},
		{`<svg><script>alert(1)</script></svg>a`, `a`},
		{`<svg><script>alert&#40;1)</script>a`, `a`},
		{`<svg><a xlink:href="javascript:alert(1)">a</a></svg>`, `<a>a</a>`},
		{`<svg><use href="data:image/svg+xml,<svg id=x/>#x"/></svg>a`, `a`},
		{`<svg><style><img src="</style><img src=x onerror=alert(1)>">`, `&#34;&gt;`},
		{`<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`, `&#34;&gt;`},
		{`<svg><animate attributeName=href values="javascript:alert(1)"/>a`, `a`},
		{`<svg><foreignObject><iframe srcdoc=x></iframe></foreignObject>a</svg>`, `a`},
		{`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`, `<table></table>`},
		{`<math href="javascript:alert(1)">a</math>`, `a`},
		{`<math><annotation-xml encoding="text/html"><style><img src=x onerror=alert(1)></style></annotation-xml></math>a`, `a`},
		{`<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`, ``},
		{`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`, `&#34;&gt;`},
		{`<noembed><img title="</noembed><img src=x onerror=alert(1)>"></noembed>`, `&#34;&gt;`},
		{`<title><img title="</title><img src=x onerror=alert(1)>"></title>`, `&#34;&gt;`},
		{`<textarea><img title="</textarea><img src=x onerror=alert(1)>"></textarea>`, `&lt;img title=&#34;&#34;&gt;`},
		{`<xmp><p title="</xmp><svg/onload=alert(1)>">a`, `&lt;p title=&#34;&#34;&gt;a`},
		{`<plaintext><script>alert(1)</script>`, `&lt;script&gt;alert(1)&lt;/script&gt;`},
		{`<template><script>alert(1)</script>a</template>`, `a`},
		{`<select><style></select><img src=x onerror=alert(1)></style></select>a`, `a`},
		{`<!--><script>alert(1)</script>-->a`, `--&gt;a`},
		{`<!-- --!><img src=x onerror=alert(1)>-->a`, `--&gt;a`},
		{`<!--[if gte IE 4]><script>alert(1)</script><![endif]-->a`, `a`},
		{`<![CDATA[<script>alert(1)</script>]]>a`, `alert(1)]]&gt;a`},
		{`<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x "y">]>a`, `]&gt;a`},
		{`<a<b<c>d`, `d`},
		{"<p title=`a`>b<p title=`<script>`>c", "<p title=\"`a`\">b</p><p title=\"`&lt;script\">`&gt;c</p>"},
		{`&lt;script&gt;alert(1)&lt;/script&gt;`, `&lt;script&gt;alert(1)&lt;/script&gt;`},
		{`&amp;lt;b&amp;gt;`, `&amp;lt;b&amp;gt;`},
		{`&#0;&#x80;&#xD800;&#x202e;`, "\ufffd€\ufffd\u202e"},
		{`<p style="color:red`, ``},
		{`a<`, `a&lt;`},
		{`a</`, `a&lt;/`},
		{`a<p title="`, `a`},
		{`a<!--`, `a`},
		{`<b><i>a</b>b</i>`, `<b><i>a</i></b>b`},

		// Styles that reach nothing.
		{`<p style="color:#333;font-size:14px;text-align:center">a</p>`, `<p style="color: #333; font-size: 14px; text-align: center">a</p>`},
		{`<p style="COLOR:RGB(1, 2, 3) !important; FONT-FAMILY:&quot;Segoe UI&quot;, Arial">a</p>`, `<p style="color: RGB(1, 2, 3) !important; font-family: &#39;Segoe UI&#39;, Arial">a</p>`},
		{`<p style="background:#fff url(https://e.example/a)">a</p>`, `<p>a</p>`},
		{`<p style="background-image:url(cid:x);color:red">a</p>`, `<p style="color: red">a</p>`},
		{`<p style="background:URL(//e.example)">a</p>`, `<p>a</p>`},
		{`<p style="background:u\72l(//e.example)">a</p>`, `<p>a</p>`},
		{`<p style="background:u/**/rl(//e.example)">a</p>`, `<p>a</p>`},
		{`<p style="background:image-set('https://e.example' 1x)">a</p>`, `<p>a</p>`},
		{`<p style="background:'https://e.example'">a</p>`, `<p>a</p>`},
		{`<p style="width:expression(alert(1))">a</p>`, `<p>a</p>`},
		{`<p style="width:calc(100% - 1px)">a</p>`, `<p>a</p>`},
		{`<p style="color:var(--x)">a</p>`, `<p>a</p>`},
		{`<p style="width:max(100, 200);color:red">a</p>`, `<p style="color: red">a</p>`},
		{`<p style="-moz-binding:url(https://e.example)">a</p>`, `<p>a</p>`},
		{`<p style="behavior:url(x.htc)">a</p>`, `<p>a</p>`},
		{`<p style="position:fixed;top:0;left:0;z-index:9;width:100%">a</p>`, `<p style="width: 100%">a</p>`},
		{`<p style="display:fixed;margin:-100px;opacity:0;transform:scale(9)">a</p>`, `<p>a</p>`},
		{`<p style="display:none">a</p>`, `<p style="display: none">a</p>`},
		{`<p style="list-style:url(https://e.example)">a</p>`, `<p>a</p>`},
		{`<p style="cursor:url(https://e.example),auto;content:'x'">a</p>`, `<p>a</p>`},
		{`<p style="font-family:'a\';b:url(x)">a</p>`, `<p>a</p>`},
		{`<p style="font-family:'a;color:red'">a</p>`, `<p>a</p>`},
		{`<p style="color:red;}*{background:url(//e.example)">a</p>`, `<p style="color: red">a</p>`},
		{`<p style="color:red&#59;&#98;ackground:url(//e.example)">a</p>`, `<p style="color: red">a</p>`},
		{`<p style="@import 'https://e.example'">a</p>`, `<p>a</p>`},
		{`<font color="red" face="Arial, 'Segoe UI'" size="+2">a</font>`, `<font color="red" face="Arial, &#39;Segoe UI&#39;" size="+2">a</font>`},
		{`<font color="expression(alert(1))" size="9e9">a</font>`, `<font>a</font>`},
		{`<td width="99999999" colspan="1e9" height=10px>a`, `<td height="10px">a</td>`},
		{`<p dir="rtl" lang="he" align="right" role="button" aria-hidden="true">a</p>`, `<p dir="rtl" lang="he" align="right" aria-hidden="true">a</p>`},

		// Tags that may be left out.
		{`<ul><li>a<li>b<ul><li>c</ul><li>d</ul>`, `<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>`},
		{`<dl><dt>a<dd>b<dt>c</dl>`, `<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>`},
		{`<p>a<p>b<div>c</div>`, `<p>a</p><p>b</p><div>c</div>`},
		{`<table><thead><tr><th>a<tbody><tr><td>b<table><tr><td>c</table>d<td>e</table>f`, `<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b<table><tr><td>c</td></tr></table>d</td><td>e</td></tr></tbody></table>f`},
		{`<table><tr><td><b>a</td></tr></table></b>b`, `<table><tr><td><b>a</b></td></tr></table>b`},
		{`<table><tr><td>a</b></div></p>b</td></tr></table>`, `<table><tr><td>ab</td></tr></table>`},
		{`<table><tr><td>a<tr><td>b<tbody><tr><td>c</table>`, `<table><tr><td>a</td></tr><tr><td>b</td></tr><tbody><tr><td>c</td></tr></tbody></table>`},
		{`<p>a<table><tr><td><p>b<div>c</table>d`, `<p>a</p><table><tr><td><p>b</p><div>c</div></td></tr></table>d`},
		{`<b>a<table><tr><td>b</b>c</td></tr></table>d`, `<b>a<table><tr><td>bc</td></tr></table>d</b>`},
		{`<p>a<table><tr><td>b</table></td></tr>c`, `<p>a</p><table><tr><td>b</td></tr></table>c`},
		{`a<br/>b<br></br>c<hr>`, `a<br>b<br>c<hr>`},
	} {
		got, _, truncated := sanitize(c.in, 1<<20)
		if got != c.want || truncated {
			t.Errorf("%s\n  became %s\n  want   %s", c.in, got, c.want)
		}
		mustBeSafe(t, got)
	}
}

// mustBeSafe checks the rules on HTML by another way than sanitize goes: the
// tree that a browser makes of it.
func mustBeSafe(t testing.TB, s string) {
	t.Helper()
	nodes, err := html.ParseFragment(strings.NewReader(s), &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div})
	if err != nil {
		t.Fatalf("%.500q: %v", s, err)
	}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.CommentNode || n.Type == html.DoctypeNode {
			t.Errorf("%.500q has a comment", s)
		}
		if n.Type == html.ElementNode {
			if !elements[n.Data] || n.Namespace != "" {
				t.Errorf("%.500q has %s %s", s, n.Namespace, n.Data)
			}
			safeAttributes(t, s, n)
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	for _, n := range nodes {
		walk(n)
	}
}

func safeAttributes(t testing.TB, s string, n *html.Node) {
	has := map[string]string{}
	for _, a := range n.Attr {
		has[a.Key] = a.Val
		v := strings.ToLower(a.Val)
		_, known := attributeValues[a.Key]
		switch {
		case known:
		case a.Key == "style" && !strings.ContainsAny(v, "\\@<{") && !strings.Contains(v, "url") && !strings.Contains(v, "expression"):
		case a.Key == "href" && n.Data == "a" && (strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://") || strings.HasPrefix(v, "mailto:") || strings.HasPrefix(v, "tel:")):
		case a.Key == "rel" && a.Val == rel, a.Key == "target" && v == "_blank":
		case a.Key == "src" && n.Data == "img" && (strings.HasPrefix(v, "cid:") || strings.HasPrefix(v, "data:image/") && !strings.Contains(v, "svg")):
		case a.Key == "data-remote-src" && n.Data == "img" && strings.HasPrefix(v, "http"):
		default:
			t.Errorf("%.500q: attribute %s=%q of %s", s, a.Key, a.Val, n.Data)
		}
	}
	if _, ok := has["href"]; ok && (has["rel"] != rel || has["target"] != "_blank") {
		t.Errorf("%.500q: a link without rel and target", s)
	}
}

func TestTheGateFindsNothingToTake(t *testing.T) {
	for _, in := range []string{
		`<p style="color:red" title='a"b&amp;<'>a &amp; b</p><a href="https://e.example/?a&b'">x</a><img src="//e.example/x">`,
		`<table bgcolor=#fff><tr><td style="font-family:&quot;A B&quot;;border:1px solid rgb(1,2,3)">'a'</table><img src="cid:x%20y">`,
	} {
		w := &writer{max: 1 << 20, count: map[string]int{}, dropped: map[string]int{}}
		w.document(in)
		if out := gate.Sanitize(w.out.String()); out != w.out.String() {
			t.Errorf("%s\nbecame %s", w.out.String(), out)
		}
	}
}

// The gate alone keeps a letter from doing harm, should the writer fail.
func TestTheGateAloneMakesSafe(t *testing.T) {
	for _, in := range []string{
		`<script>alert(1)</script>`, `<p onclick=x>a</p>`, `<a href="javascript:x">a</a>`, `<img src="https://e.example">`,
		`<p style="background: url(//e.example)">a</p>`, `<p style="color: red; x: \75rl(x)">a</p>`, `<iframe src=x></iframe>`,
		`<a href="https://e.example" target="_top">a</a>`, `<svg><p>a</p></svg>`, `<form><input></form>`, `<img src="data:image/svg+xml;base64,AAAA">`,
	} {
		out := gate.Sanitize(in)
		for _, bad := range []string{"script", "onclick", "url", "\\", "iframe", "_top", "svg", "input", `"https://e.example"><img`, "src="} {
			if strings.Contains(out, bad) {
				t.Errorf("%s became %s", in, out)
			}
		}
	}
}

func TestLongHTMLIsCutWithItsTagsClosed(t *testing.T) {
	in := strings.Repeat(`<div><b>some text `, 3000)
	out, _, truncated := sanitize(in, 10_000)
	if !truncated || len(out) > 10_000 || len(out) < 9_000 {
		t.Errorf("cut %v at %d octets", truncated, len(out))
	}
	for _, name := range []string{"div", "b"} {
		if open, closed := strings.Count(out, "<"+name+">"), strings.Count(out, "</"+name+">"); open != closed || open == 0 || open > mostOpen {
			t.Errorf("%d <%s>, %d </%s>", open, name, closed, name)
		}
	}
}

func TestElementsTooDeepAreLeftOut(t *testing.T) {
	n := mostOpen + 50
	out, _, truncated := sanitize(strings.Repeat("<i>", n)+"a"+strings.Repeat("</i>", n)+"b", 1<<20)
	if want := strings.Repeat("<i>", mostOpen) + "a" + strings.Repeat("</i>", mostOpen) + "b"; out != want || truncated {
		t.Errorf("became %s", out)
	}
}

func TestHTMLBecomesTextWithItsLinks(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`<p>Hello,</p><p>your code is <b>1234</b>.</p>`, "Hello,\n\nyour code is 1234."},
		{"a\n  b<br>c<br><br><br>d", "a b\nc\n\nd"},
		{`<a href="https://e.example/x">click here</a> or not`, "click here <https://e.example/x> or not"},
		{`<a href="https://e.example/x">https://e.example/x</a>`, "https://e.example/x"},
		{`<a href="https://e.example/">e.example</a>`, "e.example"},
		{`<a href="mailto:a@e.example">a@e.example</a>`, "a@e.example"},
		{`<a href="https://e.example/x"><img src="cid:x"></a>`, "<https://e.example/x>"},
		{`<a href="https://e.example/x"></a>a`, "a"},
		{`<a href="https://e.example/x"><img src="cid:x" alt="Shop"></a>`, "[Shop] <https://e.example/x>"},
		{`<ul><li>a</li><li>b</li></ul><p>c</p>`, "- a\n- b\n\nc"},
		{`<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>`, "a b\nc"},
		{`<pre>a
  b
</pre>c`, "a\n  b\n\n\nc"},
		{`<div style="display:none">x<p>y</p></div>a<hr>b`, "a\n----\nb"},
		{`&lt;b&gt; &amp; &nbsp; c`, "<b> & c"},
		{`<style>x</style><title>y</title>a`, "a"},
	} {
		safe, _, _ := sanitize(c.in, 1<<20)
		if got := htmlToText(safe); got != c.want {
			t.Errorf("%s\n  became %q\n  want   %q", c.in, got, c.want)
		}
	}
}

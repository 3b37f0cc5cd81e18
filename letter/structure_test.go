package letter

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// multi writes a multipart with that boundary; each part has its own header.
func multi(subtype, boundary string, parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\n\n", subtype, boundary)
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\n%s\n", boundary, p)
	}
	fmt.Fprintf(&b, "--%s--\n", boundary)
	return b.String()
}

const (
	plainPart = "Content-Type: text/plain\n\nplain"
	htmlPart  = "Content-Type: text/html\n\n<p>rich</p>"
	filePart  = "Content-Type: application/pdf; name=a.pdf\n\nfile"
)

func TestTheBestRenditionIsShown(t *testing.T) {
	image := "Content-Type: image/png\nContent-ID: <i>\n\npng"
	for name, c := range map[string]struct {
		raw, text, html string
		attachments     int
	}{
		"plain":                      {plainPart, "plain", "", 0},
		"HTML":                       {htmlPart, "rich", "<p>rich</p>", 0},
		"alternatives":               {multi("alternative", "a", plainPart, htmlPart), "plain", "<p>rich</p>", 0},
		"alternatives, HTML first":   {multi("alternative", "a", htmlPart, plainPart), "plain", "<p>rich</p>", 0},
		"two plain alternatives":     {multi("alternative", "a", plainPart, "\nbetter"), "better", "", 0},
		"an empty plain alternative": {multi("alternative", "a", "\n \n", htmlPart), "rich", "<p>rich</p>", 0},
		"an alternative nobody can show": {
			multi("alternative", "a", plainPart, "Content-Type: text/calendar\n\nx"), "plain", "", 1},
		"related": {multi("related", "a", "Content-Type: text/html\n\n<p>rich<img src=cid:i></p>", image),
			"rich", `<p>rich<img src="cid:i"></p>`, 1},
		"alternatives with related": {
			multi("alternative", "a", plainPart, multi("related", "b", htmlPart, image)), "plain", "<p>rich</p>", 1},
		"mixed, text and file":      {multi("mixed", "a", plainPart, filePart), "plain", "", 1},
		"mixed, text and HTML":      {multi("mixed", "a", plainPart, htmlPart), "plain\nrich", "<div>plain</div>\n<p>rich</p>", 0},
		"mixed, HTML twice":         {multi("mixed", "a", htmlPart, filePart, htmlPart), "rich\n\nrich", "<p>rich</p>\n<p>rich</p>", 1},
		"mixed, text around a file": {multi("mixed", "a", plainPart, filePart, "\n<more>"), "plain\n<more>", "", 1},
		"mixed around alternatives": {
			multi("mixed", "a", multi("alternative", "b", plainPart, htmlPart), "\n<more>"),
			"plain\n<more>", "<p>rich</p>\n<div>&lt;more&gt;</div>", 0},
		"a text that is a file":        {multi("mixed", "a", plainPart, "Content-Disposition: attachment\n\nx"), "plain", "", 1},
		"a text with a name":           {multi("mixed", "a", plainPart, "Content-Disposition: inline; filename=x.txt\n\nx"), "plain", "", 1},
		"a message in it":              {multi("mixed", "a", plainPart, "Content-Type: message/rfc822\n\n"+multi("mixed", "c", htmlPart)), "plain", "", 1},
		"a digest":                     {multi("digest", "a", "\nSubject: x\n\ny", "\nSubject: x\n\ny"), "", "", 2},
		"unknown subtype":              {multi("x-new", "a", plainPart, filePart), "plain", "", 1},
		"nothing in it":                {multi("mixed", "a"), "", "", 0},
		"a multipart without boundary": {multi("mixed", "a", plainPart, "Content-Type: multipart/mixed\n\nx"), "plain", "", 1},
	} {
		l := read(t, c.raw)
		if l.Text != c.text || l.HTML != c.html || len(l.Attachments) != c.attachments || l.Truncated {
			t.Errorf("%s:\n%s\ntext %q, HTML %q, attachments %+v, truncated %v", name, c.raw, l.Text, l.HTML, l.Attachments, l.Truncated)
		}
	}
}

func TestBrokenStructureLosesNothing(t *testing.T) {
	head := "Content-Type: multipart/mixed; boundary=b\n\n"
	for name, c := range map[string]struct {
		raw, text   string
		attachments int
	}{
		"no closing delimiter":             {head + "--b\n\none\n--b\n\ntwo", "one\ntwo", 0},
		"no delimiter at all":              {head + "one\ntwo\n", "one\ntwo", 0},
		"an empty boundary":                {"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\none", "--\n\none", 0},
		"white space after it":             {head + "--b \t\n\none\n--b-- \n", "one", 0},
		"preamble and epilogue":            {head + "before\n--b\n\none\n--b--\nafter\n", "one", 0},
		"a part after the end":             {head + "--b\n\none\n--b--\n\n--b\n\ntwo\n--b--\n", "one", 0},
		"only the end":                     {head + "before\n--b--\n", "before", 0},
		"a part that is a delimiter":       {head + "--b\n--b\n\none\n--b--", "\none", 0},
		"no empty line":                    {head + "--b\none\n--b--", "one", 0},
		"a header that the delimiter ends": {head + "--b\nContent-Type: a/b\n--b\n\none\n--b--", "one", 1},
		"an inner one left open":           {head + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--", "one\ntwo", 0},
		"a boundary that begins the other": {
			head + "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--", "one\ntwo", 0},
		"a boundary that ends in dashes": {
			head + "--b\nContent-Type: multipart/mixed; boundary=b--\n\n--b--\n\none\n--b----\n--b\n\ntwo\n--b--", "one\ntwo", 0},
		"the same boundary inside": {
			head + "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--", "one\ntwo", 0},
		"an encoding on the multipart": {"Content-Transfer-Encoding: base64\n" + head + "--b\n\none\n--b--", "one", 0},
		"dashes that are text":         {head + "--b\n\n--\n---b\n--bb\n-- b\n--b--", "--\n---b\n--bb\n-- b", 0},
		"a signature":                  {"Subject: x\n\nhello\n-- \nFred", "hello\n-- \nFred", 0},
	} {
		l := read(t, c.raw)
		if l.Text != c.text || len(l.Attachments) != c.attachments || l.Truncated {
			t.Errorf("%s:\n%s\ntext %q, want %q; attachments %+v, truncated %v", name, c.raw, l.Text, c.text, l.Attachments, l.Truncated)
		}
	}
}

func TestLineEndsBeforeADelimiterBelongToIt(t *testing.T) {
	for _, eol := range []string{"\n", "\r\n"} {
		for content, want := range map[string]string{"": "", "a": "a", "a\n": "a\n", "\n": "\n", "a\r": "a\r", "a\n\n": "a\n\n", "\r": "\r"} {
			raw := strings.ReplaceAll("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b\n\n"+content+"\n--b--\n", "\n", eol)
			want := strings.ReplaceAll(want, "\n", eol)
			var got bytes.Buffer
			a, err := CopyAttachment(&got, iotest.OneByteReader(strings.NewReader(raw)), 1, Limits{})
			if err != nil || a.Octets != int64(got.Len()) {
				t.Fatal(a, err)
			}
			if eol == "\n" && strings.HasSuffix(want, "\r") {
				want = strings.TrimSuffix(want, "\r") // that and the LF are one line end
			}
			if got.String() != want {
				t.Errorf("%q with %q: %q, want %q", content, eol, got.String(), want)
			}
		}
	}
}

func TestLinesLongerThanTheBufferAreOne(t *testing.T) {
	for _, n := range []int{32<<10 - 2, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 100_000} {
		long := strings.Repeat("x", n)
		raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n" + long + "\r\n--b\r\nX: " +
			long + "\r\nContent-Type: c/d\r\n\r\n" + long + "--b--\r\n" + long + "\r\r\n--b--\r\n"
		for number, want := range []string{long, long + "--b--\r\n" + long + "\r"} {
			var got bytes.Buffer
			a, err := CopyAttachment(&got, strings.NewReader(raw), number+1, Limits{Header: 1 << 20})
			if err != nil || got.String() != want {
				t.Errorf("%d octets: attachment %+v of %d octets, want %d; %v", n, a, got.Len(), len(want), err)
			}
		}
	}
}

func TestLimitsAreKept(t *testing.T) {
	deep := strings.Builder{}
	for i := range 20 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	deep.WriteString("\ndeep\n")
	many := multi("mixed", "b", strings.Split(strings.Repeat("Content-Type: a/b\n\nx|", 50), "|")[:50]...)
	for name, c := range map[string]struct {
		raw         string
		limits      Limits
		text        string
		attachments int
		truncated   bool
	}{
		"too deep":       {deep.String(), Limits{}, "", 1, false},
		"deep enough":    {deep.String(), Limits{Depth: 20}, "deep", 0, false},
		"too many parts": {many, Limits{Parts: 10}, "", 9, true},
		"parts enough":   {many, Limits{Parts: 51}, "", 50, false},
		"long text":      {"\n" + strings.Repeat("ü", 100), Limits{Text: 21}, strings.Repeat("ü", 10), 0, true},
		"text that fits": {"\n" + strings.Repeat("ü", 100), Limits{Text: 200}, strings.Repeat("ü", 100), 0, false},
		"long text that grows": {"Content-Type: text/plain; charset=koi8-r\n\n\xd0\xd2\xc9\xd0\xd2\xc9", Limits{Text: 6},
			"при", 0, true},
		"long texts":        {multi("mixed", "b", "\n12345", "\n67890"), Limits{Text: 8}, "12345", 0, true},
		"long alternatives": {multi("alternative", "b", "\n12345", "\n67890"), Limits{Text: 8}, "678", 0, true},
		"long alternatives of HTML": {multi("alternative", "b", "Content-Type: text/html\n\n12345", "Content-Type: text/html\n\n67890"),
			Limits{HTML: 8}, "678", 0, true},
		"a character that is cut":         {"\naaa\r\nbbbü", Limits{Text: 9}, "aaa\nbbb", 0, true},
		"a character of HTML that is cut": {"Content-Type: text/html\n\n<script></script>aü", Limits{HTML: 19}, "a", 0, true},
		"octets":                          {"Subject: x\n\n1234567890", Limits{Octets: 17}, "12345", 0, true},
		"octets that fit":                 {"Subject: x\n\n1234567890", Limits{Octets: 22}, "1234567890", 0, false},
		"long header":                     {"X: " + strings.Repeat("x", 1000) + "\nSubject: y\n\nhello", Limits{Header: 100}, "hello", 0, true},
		"long header of a part": {multi("mixed", "b", "X: "+strings.Repeat("x", 1000)+"\nContent-Type: a/b\n\nhello", "\ntwo"),
			Limits{Header: 100}, "hello\ntwo", 0, true},
	} {
		l, err := Read(strings.NewReader(c.raw), c.limits)
		if err != nil || l.Text != c.text || len(l.Attachments) != c.attachments || l.Truncated != c.truncated {
			t.Errorf("%s: text %q, %d attachments, truncated %v, %v", name, l.Text, len(l.Attachments), l.Truncated, err)
		}
	}
	l, err := Read(strings.NewReader("Content-Type: text/html\n\n"+strings.Repeat("<b>&lt;</b>", 1000)), Limits{HTML: 500})
	if err != nil || !l.Truncated || len(l.HTML) > 500 || len(l.HTML) < 400 {
		t.Errorf("%d octets of HTML, truncated %v, %v", len(l.HTML), l.Truncated, err)
	}
	l, err = Read(strings.NewReader("Content-Type: text/html\n\n"+strings.Repeat("<p>x", 1000)), Limits{Text: 100})
	if err != nil || !l.Truncated || len(l.Text) > 100 || len(l.Text) < 90 {
		t.Errorf("%d octets of text from HTML, truncated %v, %v", len(l.Text), l.Truncated, err)
	}
}

func TestAReadThatTakesTooLongEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		l, err := Read(io.MultiReader(strings.NewReader("Subject: x\n\n"), slow{}), Limits{Time: time.Minute, Text: 5})
		if took := time.Since(began); err != nil || !l.Truncated || l.Subject != "x" || l.Text != "xxxxx" || took < time.Minute || took > 2*time.Minute {
			t.Errorf("%+v after %v, %v", l, took, err)
		}
	})
}

// slow gives a little every second, and has no end.
type slow struct{}

func (slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return copy(p, "xxx"), nil
}

// Each of these takes minutes or gigabytes where work or memory grows faster
// than the message. All together take a few seconds.
func TestHostileMessagesTakeLinearTime(t *testing.T) {
	const size = 1 << 20
	rep := func(s string) string { return strings.Repeat(s, size/len(s)) }
	field := func(s string) string { return strings.Repeat(s, defaultHeader/len(s)-5) }
	for name, raw := range map[string]string{
		"the same boundary in itself": "Content-Type: multipart/mixed; boundary=b\n\n" + rep("--b\nContent-Type: multipart/mixed; boundary=b\n\n"),
		"a million parts":             "Content-Type: multipart/mixed; boundary=b\n\n" + rep("--b\n\n"),
		"lines like delimiters":       "Content-Type: multipart/mixed; boundary=b\n\n" + rep("--bb\n"),
		"a million fields":            rep("a:b\n") + "\n",
		"a million fields To":         rep("To: a@b\n") + "\n",
		"folded lines":                "Subject: x\n" + rep(" y\n") + "\n",
		"open comments":               "From: " + field("(") + "\n\n",
		"open comments everywhere":    "From: " + field("a(") + "\n\n",
		"escaped comments":            "From: " + field("(\\)") + "\n\n",
		"open brackets":               "From: " + field("<") + "\n\n",
		"open quotes":                 "From: " + field("\"a") + "\n\n",
		"commas":                      "From: " + field(",") + "\n\n",
		"many addresses":              "From: " + field("a@b,") + "\n\n",
		"colons":                      "From: " + field("a:") + "\n\n",
		"open words":                  "From: " + field("=?") + "\nSubject: " + field("=?utf-8?q?") + "\n\n",
		"words that end nowhere":      "From: " + field("=?a?b?c") + "\n\n",
		"one huge word":               "Subject: =?utf-8?b?" + field("A") + "?=\n\n",
		"small words":                 "Subject: " + field("=?utf-8?q?a?= ") + "\n\n",
		"words of changing charsets":  "Subject: " + field("=?utf-8?q?a?= =?koi8-r?q?a?= ") + "\n\n",
		"parameters":                  "Content-Type: a/b; " + field("a=b;") + "\n\n",
		"pieces of a parameter":       "Content-Type: a/b; " + field("name*1=b;") + "\n\n",
		"open parameters":             "Content-Type: a/b; " + field("a=\"") + "\n\n",
		"a huge boundary":             "Content-Type: multipart/mixed; boundary=\"" + field("b") + "\"\n\n" + rep("--b\n"),
		"a date of comments":          "Date: " + field("(") + "\n\n",
		"equals signs":                "Content-Transfer-Encoding: quoted-printable\n\n" + rep("="),
		"white space":                 "Content-Transfer-Encoding: quoted-printable\n\n" + rep(" "),
		"soft breaks":                 "Content-Transfer-Encoding: quoted-printable\n\n" + rep("= \n"),
		"junk in base64":              "Content-Transfer-Encoding: base64\n\n" + rep("!"),
		"short base64":                "Content-Transfer-Encoding: base64\n\n" + rep("A\n"),
		"one line":                    "\n" + rep("x"),
		"CR":                          "\n" + rep("\r"),
		"empty lines":                 "\n" + rep("\n"),
		"deep HTML":                   "Content-Type: text/html\n\n" + rep("<div>"),
		"formatting":                  "Content-Type: text/html\n\n" + rep("<b>") + rep("</i>"),
		"formatting with attributes":  "Content-Type: text/html\n\n" + rep("<font color=red>x"),
		"end tags":                    "Content-Type: text/html\n\n" + strings.Repeat("<div>", 190) + rep("</p>"),
		"paragraphs":                  "Content-Type: text/html\n\n" + strings.Repeat("<div>", 190) + rep("<p>"),
		"tables":                      "Content-Type: text/html\n\n" + rep("<table><tr><td>"),
		"cells":                       "Content-Type: text/html\n\n<table>" + rep("<td>"),
		"links":                       "Content-Type: text/html\n\n" + rep("<a href=//a>b"),
		"attributes":                  "Content-Type: text/html\n\n<p " + rep("a=b ") + ">",
		"attributes, all different":   "Content-Type: text/html\n\n<p " + different(size) + ">",
		"open comments in HTML":       "Content-Type: text/html\n\n" + rep("<!--"),
		"open tags":                   "Content-Type: text/html\n\n" + rep("<"),
		"open titles":                 "Content-Type: text/html\n\n" + rep("<title>"),
		"open scripts":                "Content-Type: text/html\n\n" + rep("<script><!--"),
		"entities":                    "Content-Type: text/html\n\n" + rep("&amp"),
		"a style":                     "Content-Type: text/html\n\n<p style='" + rep("color:red;") + "'>",
		"many styles":                 "Content-Type: text/html\n\n" + rep("<p style='"+strings.Repeat("font:'a' ", 30)+"'>"),
		"images":                      "Content-Type: text/html\n\n" + rep("<img src=cid:a>"),
		"a data URL":                  "Content-Type: text/html\n\n<img src='data:image/png;base64," + rep("A") + "'>",
	} {
		began := time.Now()
		l, err := Read(strings.NewReader(raw), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		took := time.Since(began)
		t.Logf("%-30s %8v", name, took.Round(time.Millisecond))
		if took > 30*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if len(l.Text) > 1<<20 || len(l.HTML) > 1<<20 || len(l.Attachments) > 1000 {
			t.Errorf("%s: %d octets of text, %d of HTML, %d attachments", name, len(l.Text), len(l.HTML), len(l.Attachments))
		}
		if _, err := ReadHeader(strings.NewReader(raw)); err != nil {
			t.Errorf("%s: ReadHeader: %v", name, err)
		}
	}
}

func different(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "a%d=b ", i)
	}
	return b.String()
}

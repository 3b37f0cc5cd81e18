package letter

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/letters/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatal("no letters", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{
		multi("mixed", "b", plainPart, multi("alternative", "c", plainPart, htmlPart), filePart),
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\na\n--b--\nb\n--b\n",
		"From: a:b@c,(d)\"e\"<f>;\nContent-Type: text/html; name*0*=utf-8''%41; name*1=b\nContent-Transfer-Encoding: base64\n\nPGI+",
		"Content-Transfer-Encoding: quoted-printable\nSubject: =?utf-8?q?=C3?= =?utf-8?b?vA==?=\n\na=\n=41= \n",
	} {
		f.Add([]byte(s))
	}
	limits := Limits{Octets: 1 << 20, Header: 4096, Text: 1000, HTML: 2000, Depth: 4, Parts: 20}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := Read(bytes.NewReader(raw), limits)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Text) > limits.Text || len(l.HTML) > limits.HTML || len(l.Attachments) > limits.Parts {
			t.Errorf("%d octets of text, %d of HTML, %d attachments", len(l.Text), len(l.HTML), len(l.Attachments))
		}
		mustBeText(t, l)
		mustBeSafe(t, l.HTML)
		for i, a := range l.Attachments {
			if a.Number != i+1 || a.Name == "" || strings.ContainsAny(a.Name, `/\`) || strings.HasPrefix(a.Name, ".") || !isMediaType(a.ContentType) {
				t.Errorf("attachment %d is %+v", i+1, a)
			}
			mustBeLine(t, a.Name)
			mustBeLine(t, a.ContentID)
			var content bytes.Buffer
			copied, err := CopyAttachment(&content, bytes.NewReader(raw), a.Number, limits)
			copied.Inline = a.Inline
			if err != nil || copied != a || int64(content.Len()) != a.Octets {
				t.Errorf("copied %+v, %d octets, %v; want %+v", copied, content.Len(), err, a)
			}
		}
		if _, err := CopyAttachment(io.Discard, bytes.NewReader(raw), len(l.Attachments)+1, limits); !errors.Is(err, ErrNoAttachment) {
			t.Errorf("attachment %d: %v", len(l.Attachments)+1, err)
		}
		if h, err := ReadHeader(bytes.NewReader(raw)); err != nil {
			t.Error(err)
		} else if mustBeText(t, h); len(raw) <= limits.Header && h.Subject != l.Subject {
			t.Errorf("subject %q of the header, %q of the letter", h.Subject, l.Subject)
		}
	})
}

func mustBeText(t *testing.T, l *Letter) {
	t.Helper()
	mustBeLine(t, l.Sender)
	mustBeLine(t, l.Subject)
	mustBeLine(t, l.MessageID)
	for _, a := range l.From {
		mustBeLine(t, a.Name)
		mustBeLine(t, a.Address)
	}
	if !utf8.ValidString(l.Text) || strings.ContainsFunc(l.Text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }) {
		t.Errorf("text %q", l.Text)
	}
	if !utf8.ValidString(l.HTML) {
		t.Errorf("HTML %q", l.HTML)
	}
	if _, err := l.Date.MarshalJSON(); err != nil {
		t.Error(err)
	}
}

func mustBeLine(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsFunc(s, turns) {
		t.Errorf("not a line of text: %q", s)
	}
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{
		`<p style="color:red;font-family:'A'">a<b>b</p><img src=cid:x><a href="https://e.example/?a&b">c</a>`,
		`<svg><style><img src="</style><img src=x onerror=alert(1)>">`, `<table><tr><td>a<td>b<ul><li>c<li>d`,
		`<a href="java&Tab;script:alert(1)">a`, `<!--[if mso]><p><![endif]-->`, `<img src="data:image/png;base64,AAAA">`,
		`<body bgcolor=#fff><pre>a</body>`, `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;">`,
	} {
		f.Add(s, 1000)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 0 || max > 1<<20 {
			return
		}
		s = strings.ToValidUTF8(s, "\ufffd") // as what charsets are decoded to
		out, _, cut := sanitize(s, max)
		if len(out) > max || !utf8.ValidString(out) {
			t.Errorf("%d octets of %d: %q", len(out), max, out)
		}
		mustBeSafe(t, out)
		remote := strings.NewReplacer("<img data-remote-src=", "<img src=")
		if again, _, _ := sanitize(remote.Replace(out), 1<<21); again != out && !cut {
			t.Errorf("%q became %q, and that %q", s, out, again)
		}
		w := &writer{max: max, count: map[string]int{}, dropped: map[string]int{}}
		w.document(s)
		if gated := gate.Sanitize(w.out.String()); gated != w.out.String() && strings.TrimSpace(gated) != "" {
			t.Errorf("the gate took something of %q: %q", w.out.String(), gated)
		}
		htmlToText(out)
	})
}

func FuzzCompose(f *testing.F) {
	f.Add("Fred <fred@example.org>", "jane@example.org", "hello", "how are you?\n", "1@example.org", "X-A", "b")
	f.Add("alice", "=?utf-8?q?a?= <a@b>", "  grüße =?x?", "a =\n\n.\ttab \n日本語", "", "X", "=?")
	f.Fuzz(func(t *testing.T, from, to, subject, text, id, name, value string) {
		raw, err := Compose(Draft{From: from, To: to, Subject: subject, Text: text, MessageID: id, Header: map[string]string{name: value}})
		if err != nil {
			if !errors.Is(err, ErrDraft) {
				t.Fatal(err)
			}
			return
		}
		header, _, ok := strings.Cut(string(raw), "\r\n\r\n")
		if !ok {
			t.Fatalf("no header in %q", raw)
		}
		fields := 0
		for line := range strings.SplitSeq(header, "\r\n") {
			if line == "" || strings.ContainsAny(line, "\r\n") || len(line) > 998 && !strings.Contains(line, "@") {
				t.Errorf("line %q", line)
			}
			if line[0] != ' ' && line[0] != '\t' {
				fields++
			}
		}
		if fields > 9 {
			t.Errorf("%d fields:\n%s", fields, header)
		}
		l, err := Read(bytes.NewReader(raw), Limits{Header: 1 << 20, Text: 1 << 24, Octets: 1 << 26})
		if err != nil || l.Truncated || len(l.Attachments) > 0 || l.HTML != "" {
			t.Fatalf("%+v, %v", l, err)
		}
		if want := paragraphs(strings.ToValidUTF8(text, "\ufffd")); l.Text != want {
			t.Errorf("text %q came back as %q:\n%s", want, l.Text, raw)
		}
		if l.Subject != strings.TrimSpace(subject) {
			t.Errorf("subject %q came back as %q:\n%s", subject, l.Subject, raw)
		}
		if l.MessageID != id {
			t.Errorf("identifier %q came back as %q:\n%s", id, l.MessageID, raw)
		}
		wanted, sender := parseAddresses(from)
		if len(wanted) != len(l.From) || l.Sender != sender {
			t.Errorf("from %q: %q came back as %q:\n%s", from, sender, l.Sender, raw)
		}
		for i := range min(len(wanted), len(l.From)) {
			if *wanted[i] != *l.From[i] {
				t.Errorf("%v came back as %v:\n%s", wanted[i], l.From[i], raw)
			}
		}
	})
}

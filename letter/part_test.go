package letter

import (
	"bytes"
	"strings"
	"testing"
)

func TestFileNamesAreCleaned(t *testing.T) {
	for disposition, want := range map[string]string{
		`attachment; filename="a.pdf"`:                                            "a.pdf",
		`attachment; filename=a.pdf`:                                              "a.pdf",
		`attachment; filename=two words.pdf; size=3`:                              "two words.pdf",
		`attachment; filename="a \"b\".pdf"`:                                      `a "b".pdf`,
		`attachment; filename="C:\docs\a.pdf"`:                                    "a.pdf",
		`attachment; filename="../../etc/passwd"`:                                 "passwd",
		`attachment; filename="..\..\a.exe"`:                                      "a.exe",
		`attachment; filename=".."`:                                               "part-1.bin",
		`attachment; filename="/"`:                                                "part-1.bin",
		`attachment; filename=".bashrc"`:                                          "bashrc",
		`attachment; filename="a.pdf."`:                                           "a.pdf",
		"attachment; filename=\"a\u202efdp.exe\"":                                 "afdp.exe",
		"attachment; filename=\"a\u200b\u2066\u200f.pdf\"":                        "a.pdf",
		"attachment; filename=\"a\x00\x07\u0085.pdf\"":                            "a.pdf",
		`attachment; filename="=?utf-8?q?gr=C3=BC.pdf?="`:                         "grü.pdf",
		`attachment; filename="=?utf-8?b?Li4vLi4vYQ==?="`:                         "a",
		"attachment; filename=\"gr\xfc.pdf\"":                                     "grü.pdf",
		`attachment; filename*=utf-8''gr%C3%BC%2Fx.pdf`:                           "x.pdf",
		`attachment; filename*=UTF-8'de'gr%c3%bc.pdf; filename="gru.pdf"`:         "grü.pdf",
		`attachment; filename*=iso-8859-1''gr%fc.pdf`:                             "grü.pdf",
		`attachment; filename*0="a-"; filename*2="c"; filename*1="b-"`:            "a-b-c",
		`attachment; filename*0*=utf-8''%E6%97; filename*1*=%A5; filename*2=.txt`: "日.txt",
		`attachment; filename*1="b"`:                                              "part-1.bin",
		`attachment; filename*=utf-8''%00%0d%0aa`:                                 "a",
		`attachment; filename*=utf-8'a`:                                           "utf-8'a",
		`attachment; filename="unterminated`:                                      "unterminated",
		`attachment; filename=`:                                                   "part-1.bin",
		`attachment; filename=""; filename="b"`:                                   "part-1.bin",
		`attachment; filename="a"; filename="b"`:                                  "a",
		`attachment;;; =; x; filename="a"`:                                        "a",
		`ATTACHMENT; FILENAME="a"`:                                                "a",
		`attachment; filename="` + strings.Repeat("x", 300) + `.pdf"`:             strings.Repeat("x", 196) + ".pdf",
		`attachment; filename="` + strings.Repeat("日", 100) + `"`:                 strings.Repeat("日", 66),
	} {
		l := read(t, "Content-Type: application/x-y\nContent-Disposition: "+disposition+"\n\nx")
		if len(l.Attachments) != 1 || l.Attachments[0].Name != want {
			t.Errorf("%s: %+v, want %q", disposition, l.Attachments, want)
		}
	}
}

func TestContentTypesAreTakenAsTheyAreMeant(t *testing.T) {
	for header, want := range map[string]string{
		"Content-Type: IMAGE/Png":                                             "part-1.png image/png",
		"Content-Type: image/png; name=\"a.png\"":                             "a.png image/png",
		"Content-Type: application/pdf (a comment)":                           "part-1.pdf application/pdf",
		"Content-Type: nonsense\nContent-Disposition: attachment":             "part-1.bin application/octet-stream",
		"Content-Type: text/html\\n; name=a\nContent-Disposition: attachment": "a application/octet-stream",
		"Content-Type: text/html\nContent-Disposition: attachment":            "part-1.html text/html",
		"Content-Type: text/calendar":                                         "part-1.ics text/calendar",
		"Content-Type: text/x-unknown":                                        "part-1.txt text/x-unknown",
		"Content-Type: message/rfc822":                                        "part-1.eml message/rfc822",
		"Content-Type: a/" + strings.Repeat("b", 300):                         "text",
		"Content-Type: nonsense":                                              "text",
		"Content-Type: text/plain":                                            "text",
		"Content-Type: text/plain; name=body.txt":                             "text",
		"Content-Type: multipart/mixed":                                       "text",
		"Content-Type:":                                                       "text",
		"Content-Disposition: inline; filename=x.txt":                         "x.txt application/octet-stream",
	} {
		l := read(t, header+"\n\ncontent")
		got := "text"
		if len(l.Attachments) == 1 {
			got = l.Attachments[0].Name + " " + l.Attachments[0].ContentType
		}
		if got != want || (l.Text == "content") != (got == "text") {
			t.Errorf("%s: %s with text %q, want %s", header, got, l.Text, want)
		}
	}
}

func TestTransferEncodingsThatAreBroken(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"quoted-printable", "a=3Db=3d", "a=b="},
		{"quoted-printable", "soft =\r\nbreak", "soft break"},
		{"quoted-printable", "soft = \t\r\nbreak", "soft break"},
		{"quoted-printable", "soft =\nbreak", "soft break"},
		{"quoted-printable", "trailing  \t\r\nspace", "trailing\nspace"},
		{"quoted-printable", "kept=20\r\nspace", "kept \nspace"},
		{"quoted-printable", "a=zz=4=", "a=zz=4"},
		{"quoted-printable", "a=4x =x", "a=4x =x"},
		{"quoted-printable", "a= b", "a= b"},
		{"quoted-printable", "==41", "=A"},
		{"quoted-printable", "a=4=41", "a=4A"},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a=4", "a=4"},
		{"quoted-printable", "gr\xc3\xbc", "grü"},
		{"quoted-printable", "a" + strings.Repeat(" ", 100_000) + "b", "a" + strings.Repeat(" ", 100_000) + "b"},
		{"quoted-printable", strings.Repeat("=41", 50_000), strings.Repeat("A", 50_000)},
		{" Quoted-Printable ; x", "=41", "A"},
		{`"quoted-printable"`, "=41", "A"},
		{"base64", "aGVsbG8=", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGV\r\nsb\r\n\r\nG8=", "hello"},
		{"base64", " aGVs\r\n\tbG8=\r\n", "hello"},
		{"base64", "aG!Vs*bG8=", "hello"},
		{"base64", "aGVsbG8=\r\n____\r\na mailing list", "hello"},
		{"base64", "=aGVsbG8=", "hello"},
		{"base64", "aGVsbG9", "hello"},
		{"base64", "4pyT4pyT", "✓✓"},
		{"base64", "a", ""},
		{"base64", "", ""},
		{"x-unknown", "a=3Db", "a=3Db"},
		{"8bit", "gr\xfc", "grü"},
	} {
		l := read(t, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "+c.encoding+"\n\n"+c.in)
		if l.Text != c.want {
			t.Errorf("%s %.60q became %.60q, want %.60q", c.encoding, c.in, l.Text, c.want)
		}
	}
}

func TestPiecesDecodeAsTheWhole(t *testing.T) {
	in := "aGV=41 =\r\nsb=4 \t\r\nG8= =3D==xx==\n"
	for _, encoding := range []string{"base64", "quoted-printable"} {
		var whole collected
		d := decoder(encoding, &whole)
		_, _ = d.Write([]byte(in))
		_ = d.Close()
		for cut := range len(in) {
			var pieces collected
			d := decoder(encoding, &pieces)
			_, _ = d.Write([]byte(in[:cut]))
			_, _ = d.Write([]byte(in[cut:]))
			_ = d.Close()
			if !bytes.Equal(whole.octets, pieces.octets) {
				t.Errorf("%s cut at %d: %q, want %q", encoding, cut, pieces.octets, whole.octets)
			}
		}
	}
}

func TestCharsetsAreDecoded(t *testing.T) {
	for _, c := range []struct{ label, in, want string }{
		{"utf-8", "gr\xc3\xbc", "grü"},
		{"utf-8", "\xef\xbb\xbfgr\xc3\xbc", "grü"},
		{"utf-8", "gr\xfc", "grü"},
		{"UTF8", "gr\xc3\xbc", "grü"},
		{"", "gr\xc3\xbc", "grü"},
		{"us-ascii", "gr\xfc", "grü"},
		{"iso-8859-1", "gr\xc3\xbc", "grü"},
		{"iso-8859-1", "\x93x\x94 \x80", "“x” €"},
		{"iso-8859-15", "\xa4", "€"},
		{"windows-1251", "\xef\xf0\xe8", "при"},
		{"gb2312", "\xc4\xe3\xba\xc3", "你好"},
		{"hz-gb-2312", "~{Dc:C~}", "你好"},
		{"big5", "\xa7A\xa6n", "你好"},
		{"ks_c_5601-1987", "\xbe\xc8\xb3\xe7", "안녕"},
		{"cp932", "\x87\x40", "①"},
		{"euc-jp", "\xc6\xfc\xcb\xdc", "日本"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(B", "日本"},
		{"us-ascii", "\x1b$BF|K\\\x1b(B", "日本"},
		{"utf-16le", "a\x00\xfc\x00", "aü"},
		{"ibm850", "gr\x81", "grü"},
		{"x-nothing", "gr\xfc", "grü"},
		{"iso-2022-kr", "abc", "abc"},
		{"'utf-8'", "gr\xc3\xbc", "grü"},
	} {
		l := read(t, "Content-Type: text/plain; charset=\""+c.label+"\"\n\n"+c.in)
		if l.Text != c.want {
			t.Errorf("%s %q became %q, want %q", c.label, c.in, l.Text, c.want)
		}
	}
	l := read(t, "Content-Type: text/html\n\n<meta charset=koi8-r><p>\xd0\xd2\xc9</p>")
	if l.Text != "при" {
		t.Errorf("the charset of a meta element: %q", l.Text)
	}
	if l = read(t, "Content-Type: text/html; charset=utf-8\n\n<meta charset=koi8-r><p>gr\xc3\xbc</p>"); l.Text != "grü" {
		t.Errorf("the charset of the header goes before that of a meta element: %q", l.Text)
	}
}

package letter

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestFieldsAreDecoded(t *testing.T) {
	for raw, want := range map[string]string{
		"hello":                                            "hello",
		"  hello \t world ":                                "hello   world",
		"=?utf-8?q?gr=C3=BC=C3=9Fe?=":                      "grüße",
		"=?UTF-8?B?Z3LDvMOfZQ==?=":                         "grüße",
		"=?utf-8*de?Q?gr=c3=bc?=":                          "grü",
		"a =?utf-8?q?b?= c":                                "a b c",
		"=?utf-8?q?a?= =?utf-8?q?b?=":                      "ab",
		"=?utf-8?q?a?=\t =?utf-8?q?_b?=":                   "a b",
		"=?utf-8?q?=E6=97?= =?utf-8?q?=A5?=":               "日", // a character in two words
		"=?utf-8?q?a?= =?iso-8859-1?q?=FC?=":               "aü",
		"=?utf-8?q?a?=b=?utf-8?q?c?=":                      "abc",
		"=?iso-8859-1?q?=93x=94?=":                         "“x”", // windows-1252 in fact
		"=?us-ascii?q?gr=C3=BC?=":                          "grü",
		"=?utf-8?b?Z3LDvA?=":                               "grü", // without padding
		"=?utf-8?b?Z3 LDvA==?=":                            "grü",
		"=?gb2312?B?xOO6ww==?=":                            "你好",
		"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=":               "日本",
		"=?koi8-r?q?=D0=D2=C9?=":                           "при",
		"=?x-nothing?q?gr=FC?=":                            "grü",
		"=?utf-8?q?a b?=":                                  "a b",
		"=?utf-8?x?abc?=":                                  "=?utf-8?x?abc?=",
		"=?utf-8?q?abc":                                    "=?utf-8?q?abc",
		"=?utf-8?q?abc =?utf-8?q?d?=":                      "=?utf-8?q?abc d",
		"=??q?abc?=":                                       "=??q?abc?=",
		"=?":                                               "=?",
		"=?utf-8?q?a=0D=0ABcc:_x?=":                        "aBcc: x",
		"=?utf-8?q?a=E2=80=AEb?=":                          "ab", // an override of the direction
		"gr\xfc\xdfe":                                      "grüße",
		"grüße":                                            "grüße",
		"\x1b$BF|K\\\x1b(B":                                "日本",
		"a\x00b\x1b[31mc\x7f":                              "ab[31mc",
		"=?utf-8?q?=F0=9F=8C=B1=FF=F0=9F=8C=B1=C3=BC?= ok": "🌱\ufffd🌱ü ok",
	} {
		if got := read(t, "Subject: "+raw+"\r\n\r\n").Subject; got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
}

func TestAddressesAreRead(t *testing.T) {
	for raw, want := range map[string]string{
		"":                   "",
		"fred@example.org":   "|fred@example.org",
		"<fred@example.org>": "|fred@example.org",
		"Fred <fred@example.org>, jane@example.org":        "Fred|fred@example.org; |jane@example.org",
		`"Doe, Jane" <jane@example.org>`:                   "Doe, Jane|jane@example.org",
		`Doe, Jane <jane@example.org>`:                     "Jane|jane@example.org",
		`"a \"b\" c" <a@example.org>`:                      `a "b" c|a@example.org`,
		"fred@example.org (Fred)":                          "Fred|fred@example.org",
		"fred@example.org (Fred (at \\) work))":            "Fred (at ) work)|fred@example.org",
		"Fred (x) <fred@example.org>":                      "Fred|fred@example.org",
		"J. R. Müller <j@example.org>":                     "J. R. Müller|j@example.org",
		"=?utf-8?q?M=C3=BCller,_J?= <j@example.org>":       "Müller, J|j@example.org",
		`"=?utf-8?q?M=C3=BCller?=" <j@example.org>`:        "Müller|j@example.org",
		"=?utf-8?q?a,b?= <j@example.org>":                  "a,b|j@example.org",
		"a@example.org; b@example.org":                     "|a@example.org; |b@example.org",
		"team: a@example.org, B <b@example.org>;":          "|a@example.org; B|b@example.org",
		"undisclosed-recipients:;":                         "",
		"Fred <fred@example.org":                           "Fred|fred@example.org",
		"Fred <fred@example.org, b@example.org":            "Fred|fred@example.org; |b@example.org",
		"Fred <@a.example,@b.example:fred@example.org>":    "Fred|fred@example.org",
		"Fred < fred @ example.org >":                      "Fred|fred@example.org",
		`"john smith"@example.org`:                         "|john smith@example.org",
		`J <"john smith"@example.org>`:                     "J|john smith@example.org",
		"jörg@exämple.org":                                 "|jörg@exämple.org",
		"fred@[IPv6:::1]":                                  "|fred@[IPv6:::1]",
		",, ,a@example.org,":                               "|a@example.org",
		"\"unterminated <fred@example.org>":                "|unterminated <fred@example.org>",
		"(unterminated fred@example.org":                   "",
		"a@example.org\u202e <b@example.org>":              "a@example.org|b@example.org",
		"Fred":                                             "",
		"<fred>":                                           "|fred",
		"=?utf-8?q?a=0D=0Ab?= <=?utf-8?q?x?=@example.org>": "ab|=?utf-8?q?x?=@example.org",
	} {
		var got []string
		for _, a := range read(t, "To: "+raw+"\n\n").To {
			got = append(got, a.Name+"|"+a.Address)
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%q became %q, want %q", raw, s, want)
		}
	}
}

func TestTheSenderIsShownWhateverStandsThere(t *testing.T) {
	for raw, want := range map[string]string{
		"From: Fred <fred@example.org>":            "Fred <fred@example.org>",
		"From: fred@example.org, jane@example.org": "fred@example.org",
		"From: Fred":                                               "Fred",
		"From: alice:;":                                            "alice",
		"Sender: Fred <fred@example.org>":                          "Fred <fred@example.org>",
		"From: \r\nSender: fred@example.org":                       "fred@example.org",
		"FROM : fred@example.org":                                  "fred@example.org",
		"From: a@example.org\r\nFrom: b@example.org":               "a@example.org",
		"From:\r\n =?utf-8?q?a?=\r\n\t=?utf-8?q?b?= <c@d.example>": "ab <c@d.example>",
		"Subject: x":                                               "",
	} {
		if got := read(t, raw+"\r\n\r\n").Sender; got != want {
			t.Errorf("%q is from %q, want %q", raw, got, want)
		}
	}
}

func TestDatesAndIdentifiersAreRead(t *testing.T) {
	for raw, want := range map[string]string{
		"Mon, 2 Mar 2026 07:00:00 +0100":       "2026-03-02T06:00:00Z",
		"2 Mar 2026 07:00 GMT (a comment)":     "2026-03-02T07:00:00Z",
		"Mon, 02 Mar 26 07:00:00 -0000":        "2026-03-02T07:00:00Z",
		"yesterday":                            "0001-01-01T00:00:00Z",
		"":                                     "0001-01-01T00:00:00Z",
		"Mon, 2 Mar 99999 07:00:00 +0100":      "0001-01-01T00:00:00Z",
		strings.Repeat("(", 1000):              "0001-01-01T00:00:00Z",
		"31 Dec 0000 23:00:00 -0500":           "0001-01-01T00:00:00Z",
		"1 Jan 0001 00:30:00 +0100":            "0001-01-01T00:00:00Z",
		"Fri, 31 Dec 9999 23:00:00 -1200":      "0001-01-01T00:00:00Z",
		"Mon, 2 Mar 2026 07:00:00 +0100 (CET)": "2026-03-02T06:00:00Z",
	} {
		if got := read(t, "Date: "+raw+"\n\n").Date.UTC().Format(time.RFC3339); got != want {
			t.Errorf("%q became %s, want %s", raw, got, want)
		}
	}
	for raw, want := range map[string]string{
		"<a@b>": "a@b", " <a@b> (x)": "a@b", "a@b": "a@b", "<a@b": "a@b", "<a\x00\u202e@b>": "a@b", "": "",
	} {
		if got := read(t, "Message-Id: "+raw+"\n\n").MessageID; got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
}

func TestBrokenHeadersLoseNothing(t *testing.T) {
	for name, c := range map[string]struct{ raw, subject, text string }{
		"no header":                       {"Dear Fred,\nhow are you?\n", "", "Dear Fred,\nhow are you?"},
		"no body":                         {"Subject: x", "x", ""},
		"no empty line":                   {"Subject: x\nDear Fred,\nhow are you?\n", "x", "Dear Fred,\nhow are you?"},
		"a line folded without a space":   {"Subject: x\ny\nTo: a@example.org\n\nhello", "x", "hello"},
		"an mbox":                         {"From fred@example.org Mon Mar  2 07:00:00 2026\nSubject: x\n\nhello", "x", "hello"},
		"nothing":                         {"", "", ""},
		"an empty line first":             {"\nhello", "", "hello"},
		"a NUL":                           {"Subject: a\x00b\n\nc\x00d", "ab", "cd"},
		"lines that are only white space": {"Subject: a\n \n b\n\nhello", "a  b", "hello"},
		"CR alone":                        {"Subject: a\rb\n\nc\rd", "ab", "c\nd"},
		"a colon first":                   {": x\nSubject: y\n\nhello", "", ": x\nSubject: y\n\nhello"},
		"a field without a value":         {"Subject:\nSubject: y\n\nhello", "y", "hello"},
	} {
		l := read(t, c.raw)
		if l.Subject != c.subject || l.Text != c.text {
			t.Errorf("%s: subject %q, text %q; want %q, %q", name, l.Subject, l.Text, c.subject, c.text)
		}
	}
}

func TestReadHeaderReadsNoMoreThanTheHeader(t *testing.T) {
	r := &counted{r: io.MultiReader(strings.NewReader("From: a@example.org\r\nSubject: x\r\n\r\n"), endless{})}
	l, err := ReadHeader(r)
	if err != nil || l.Subject != "x" || l.Sender != "a@example.org" || l.Truncated || r.n > 4096+4096 {
		t.Errorf("read %d octets: %+v, %v", r.n, l, err)
	}
	r = &counted{r: io.MultiReader(strings.NewReader("Subject: x\r\nX: "), endless{})}
	l, err = ReadHeader(r)
	if err != nil || l.Subject != "x" || !l.Truncated || r.n > 64<<10+8192 {
		t.Errorf("read %d octets of a header without end: %+v, %v", r.n, l, err)
	}
}

func TestTheErrorOfTheReaderIsReturned(t *testing.T) {
	broken := errors.New("broken")
	message := "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\nc\r\n--b\r\n\r\nd\r\n"
	for n := range len(message) {
		r := func() io.Reader { return io.MultiReader(strings.NewReader(message[:n]), iotest.ErrReader(broken)) }
		if _, err := Read(r(), Limits{}); !errors.Is(err, broken) {
			t.Fatalf("Read of %d octets: %v", n, err)
		}
		if n < strings.Index(message, "\r\n\r\n") {
			if _, err := ReadHeader(r()); !errors.Is(err, broken) {
				t.Fatalf("ReadHeader of %d octets: %v", n, err)
			}
		}
		if _, err := CopyAttachment(io.Discard, r(), 9, Limits{}); !errors.Is(err, broken) {
			t.Fatalf("CopyAttachment of %d octets: %v", n, err)
		}
	}
	_, err := CopyAttachment(brokenWriter{broken}, strings.NewReader(message), 1, Limits{})
	if !errors.Is(err, broken) {
		t.Errorf("CopyAttachment to a broken writer: %v", err)
	}
	if _, err := CopyAttachment(io.Discard, strings.NewReader(message), 2, Limits{}); !errors.Is(err, ErrNoAttachment) {
		t.Errorf("CopyAttachment of one that is not there: %v", err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// endless has no line end, and no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

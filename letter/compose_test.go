package letter

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestComposedIsReadBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 3600))
	for _, text := range []string{
		"", "hello", "hello\n", "\n\nhello\n\n", "trailing \nspace ", "From me\n.\n..\n--\n",
		strings.Repeat("long ", 1000), strings.Repeat("long", 1000), "grüße", "日本語のテキスト", "=3D = =\n=", "a\tb",
		strings.Repeat("日本語", 2000) + "\n" + strings.Repeat("x", 100), "tab\t\n", "no-break\u00a0space",
	} {
		for _, subject := range []string{
			"", "plain", " leading", "two  spaces", "grüße", strings.Repeat("x", 2000), strings.Repeat("x ", 2000) + "x",
			"=?utf-8?q?not_a_word?=", strings.Repeat("日本語", 100), "trailing ",
		} {
			raw, err := Compose(Draft{
				From: "Jörg Müller <joerg@example.org>", To: `fred@example.org, "Doe, Jane" <jane@example.org>`,
				Subject: subject, Text: text, Date: at, MessageID: "1.2@example.org",
				Header: map[string]string{"X-Timeout": "60", "Reply-To": "list@example.org"},
			})
			if err != nil {
				t.Fatal(err)
			}
			l := read(t, string(raw))
			if l.Text != text {
				t.Fatalf("text %.80q came back as %.80q:\n%.800s", text, l.Text, raw)
			}
			if want := strings.TrimSpace(subject); l.Subject != want {
				t.Errorf("subject %.80q came back as %.80q:\n%.300s", want, l.Subject, raw)
			}
			if l.Sender != "Jörg Müller <joerg@example.org>" || len(l.To) != 2 || l.To[1].Name != "Doe, Jane" ||
				len(l.ReplyTo) != 1 || !l.Date.Equal(at) || l.MessageID != "1.2@example.org" || l.Truncated {
				t.Fatalf("came back as %+v", l)
			}
			if body := string(raw[strings.Index(string(raw), "\r\n\r\n"):]); strings.Contains(body, " \r\n") || strings.Contains(body, "\t\r\n") {
				t.Fatalf("white space at the end of a line, which transports may drop:\n%q", raw)
			}
			for _, line := range strings.SplitAfter(string(raw), "\n") {
				if line != "" && !strings.HasSuffix(line, "\r\n") || len(line) > 1000 {
					t.Fatalf("line %.90q of %d octets", line, len(line))
				}
			}
		}
	}
}

func TestOddAddressesAreReadBack(t *testing.T) {
	for _, from := range []string{
		"Fred <fred>", `"john smith"@example.org`, "jörg@exämple.org", `"a\\b\"c" <a@example.org>`, "a@example.org (Fred)",
		"<@>", "=?utf-8?q?=22?= <a@b>", `"=?utf-8?q?x?= y" <a@b>`, "fred@[IPv6:::1]",
	} {
		raw, err := Compose(Draft{From: from})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := parseAddresses(from)
		if got := read(t, string(raw)).From; len(got) != 1 || len(want) != 1 || *got[0] != *want[0] {
			t.Errorf("%s came back as %v, want %v:\n%s", from, got, want, raw)
		}
	}
}

func TestASenderThatIsNoAddressIsReadBack(t *testing.T) {
	for _, sender := range []string{"alice", "Frédéric", "alice (at work)", "a.b", "x"} {
		raw, err := Compose(Draft{From: sender, Text: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if l := read(t, string(raw)); l.Sender != sender && !strings.HasPrefix(sender, l.Sender+" (") {
			t.Errorf("%q came back as %q:\n%s", sender, l.Sender, raw)
		}
	}
}

func TestADraftCannotAddFields(t *testing.T) {
	for name, d := range map[string]Draft{
		"line break in the subject":    {Subject: "hello\r\nBcc: x@example.org"},
		"LF in the sender":             {From: "a@example.org\nSubject: y"},
		"CR in the recipient":          {To: "a@example.org\rSubject: y"},
		"NUL in the subject":           {Subject: "a\x00b"},
		"line separator":               {Subject: "a\u2028b"},
		"override of the direction":    {Subject: "a\u202eb"},
		"not UTF-8":                    {Subject: "a\xffb"},
		"long subject":                 {Subject: strings.Repeat("x", 10000)},
		"brackets in the Message-ID":   {MessageID: "a@b>\r\nX: <"},
		"space in the Message-ID":      {MessageID: "a b"},
		"line break in a value":        {Header: map[string]string{"X-A": "b\nc"}},
		"line break in a name":         {Header: map[string]string{"X-A\n": "b"}},
		"colon in a name":              {Header: map[string]string{"X-A: b": "b"}},
		"a name that Compose writes":   {Header: map[string]string{"subject": "b"}},
		"a name of MIME":               {Header: map[string]string{"Content-Type": "text/html"}},
		"an empty name":                {Header: map[string]string{"": "b"}},
		"a C1 control in an addressee": {To: "a\u0085b@example.org"},
	} {
		if raw, err := Compose(d); !errors.Is(err, ErrDraft) {
			t.Errorf("%s: %v\n%s", name, err, raw)
		}
	}
}

func read(t testing.TB, raw string) *Letter {
	t.Helper()
	l, err := Read(strings.NewReader(raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

package mailbox_test

import (
	"errors"
	"strings"
	"testing"

	"restante/mailbox"
)

func TestAnAddressIsReadIntoItsCanonicalForm(t *testing.T) {
	for text, want := range map[string]struct{ local, domain, text string }{
		"fred@example.org":          {"fred", "example.org", "fred@example.org"},
		"Fred@EXAMPLE.Org":          {"fred", "example.org", "fred@example.org"},
		"fred@example.org.":         {"fred", "example.org", "fred@example.org"},
		"fred.b.stone@example.org":  {"fred.b.stone", "example.org", "fred.b.stone@example.org"},
		"fred+lists@example.org":    {"fred+lists", "example.org", "fred+lists@example.org"},
		"+@example.org":             {"+", "example.org", "+@example.org"},
		"!#$%&'*+-/=?^_`{|}~@a.b":   {"!#$%&'*+-/=?^_`{|}~", "a.b", "!#$%&'*+-/=?^_`{|}~@a.b"},
		"fred@localhost":            {"fred", "localhost", "fred@localhost"},
		"fred@a-b.c_d.9":            {"fred", "a-b.c_d.9", "fred@a-b.c_d.9"},
		"fred@xn--bcher-kva.ch":     {"fred", "xn--bcher-kva.ch", "fred@xn--bcher-kva.ch"},
		`"fred"@example.org`:        {"fred", "example.org", "fred@example.org"},
		`"Fred Stone"@example.org`:  {"fred stone", "example.org", `"fred stone"@example.org`},
		`"a@b"@example.org`:         {"a@b", "example.org", `"a@b"@example.org`},
		`"a\"b\\c"@example.org`:     {`a"b\c`, "example.org", `"a\"b\\c"@example.org`},
		`"\f\r\e\d"@example.org`:    {"fred", "example.org", "fred@example.org"},
		`"a..b"@example.org`:        {"a..b", "example.org", `"a..b"@example.org`},
		`".a"@example.org`:          {".a", "example.org", `".a"@example.org`},
		`" "@example.org`:           {" ", "example.org", `" "@example.org`},
		`"<a>, b: c;"@example.org`:  {"<a>, b: c;", "example.org", `"<a>, b: c;"@example.org`},
		"fred@[127.0.0.1]":          {"fred", "[127.0.0.1]", "fred@[127.0.0.1]"},
		"fred@[IPv6:::1]":           {"fred", "[ipv6:::1]", "fred@[ipv6:::1]"},
		"fred@[ipv6:2001:DB8:0::1]": {"fred", "[ipv6:2001:db8::1]", "fred@[ipv6:2001:db8::1]"},
		"пётр@почта.рф":             {"пётр", "xn--80a1acny.xn--p1ai", "пётр@xn--80a1acny.xn--p1ai"},
		"ПЁТР@ПОЧТА.РФ":             {"пётр", "xn--80a1acny.xn--p1ai", "пётр@xn--80a1acny.xn--p1ai"},
		`"пётр петров"@почта.рф.`:   {"пётр петров", "xn--80a1acny.xn--p1ai", `"пётр петров"@xn--80a1acny.xn--p1ai`},
		"山田@例え。jp":                  {"山田", "xn--r8jz45g.jp", "山田@xn--r8jz45g.jp"},
		"fred@Bücher.CH":            {"fred", "xn--bcher-kva.ch", "fred@xn--bcher-kva.ch"},
		"😀@example.org":             {"😀", "example.org", "😀@example.org"},

		strings.Repeat("l", 64) + "@example.org": {strings.Repeat("l", 64), "example.org", strings.Repeat("l", 64) + "@example.org"},
		"f@" + domainOf(252):                     {"f", domainOf(252), "f@" + domainOf(252)},
	} {
		a, err := mailbox.ParseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if a.Local != want.local || a.Domain != want.domain || a.String() != want.text {
			t.Errorf("%s is %q at %q, written %s; want %q at %q, written %s", text, a.Local, a.Domain, a, want.local, want.domain, want.text)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                            "",
		"no @":                               "fred",
		"nothing but @":                      "@",
		"no local-part":                      "@example.org",
		"no domain":                          "fred@",
		"empty quotes":                       `""@example.org`,
		"two @":                              "fred@b@example.org",
		"dots in a row":                      "a..b@example.org",
		"dot at the beginning":               ".a@example.org",
		"dot at the end of the local-part":   "a.@example.org",
		"nothing but a dot":                  ".@example.org",
		"space in the local-part":            "fred stone@example.org",
		"space around":                       " fred@example.org ",
		"space in the domain":                "fred@example .org",
		"angle brackets":                     "<fred@example.org>",
		"display name":                       "Fred <fred@example.org>",
		"comment":                            "fred(stone)@example.org",
		"source route":                       "@a.example,@b.example:fred@example.org",
		"two addresses":                      "fred@example.org,wilma@example.org",
		"quote in the middle":                `fr"e"d@example.org`,
		"quote not closed":                   `"fred@example.org`,
		"quote closed too early":             `"fred"stone@example.org`,
		"quoted pair without its second":     `"fred\`,
		"quoted pair of a control character": "\"a\\\nb\"@example.org",
		"quoted pair of 8-bit":               "\"a\\\xc3\xa4\"@example.org",
		"backslash outside quotes":           `fr\ed@example.org`,
		"NUL":                                "fr\x00ed@example.org",
		"NUL in quotes":                      "\"fr\x00ed\"@example.org",
		"tab in quotes":                      "\"fr\ted\"@example.org",
		"DEL":                                "fr\x7fed@example.org",
		"DEL in quotes":                      "\"fr\x7fed\"@example.org",
		"CRLF and a header field":            "fred@example.org\r\nBcc: wilma@example.org",
		"CRLF in quotes":                     "\"fred\r\nBcc: wilma\"@example.org",
		"LF in the local-part":               "fr\ned@example.org",
		"CR in the domain":                   "fred@example\r.org",
		"NUL in the domain":                  "fred@example\x00.org",
		"not UTF-8 in the local-part":        "fr\xffed@example.org",
		"not UTF-8 in the domain":            "fred@ex\xc3mple.org",
		"not UTF-8 in quotes":                "\"fr\xffed\"@example.org",
		"dots in a row in the domain":        "fred@example..org",
		"dot at the beginning of the domain": "fred@.example.org",
		"two dots at the end of the domain":  "fred@example.org..",
		"nothing but a dot for a domain":     "fred@.",
		"hyphen at the beginning of a label": "fred@-example.org",
		"hyphen at the end of a label":       "fred@example-.org",
		"slash in the domain":                "fred@example.org/path",
		"quote in the domain":                `fred@"example".org`,
		"percent in the domain":              "fred@ex%61mple.org",
		"literal that is not closed":         "fred@[127.0.0.1",
		"literal with text behind":           "fred@[127.0.0.1].org",
		"literal of nothing":                 "fred@[]",
		"literal that is no address":         "fred@[fred]",
		"literal of too large a number":      "fred@[127.0.0.256]",
		"literal with a zone":                "fred@[IPv6:fe80::1%eth0]",
		"literal of IPv6 without its tag":    "fred@[::1]",
		"literal of IPv4 with the other tag": "fred@[IPv6:127.0.0.1]",
		"literal of a general kind":          "fred@[x-tag:content]",
		"local-part of 65 octets":            strings.Repeat("l", 65) + "@example.org",
		"local-part of 65 octets in quotes":  `"` + strings.Repeat("l", 65) + `"@example.org`,
		"local-part that lower case makes longer than 64 octets": strings.Repeat("Ⱥ", 32) + "@example.org",
		"label with a space that maps to one":                    "fred@b\u00a0cher.ch",
		"label that joins nothing":                               "fred@b\u200dcher.ch",
		"megabyte of U-labels":                                   "fred@" + strings.Repeat("ü", 1<<20),
		"label of 64 octets":                                     "fred@" + strings.Repeat("d", 64) + ".org",
		"address of 255 octets":                                  "ff@" + domainOf(252),
		"address of 255 octets by its quotes":                    `" "@` + domainOf(252),
		"megabyte":                                               strings.Repeat("a", 1<<20) + "@example.org",
		"megabyte of quotes":                                     strings.Repeat(`"`, 1<<20),
	} {
		if a, err := mailbox.ParseAddress(text); !errors.Is(err, mailbox.ErrAddress) {
			t.Errorf("%s: read as %q, %v; want ErrAddress", name, a, err)
		}
	}
}

func TestAPathKeepsItsLocalPart(t *testing.T) {
	long := "SRS0=3Ypr33=QM=crm.example.org=bounce+b.25211.6039846.eb7e7e8ba282f9d0cafe@Fwd.Example"
	for text, want := range map[string]string{
		"Reply+AbCdEf@Tracker.Example": "Reply+AbCdEf@tracker.example",
		`"Fred Stone"@example.org`:     `"Fred Stone"@example.org`,
		long:                           strings.Replace(long, "Fwd.Example", "fwd.example", 1),
		strings.Repeat("L", 242) + "@example.org": strings.Repeat("L", 242) + "@example.org",
	} {
		a, err := mailbox.ParsePath(text)
		if err != nil || a.String() != want {
			t.Errorf("%s is read as %s, %v", text, a, err)
		}
		if !a.IsASCII() {
			t.Errorf("%s is not ASCII", text)
		}
		if c := a.Canonical(); c.String() != strings.ToLower(want) {
			t.Errorf("%s is here %s", text, c)
		}
	}
	for text, want := range map[string]bool{"fred@bücher.ch": true, "пётр@example.org": false} {
		if a, err := mailbox.ParsePath(text); err != nil || a.IsASCII() != want {
			t.Errorf("%s is read as %s, %v; ASCII: %v", text, a, err, a.IsASCII())
		}
	}
	for _, text := range []string{"", "fred", "fr ed@example.org", strings.Repeat("L", 243) + "@example.org"} {
		if a, err := mailbox.ParsePath(text); !errors.Is(err, mailbox.ErrAddress) {
			t.Errorf("%s is read as %q, %v; want ErrAddress", text, a, err)
		}
	}
}

// domainOf is a valid domain of n octets.
func domainOf(n int) string {
	return strings.Repeat(strings.Repeat("d", 61)+".", 5)[:n-1] + "e"
}

func TestARouteIsAnAddressOrAWholeDomain(t *testing.T) {
	for text, want := range map[string]mailbox.Address{
		"Fred@Example.org": {Local: "fred", Domain: "example.org"},
		"@Example.org.":    {Domain: "example.org"},
		"@почта.рф":        {Domain: "xn--80a1acny.xn--p1ai"},
	} {
		a, err := mailbox.ParseRoute(text)
		if err != nil || a != want {
			t.Errorf("%s: %v, %v; want %v", text, a, err, want)
			continue
		}
		if again, err := mailbox.ParseRoute(a.String()); err != nil || again != a {
			t.Errorf("%s, written and read again: %v, %v; want %v", text, again, err, a)
		}
	}
	for _, text := range []string{"", "@", "@@", "@example..org", "@a@b", "example.org", "@" + domainOf(250) + "." + domainOf(10)} {
		if a, err := mailbox.ParseRoute(text); !errors.Is(err, mailbox.ErrAddress) {
			t.Errorf("%s: %v, %v; want ErrAddress", text, a, err)
		}
	}
}

func TestOnlyTheNullReversePathIsZero(t *testing.T) {
	if null := (mailbox.Address{}); !null.IsZero() || null.String() != "" {
		t.Errorf("the null reverse-path is written %q, zero: %v", null, null.IsZero())
	}
	for _, a := range []mailbox.Address{{Domain: "example.org"}, {Local: "fred", Domain: "example.org"}} {
		if a.IsZero() {
			t.Errorf("%s is taken for the null reverse-path", a)
		}
	}
}

func TestTheBaseOfAnAddressIsWithoutItsDetail(t *testing.T) {
	for local, want := range map[string]string{
		"fred+lists": "fred",
		"fred+a+b":   "fred",
		"fred+":      "fred",
		"fred":       "",
		"+lists":     "",
		"+":          "",
		"":           "",
	} {
		a := mailbox.Address{Local: local, Domain: "example.org"}
		base, ok := a.Base()
		switch {
		case want == "" && (ok || base != a):
			t.Errorf("%s has the base %s; want none", a, base)
		case want != "" && (!ok || base != mailbox.Address{Local: want, Domain: "example.org"}):
			t.Errorf("%s has the base %s, %v; want %s", a, base, ok, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{
		"fred@example.org", "Fred.Stone+x@EXAMPLE.org.", `"a \"b\" \\ c@d"@example.org`, "fred@[IPv6:2001:db8::1]", "fred@[127.0.0.1]",
		"пётр@почта.рф", "Ⱥ@example.org", "K@K.org", "İ@İ.org", `""@x`, "a..b@x", "@x", "fred@x\r\nBcc: y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := mailbox.ParseAddress(text)
		if err != nil {
			if !errors.Is(err, mailbox.ErrAddress) || a != (mailbox.Address{}) {
				t.Fatalf("%q: %v, %v; want nothing and ErrAddress", text, a, err)
			}
			return
		}
		if again, err := mailbox.ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q is %q; written %q it is %q, %v", text, a, a.String(), again, err)
		}
		if a.Local == "" || a.Domain == "" || len(a.Local) > 64 || len(a.String()) > 254 {
			t.Fatalf("%q is %q at %q", text, a.Local, a.Domain)
		}
		if strings.ToLower(a.Local) != a.Local || strings.ToLower(a.Domain) != a.Domain {
			t.Fatalf("%q is %q, which is not in lower case", text, a)
		}
		if strings.ContainsFunc(a.String(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q is %q, with a control character", text, a)
		}
		if strings.ContainsAny(a.Domain, "@<> \"\\") {
			t.Fatalf("%q has the domain %q", text, a.Domain)
		}
	})
}

package smtp

import (
	"strings"
	"testing"
)

func TestPathsOfMailAndRcpt(t *testing.T) {
	for _, c := range []struct {
		arg, path, params string
		ok                bool
	}{
		{"FROM:<a@example.net>", "a@example.net", "", true},
		{"from: <a@example.net>", "a@example.net", "", true},
		{"FROM:<a@example.net> SIZE=1 BODY=7BIT ", "a@example.net", "SIZE=1 BODY=7BIT", true},
		{"FROM:<>", "", "", true},
		{"FROM:<> SIZE=1", "", "SIZE=1", true},
		{`FROM:<"a>b"@example.net> X`, `"a>b"@example.net`, "X", true},
		{`FROM:<"a\">b"@example.net> X`, `"a\">b"@example.net`, "X", true},
		{"FROM:<@a,@b:c@example.net>", "c@example.net", "", true},
		{"FROM:a@example.net SIZE=1", "a@example.net", "SIZE=1", true},
		{"FROM:<a@example.net", "", "", false},
		{`FROM:<"a@example.net>`, "", "", false},
		{"FROM:<a@example.net>SIZE=1", "", "", false},
		{"FROM:<@a>", "", "", false},
		{"FROM:", "", "", false},
		{"FROM: ", "", "", false},
		{"TO:<a@example.net>", "", "", false},
		{"", "", "", false},
	} {
		path, params, err := cutPath(c.arg, "FROM:")
		if path != c.path || params != c.params || (err == nil) != c.ok {
			t.Errorf("%s: got %q, %q, %v", c.arg, path, params, err)
		}
	}
}

func TestSizesOfMail(t *testing.T) {
	const most = 8 << 30
	for params, want := range map[string]string{
		"": "", "BODY=7BIT": "BODY=7BIT",
		"SIZE=10": "SIZE=10", "SIZE=many X": "SIZE=many X", "SIZE=-1": "SIZE=-1", "SIZE": "SIZE",
		"BODY=7BIT size=8589934592 X": "BODY=7BIT  X", "SIZE=5000000000": "",
	} {
		if rest, fits := sized(params, most); rest != want || !fits {
			t.Errorf("%q leaves %q, fits %v, not %q", params, rest, fits, want)
		}
	}
	for _, params := range []string{"SIZE=8589934593", "X Size=99999999999999999999"} {
		if rest, fits := sized(params, most); fits {
			t.Errorf("%q fits, and leaves %q", params, rest)
		}
	}
}

func TestChunkSizes(t *testing.T) {
	for _, c := range []struct {
		arg    string
		octets int64
		last   bool
		ok     bool
	}{
		{"0", 0, false, true},
		{"100", 100, false, true},
		{"100 LAST", 100, true, true},
		{"100  last", 100, true, true},
		{"5000000000", 5000000000, false, true},
		{"", 0, false, false},
		{"-1", 0, false, false},
		{"+1", 0, false, false},
		{"0x10", 0, false, false},
		{"99999999999999999999", 0, false, false},
		{"1 FIRST", 0, false, false},
		{"1 LAST 2", 0, false, false},
	} {
		octets, last, err := parseChunk(c.arg)
		if octets != c.octets || last != c.last || (err == nil) != c.ok {
			t.Errorf("%q: got %d, %v, %v", c.arg, octets, last, err)
		}
	}
}

// Whatever a client sends, the line that go-smtp gets for it is one line whose
// address it reads as we do: what follows the path is where it looks for
// parameters.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{"TO:<a@b>", `TO:<"a> "@b> NOTIFY=NEVER`, "TO:<@x:a@b>", "to: a@b x", "TO:<postmaster>", `TO:<"\"@b>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		path, params, err := cutPath(arg, "TO:")
		if err != nil {
			return
		}
		if !strings.Contains(arg, path) || !strings.Contains(arg, params) {
			t.Fatalf("%q became %q and %q", arg, path, params)
		}
		if len(path)+len(params) > len(arg) {
			t.Fatalf("%q grew to %q and %q", arg, path, params)
		}
		address, err := parseReverse(path)
		if err != nil || address.IsZero() {
			return
		}
		again, rest, err := cutPath("TO:<"+address.String()+"> "+params, "TO:")
		if err != nil || rest != params {
			t.Fatalf("%q written as <%s> reads %q, %q, %v", arg, address, again, rest, err)
		}
		if same, err := parseReverse(again); same != address || err != nil {
			t.Fatalf("%q is %v and then %v, %v", arg, address, same, err)
		}
	})
}

package cql_test

import (
	"slices"
	"strings"
	"testing"

	"restante/internal/cql"
)

func TestTextIsCutIntoStatements(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // each on one line
	}{
		{"", nil},
		{" \n; ;-- nothing", nil},
		{"SELECT a FROM b", []string{"SELECT a FROM b"}},
		{"USE a; USE b;\n", []string{"USE a", "USE b"}},
		{"-- one;\nUSE a -- two; three\n;/* four; */USE/**/b // five;", []string{"USE a", "USE b"}},
		{`SELECT ';--' FROM "a;b" WHERE c = 'it''s'`, []string{`SELECT ';--' FROM "a;b" WHERE c = 'it''s'`}},
		{`SELECT '' FROM "a""b"`, []string{`SELECT '' FROM "a""b"`}},
		{"SELECT $$ ' ; -- $$ FROM a", []string{"SELECT $$ ' ; -- $$ FROM a"}},
		{"INSERT INTO a.b(c_1)VALUES(?)", []string{"INSERT INTO a . b ( c_1 ) VALUES ( ? )"}},
		{"SELECT a-1/2 FROM b", []string{"SELECT a - 1 / 2 FROM b"}},
		{"SELECT ü FROM b", []string{"SELECT ü FROM b"}},
	} {
		statements, err := cql.Split(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		var got []string
		for _, s := range statements {
			got = append(got, s.String())
			for _, w := range s.Words {
				if !strings.HasPrefix(c.text[w.At:], w.Text) {
					t.Errorf("%q: %q is not at %d", c.text, w.Text, w.At)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestAStatementKeepsTheCommentsWithinIt(t *testing.T) {
	statements, err := cql.Split("-- before\nCREATE TABLE a ( -- of things\n  b int\n) -- after\n;")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := statements[0].Text, "CREATE TABLE a ( -- of things\n  b int\n)"; len(statements) != 1 || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTextThatDoesNotEndIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"USE a;\nUSE 'b":  "line 2: ' does not end",
		"USE \"b;\"\"":    "line 1: \" does not end",
		"USE a /* b\n*":   "line 1: /* does not end",
		"\n\nSELECT $$ a": "line 3: $$ does not end",
	} {
		if _, err := cql.Split(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestKeywordsAreKnownInAnyCase(t *testing.T) {
	statements, err := cql.Split("create Table a (b int)")
	if err != nil {
		t.Fatal(err)
	}
	s := statements[0]
	if !s.Begin("CREATE", "TABLE") || s.Begin("CREATE", "TYPE") || s.Begin(make([]string, 20)...) {
		t.Errorf("%v is not known by its keywords", s)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("SELECT 'a''b' FROM \"c\" -- d\n; /* e */ $$ f $$")
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := cql.Split(text)
		if err != nil {
			return
		}
		for _, s := range statements {
			again, err := cql.Split(s.String())
			if err != nil || len(again) != 1 || again[0].String() != s.String() {
				t.Errorf("%q: %q is cut into %v (%v)", text, s, again, err)
			}
		}
	})
}

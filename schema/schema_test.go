package schema

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"restante/internal/cql"
)

func TestTheChangesOfTheProgramCanBeRead(t *testing.T) {
	defined := map[string]string{}
	for _, c := range Changes() {
		if len(c.Digest) != 64 {
			t.Errorf("%s has digest %q", c.Name, c.Digest)
		}
		for _, s := range c.statements {
			name, _, _ := strings.Cut(s.text[s.name:], " ")
			if defined[name] != "" {
				t.Errorf("%s defines %s, which %s defines", c.Name, name, defined[name])
			}
			defined[name] = c.Name
		}
	}
	for _, name := range []string{"schema_change", "address", "route", "message", "message_temp", "message_done", "maildrop", "maildrop_content", "maildrop_temp", "progress", "relay_event", "relay_content", "relay_segment", "relay_lane", "relay_claim"} {
		if defined[name] == "" {
			t.Errorf("nothing defines %s", name)
		}
	}
	if Changes()[0].Name != "0001-schema_change" {
		t.Errorf("the first change is %s, and the others cannot be recorded", Changes()[0].Name)
	}
}

func TestEveryTableSaysWhatItIsForAndWhyItsOptionsAreSo(t *testing.T) {
	for _, c := range Changes() {
		end := 0
		for _, s := range c.statements {
			comment := c.text[end:s.at]
			end = s.at + len(s.text)
			if !strings.Contains(comment, "-- ") {
				t.Errorf("%s: no comment above %s", c.Name, s.text)
			}
			if strings.HasPrefix(s.text, "CREATE TABLE") && !strings.Contains(comment, "-- Options: ") {
				t.Errorf("%s: no word on the options of %s", c.Name, s.text)
			}
		}
	}
}

func TestChangesAreRefusedThatCannotBeAppliedTwice(t *testing.T) {
	for text, want := range map[string]string{
		"CREATE TABLE a (b int PRIMARY KEY)":                 "may be repeated",
		"CREATE TYPE a (b int)":                              "may be repeated",
		"CREATE TABLE IF NOT EXISTS":                         "may be repeated",
		"ALTER TABLE a ADD b int":                            "may be repeated",
		"DROP TABLE IF EXISTS a":                             "may be repeated",
		"INSERT INTO a (b) VALUES (1)":                       "may be repeated",
		"CREATE TABLE IF NOT EXISTS k.a (b int PRIMARY KEY)": "k names a keyspace",
		"-- nothing":                                         "no statement",
		"CREATE TYPE IF NOT EXISTS a (b int); USE 'k":        "' does not end",
	} {
		_, err := read(fstest.MapFS{"0001-a.cql": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "0001-a.cql") {
			t.Errorf("%s: got %v, want an error that says %q", text, err, want)
		}
	}
}

func TestAGapInTheNumbersOfTheChangesIsRefused(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("CREATE TYPE IF NOT EXISTS a (b int)")}
	for want, names := range map[string][]string{
		"0002-": {"0001-a.cql", "0003-b.cql"},
		"0003-": {"0001-a.cql", "0002-b.cql", "0002-c.cql"},
		"0001-": {"a.cql"},
	} {
		folder := fstest.MapFS{}
		for _, name := range names {
			folder[name] = file
		}
		if _, err := read(folder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error that says %q", names, err, want)
		}
	}
}

func TestTheDigestIsOfTheStatementsAlone(t *testing.T) {
	digest := func(text string) string {
		c, err := parse("a", text)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	plain := digest("CREATE TYPE IF NOT EXISTS a (b int)")
	if got := digest("-- A type.\nCREATE TYPE IF NOT EXISTS a (\n\tb int -- a number\n);\n"); got != plain {
		t.Error("comments and white space count")
	}
	if digest("CREATE TYPE IF NOT EXISTS a (b text)") == plain {
		t.Error("two types have one digest")
	}
	if digest("CREATE TYPE IF NOT EXISTS a (b int); CREATE TYPE IF NOT EXISTS c (d int)") == plain {
		t.Error("a second statement does not count")
	}
}

func TestWhatIsPrintedIsWhatIsApplied(t *testing.T) {
	replication := Replication{"dc1": 3, "dc2": 2}
	var printed strings.Builder
	if err := Print(&printed, "mail", replication); err != nil {
		t.Fatal(err)
	}
	statements, err := cql.Split(printed.String())
	if err != nil {
		t.Fatal(err)
	}
	f := newFake()
	if err := Apply(t.Context(), f, "mail", replication, f.done); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, step := range f.steps {
		text, isDefinition := strings.CutPrefix(step, "define ")
		if name, isRecord := strings.CutPrefix(step, "record "); isRecord {
			text = fmt.Sprintf("INSERT INTO mail.schema_change (name, digest, applied) VALUES ('%s', '%s', toTimestamp(now()))", name, f.applied[name])
		} else if !isDefinition {
			continue
		}
		want = append(want, text)
	}
	if len(statements) != len(want) {
		t.Fatalf("%d statements are printed, %d carried out", len(statements), len(want))
	}
	for i, s := range statements {
		if s.Text != want[i] {
			t.Errorf("printed is\n%s\nand carried out\n%s", s.Text, want[i])
		}
	}
	if !strings.Contains(printed.String(), "-- Options: ") {
		t.Error("the comments are not printed")
	}
}

func TestNothingIsPrintedOfWhatCannotBe(t *testing.T) {
	for _, c := range []struct {
		keyspace    string
		replication Replication
		want        string
	}{
		{"mail", nil, "no replication"},
		{"Mail", Replication{"dc1": 3}, `"Mail" is not the name of a keyspace`},
		{"", Replication{"dc1": 3}, "not the name"},
		{"1mail", Replication{"dc1": 3}, "not the name"},
		{"mail; DROP KEYSPACE mail", Replication{"dc1": 3}, "not the name"},
		{strings.Repeat("a", 49), Replication{"dc1": 3}, "not the name"},
	} {
		var b strings.Builder
		err := Print(&b, c.keyspace, c.replication)
		if err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("%s, %s: got %v and %d octets, want an error that says %q", c.keyspace, c.replication, err, b.Len(), c.want)
		}
	}
}

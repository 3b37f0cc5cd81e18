// Package schema is the tables that package cassandra works on, as changes: CQL
// files that are applied in the order of their names, each once.
//
// There is no lock between two programs that apply at the same time, and none is
// needed. Every statement may be repeated. After each one the nodes are awaited
// until all have the same schema, and only then comes the next, or the row that says
// that the change was applied. Where two nodes create one table at the same time,
// Cassandra 5.0 settles it by dropping the table of one of them: nobody may write
// before all agree, and nobody does who waits for the row (see [Check]). The tables
// have no ids of their own choice (WITH ID), with which that would not happen: a node
// that was away while a keyspace was dropped and made again would take the new
// tables for the old ones, and bring back what was in them.
package schema

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"restante/internal/cql"
)

//go:embed *.cql
var files embed.FS

// A Change is one file: statements that each may be carried out again.
type Change struct {
	Name   string // of the file, without .cql
	Digest string // SHA-256 of the statements, in hexadecimal; comments do not count

	text       string
	statements []statement
}

// A statement is a part of the text of a change.
type statement struct {
	text string
	at   int // where it begins in the change
	name int // where the name of the table or type begins in it
}

// Changes are all of them, in order.
func Changes() []Change { return changes() }

var changes = sync.OnceValue(func() []Change {
	all, err := read(files)
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err)) // a file of the program itself
	}
	return all
})

// read takes the changes out of a folder.
func read(folder fs.FS) ([]Change, error) {
	names, err := fs.Glob(folder, "*.cql") // in order
	if err != nil {
		return nil, err
	}
	var all []Change
	for i, name := range names {
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("%s: its name does not begin with %s", name, want)
		}
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		c, err := parse(strings.TrimSuffix(name, ".cql"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func parse(name, text string) (Change, error) {
	c := Change{Name: name, text: text}
	all, err := cql.Split(text)
	if err != nil {
		return c, err
	}
	if len(all) == 0 {
		return c, fmt.Errorf("no statement in it")
	}
	digest := sha256.New()
	for _, s := range all {
		at, err := target(s)
		if err != nil {
			return c, err
		}
		c.statements = append(c.statements, statement{s.Text, s.Words[0].At, s.Words[at].At - s.Words[0].At})
		fmt.Fprintf(digest, "%s;\n", s)
	}
	c.Digest = hex.EncodeToString(digest.Sum(nil))
	return c, nil
}

// heads are how statements begin that may be repeated. The name of what they define
// follows; it is written without a keyspace.
var heads = [][]string{
	{"CREATE", "TABLE", "IF", "NOT", "EXISTS"},
	{"CREATE", "TYPE", "IF", "NOT", "EXISTS"},
}

// target is which word of a statement names what it defines.
func target(s cql.Statement) (int, error) {
	for _, head := range heads {
		if !s.Begin(head...) {
			continue
		}
		at := len(head)
		if len(s.Words) < at+2 {
			break
		}
		if s.Words[at+1].Text == "." {
			return 0, fmt.Errorf("%s names a keyspace", s.Words[at].Text)
		}
		return at, nil
	}
	return 0, fmt.Errorf("not known as a statement that may be repeated: %s", s)
}

// in is the statement for a keyspace.
func (s statement) in(keyspace string) string {
	return s.text[:s.name] + keyspace + "." + s.text[s.name:]
}

// in is the text of a change for a keyspace, with its comments.
func (c Change) in(keyspace string) string {
	var b strings.Builder
	end := 0
	for _, s := range c.statements {
		b.WriteString(c.text[end:s.at] + s.in(keyspace))
		end = s.at + len(s.text)
	}
	return b.String() + c.text[end:]
}

// keyspaceName is what needs no quotes in CQL.
var keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// CheckKeyspace says why a name cannot be that of a keyspace, if it cannot.
func CheckKeyspace(name string) error {
	if !keyspaceName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a keyspace: a small letter, then up to 47 small letters, digits and _", name)
	}
	return nil
}

// Print writes all that [Apply] would carry out in an empty cluster, as text for
// cqlsh, with the comments.
func Print(w io.Writer, keyspace string, r Replication) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := CheckKeyspace(keyspace); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- The keyspace. All data centres have their own copies of every row.\n%s;\n", createKeyspace(keyspace, r))
	for _, c := range Changes() {
		fmt.Fprintf(&b, "\n-- %s\n\n%s\n", c.Name, c.in(keyspace))
		fmt.Fprintf(&b, "INSERT INTO %s.schema_change (name, digest, applied) VALUES ('%s', '%s', toTimestamp(now()));\n", keyspace, c.Name, c.Digest)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

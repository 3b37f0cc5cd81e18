package restante_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed says which packages of the project a package may import. Tests may
// import more, and a package its own internal ones: see refusal.
var allowed = map[string][]string{
	"mailbox":          {},
	"auth":             {"mailbox", "internal/network"},
	"internal/dotline": {},
	"internal/durable": {},
	"internal/cql":     {},
	"internal/script":  {},
	"internal/session": {},
	"internal/network": {},
	"internal/spool":   {},
	"internal/program": {},
	"letter":           {},
	"textman":          {"mailbox", "letter", "internal/durable"},
	"pop3":             {"mailbox", "auth", "internal/dotline", "internal/network", "internal/session"},
	"smtp":             {"mailbox", "auth", "internal/dotline", "internal/network", "internal/session"},
	"rest":             {"mailbox", "auth", "relay", "relay/pool", "temporary", "textman", "letter", "internal/dotline", "internal/network", "internal/session"},
	"temporary":        {"mailbox", "auth"},
	"relay":            {"mailbox", "internal/spool"},
	"relay/relaytest":  {"mailbox", "relay"},
	"relay/schedule":   {},
	"relay/pool":       {"mailbox", "relay", "relay/schedule"},
	"relay/provider":   {"mailbox", "relay", "internal/dotline"},
	"relay/fake":       {"internal/dotline"},
	"relay/agent":      {"mailbox", "relay", "relay/pool", "smtp", "internal/spool"},
	"embedded":         {"mailbox", "relay", "relay/pool"},
	"schema":           {"internal/cql"},
	"web":              {},
	"web/screenshots":  {"relay/fake", "internal/program"},
	"webhook":          {"mailbox"},
	"app":              {"mailbox", "auth", "relay", "relay/agent", "relay/fake", "relay/pool", "relay/provider", "relay/schedule", "pop3", "smtp", "rest", "temporary", "textman", "web", "webhook", "embedded", "cassandra", "schema", "internal/durable", "internal/network"},
	"cmd/restante":     {"app", "rest"},

	"mailbox/mailboxtest":     {"mailbox"},
	"relay/pool/pooltest":     {"mailbox", "relay/pool"},
	"cassandra":               {"mailbox", "relay", "relay/pool", "schema"},
	"cassandra/cassandratest": {},
	// A load like those of perf, in here because of the driver.
	"cassandra/bare": {"mailbox", "perf/letter", "perf/report", "perf/scenario"},
}

// onlyHere names modules that one package hides from all others.
var onlyHere = map[string]string{
	"github.com/gocql/gocql":             "cassandra",
	"github.com/chromedp/":               "web/internal/browser",
	"github.com/cockroachdb/pebble/":     "embedded",
	"github.com/emersion/go-smtp":        "smtp",
	"github.com/emersion/go-message/":    "letter relay",
	"github.com/emersion/go-msgauth/":    "relay",
	"github.com/microcosm-cc/bluemonday": "letter",
	"github.com/danielgtaylor/huma/":     "rest",
	"github.com/alecthomas/kong":         "cmd/restante perf cassandra/bare",
}

// domainMay is all that the domain imports from outside the standard library.
var domainMay = []string{"github.com/google/uuid", "golang.org/x/net/idna"}

func TestImportsPointInwards(t *testing.T) {
	for file, tree := range goFiles(t) {
		pkg, isTest := path.Dir(file), strings.HasSuffix(file, "_test.go")
		for _, spec := range tree.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := refusal(pkg, imported, isTest); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
}

// refusal says why a package may not import another, or nothing.
func refusal(pkg, imported string, isTest bool) string {
	for module, home := range onlyHere {
		if !strings.HasPrefix(imported+"/", strings.TrimSuffix(module, "/")+"/") {
			continue
		}
		at := func(h string) bool { return pkg == h || strings.HasPrefix(pkg, h+"/") }
		if !slices.ContainsFunc(strings.Fields(home), at) {
			return "only " + home + " knows that module"
		}
	}
	ours, isOurs := strings.CutPrefix(imported, "restante/")
	switch {
	case !isOurs:
		if pkg == "mailbox" && !isTest && strings.Contains(imported, ".") && !slices.Contains(domainMay, imported) {
			return "the domain stands on the standard library and " + strings.Join(domainMay, " and ")
		}
		return ""
	case pkg == "perf" || strings.HasPrefix(pkg, "perf/"):
		if !strings.HasPrefix(ours, "internal/") && !strings.HasPrefix(ours, "perf/") {
			return "perf sees the system from outside"
		}
		return ""
	case inside(pkg, ours):
		return "" // Go itself keeps others out
	case isTest && ours != "app":
		return "" // tests bring real parts together
	case ours == "app" && pkg != "cmd/restante" && !isTest:
		return "nobody but the program imports app"
	}
	may, known := allowed[pkg]
	if !known {
		return "the table in imports_test.go does not know " + pkg
	}
	if !slices.Contains(may, ours) && !isTest {
		return "not in the table in imports_test.go"
	}
	return ""
}

// inside reports whether imported is an internal package of the home of pkg.
func inside(pkg, imported string) bool {
	home, _, ok := strings.Cut(imported, "/internal/")
	return ok && (pkg == home || strings.HasPrefix(pkg, home+"/"))
}

func TestTheTableOfImportsRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct{ pkg, imported string }{
		{"pop3", "restante/embedded"},
		{"embedded", "restante/pop3"},
		{"mailbox", "restante/auth"},
		{"mailbox", "github.com/cockroachdb/pebble/v2"},
		{"mailbox", "golang.org/x/crypto/argon2"},
		{"smtp", "github.com/gocql/gocql"},
		{"rest", "restante/app"},
		{"perf/load", "restante/mailbox"},
		{"unknown", "restante/mailbox"},
	} {
		if refusal(c.pkg, c.imported, false) == "" {
			t.Errorf("%s may import %s", c.pkg, c.imported)
		}
	}
}

func TestEveryPackageHasOnePackageComment(t *testing.T) {
	comments := map[string][]string{}
	for file, tree := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		pkg := path.Dir(file)
		comments[pkg] = append(comments[pkg], "")
		if tree.Doc != nil {
			comments[pkg] = append(comments[pkg], file)
		}
	}
	for pkg, files := range comments {
		files = slices.DeleteFunc(files, func(f string) bool { return f == "" })
		if len(files) != 1 {
			t.Errorf("%s: package comments in %v, want exactly one", pkg, files)
		}
	}
}

// goFiles parses the files rather than ask the go command, whose answer the
// test cache would keep although the files changed.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		files[filepath.ToSlash(name)] = tree
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d files: not the root of the project?", len(files))
	}
	return files
}

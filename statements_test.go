package restante_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"restante/internal/cql"
)

// Mail is kept by statements that may be repeated, arrive late and in any order.
// What follows reads every one of them, in the schema and in the strings of the
// program, and what the program says to the driver.

func TestNoStatementNeedsMoreThanAnUpsert(t *testing.T) {
	found := 0
	for file, text := range sources(t) {
		statements, refused, err := examine(file, text)
		if err != nil {
			t.Fatal(err)
		}
		found += statements
		for _, r := range refused {
			t.Errorf("%s: %s", file, r)
		}
	}
	if found < 40 {
		t.Errorf("found %d statements, and there are more", found)
	}
}

// trespass is the one file that breaks the rule, to show that it is noticed when it runs.
const trespass = "cassandra/cassandratest/transaction_test.go"

// sources are the files that may hold statements, but for this one.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != "." {
			return fs.SkipDir
		}
		if d.IsDir() || name == "statements_test.go" || filepath.ToSlash(name) == trespass || !slices.Contains([]string{".go", ".cql"}, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// examine returns how many statements a file has, and what is wrong with them.
func examine(file, text string) (statements int, refused []string, err error) {
	if strings.HasSuffix(file, ".cql") {
		all, err := cql.Split(text)
		for _, s := range all {
			if why := refuse(s); why != "" {
				refused = append(refused, fmt.Sprintf("%s: %s", why, s))
			}
		}
		return len(all), refused, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		return 0, nil, err
	}
	driver := strings.HasPrefix(file, "cassandra/") || slices.ContainsFunc(tree.Imports, func(s *ast.ImportSpec) bool {
		return strings.Contains(s.Path.Value, "gocql")
	})
	at := func(n ast.Node, format string, args ...any) {
		refused = append(refused, fmt.Sprintf("line %d: ", set.Position(n.Pos()).Line)+fmt.Sprintf(format, args...))
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BinaryExpr, *ast.BasicLit:
			text, isText := folded(n.(ast.Expr))
			if !isText {
				return true
			}
			if !isStatement.MatchString(text) {
				if driver && fragment.MatchString(text) {
					at(n, "a part of a statement that is refused as a whole: %q", text)
				}
				return false
			}
			all, err := cql.Split(text)
			if err != nil && driver {
				at(n, "%v: %q", err, text)
			}
			statements += len(all)
			for _, s := range all {
				if why := refuse(s); why != "" {
					at(n, "%s: %s", why, s)
				}
			}
			return false
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "gocql" && n.Sel.Name == "Serial" {
				at(n, "a lightweight transaction: gocql.Serial")
			}
		case *ast.Ident:
			if why := driverWords[n.Name]; driver && why != "" {
				at(n, "%s: %s", why, n.Name)
			}
		}
		return true
	})
	return statements, refused, nil
}

// folded is a text that is a literal or put together of some; what is not known
// stands as a name.
func folded(e ast.Expr) (text string, isText bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, isX := folded(e.X)
		y, isY := folded(e.Y)
		return x + y, isX || isY
	}
	return "unknown", false
}

var (
	isStatement = regexp.MustCompile(`(?is)^\s*(--[^\n]*\n\s*)*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s.+\sSET\s|DELETE\s.*\bFROM\s|TRUNCATE\s+\w|BEGIN\s+(UNLOGGED\s+|COUNTER\s+)?BATCH\s|(CREATE|ALTER|DROP)\s+(KEYSPACE|TABLE|TYPE|INDEX|CUSTOM|MATERIALIZED|FUNCTION|AGGREGATE|TRIGGER)\s)`)
	// fragment is what a statement may be put together of elsewhere. Keywords are
	// written in capitals.
	fragment = regexp.MustCompile(`\b(IF( NOT)? EXISTS|IF \w+|ALLOW FILTERING|UNLOGGED|(LOCAL_)?SERIAL)\b`)
	// driverWords are what the driver has for lightweight transactions and for what
	// is no idempotent write.
	driverWords = map[string]string{
		"LocalSerial":        "a lightweight transaction",
		"SerialConsistency":  "a lightweight transaction",
		"ScanCAS":            "a lightweight transaction",
		"MapScanCAS":         "a lightweight transaction",
		"ExecuteBatchCAS":    "a lightweight transaction",
		"MapExecuteBatchCAS": "a lightweight transaction",
		"CounterBatch":       "a counter",
		"UnloggedBatch":      "a batch that may be carried out in part",
		"BatchType":          "a batch that may be carried out in part",
	}
)

// refuse says why a statement may not be, or nothing.
func refuse(s cql.Statement) string {
	has := func(keywords ...string) bool { return find(s.Words, keywords...) >= 0 }
	defines := s.Begin("CREATE") || s.Begin("ALTER") || s.Begin("DROP")
	switch {
	case has("IF") && !(defines && (has("IF", "EXISTS") || has("IF", "NOT", "EXISTS"))):
		return "a lightweight transaction"
	case has("ALLOW", "FILTERING"):
		return "a search through all partitions"
	case s.Begin("BEGIN"):
		return "a batch as text"
	case s.Begin("CREATE", "INDEX"), s.Begin("CREATE", "CUSTOM"):
		return "a secondary index"
	case s.Begin("CREATE", "MATERIALIZED"):
		return "a materialised view"
	case s.Begin("CREATE", "FUNCTION"), s.Begin("CREATE", "AGGREGATE"), s.Begin("CREATE", "TRIGGER"), s.Begin("CREATE", "OR"):
		return "code in the database"
	case defines && has("COUNTER"):
		return "a counter"
	case defines && mutable(s.Words):
		return "a collection that is not frozen"
	case (s.Begin("UPDATE") || s.Begin("DELETE")) && has("["):
		return "a part of a collection"
	case s.Begin("UPDATE") && (has("+") || has("-", "?")):
		return "a change that depends on what was there"
	}
	return ""
}

// find is where keywords follow each other, or -1.
func find(words []cql.Word, keywords ...string) int {
	for i := range words {
		if (cql.Statement{Words: words[i:]}).Begin(keywords...) {
			return i
		}
	}
	return -1
}

// mutable reports whether a list, a set or a map stands outside of frozen<…>.
func mutable(words []cql.Word) bool {
	frozen, depth := 0, 0 // frozen is the depth at which it began
	for i, w := range words[:max(0, len(words)-1)] {
		opens := words[i+1].Text == "<"
		switch {
		case w.Text == "<":
			depth++
		case w.Text == ">":
			if depth--; depth < frozen {
				frozen = 0
			}
		case opens && w.Is("FROZEN") && frozen == 0:
			frozen = depth + 1
		case opens && frozen == 0 && (w.Is("LIST") || w.Is("SET") || w.Is("MAP")):
			return true
		}
	}
	return false
}

func TestStatementsThatNeedMoreThanAnUpsertAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"INSERT INTO a (b) VALUES (?) IF NOT EXISTS":           "a lightweight transaction",
		"insert into a (b) values (?) if not exists":           "a lightweight transaction",
		"UPDATE a SET b = ? WHERE c = ? IF EXISTS":             "a lightweight transaction",
		"UPDATE a SET b = ? WHERE c = ? IF b = ?":              "a lightweight transaction",
		"DELETE FROM a WHERE c = ? IF b IN (?, ?)":             "a lightweight transaction",
		"DELETE b FROM a WHERE c = ? /* */ IF\n\tEXISTS":       "a lightweight transaction",
		"SELECT b FROM a WHERE c = ? ALLOW FILTERING":          "a search",
		"select b from a where c = ? allow\nfiltering":         "a search",
		"BEGIN BATCH INSERT INTO a (b) VALUES (1) APPLY BATCH": "a batch",
		"BEGIN UNLOGGED BATCH DELETE FROM a APPLY BATCH":       "a batch",
		"CREATE INDEX ON a (b)":                                "a secondary index",
		"CREATE INDEX IF NOT EXISTS c ON a (b)":                "a secondary index",
		"CREATE CUSTOM INDEX c ON a (b) USING 'SAI'":           "a secondary index",
		"CREATE MATERIALIZED VIEW c AS SELECT b FROM a":        "a materialised view",
		"CREATE TRIGGER c ON a USING 'd'":                      "code in the database",
		"CREATE TABLE a (b int PRIMARY KEY, c counter)":        "a counter",
		"ALTER TABLE a ADD c counter":                          "a counter",
		"CREATE TABLE a (b int PRIMARY KEY, c list<int>)":      "a collection that is not frozen",
		"CREATE TABLE a (b int PRIMARY KEY, c set < text >)":   "a collection that is not frozen",
		"CREATE TABLE a (b int PRIMARY KEY, c map<int, int>)":  "a collection that is not frozen",
		"CREATE TABLE a (b frozen<set<int>>, c LIST<int>)":     "a collection that is not frozen",
		"CREATE TABLE a (b frozen<x>, c map<int, frozen<y>>)":  "a collection that is not frozen",
		"CREATE TYPE a (b set<int>)":                           "a collection that is not frozen",
		"ALTER TABLE a ADD c set<int>":                         "a collection that is not frozen",
		"UPDATE a SET b = b + ? WHERE c = ?":                   "a change that depends on what was there",
		"UPDATE a SET b = b - ? WHERE c = ?":                   "a change that depends on what was there",
		"UPDATE a SET b[?] = ? WHERE c = ?":                    "a part of a collection",
		"DELETE b[0] FROM a WHERE c = ?":                       "a part of a collection",
	} {
		if _, refused, err := examine("a.cql", text); err != nil || len(refused) != 1 || !strings.HasPrefix(refused[0], want) {
			t.Errorf("%s: in a file: got %q (%v), want %s", text, refused, err, want)
		}
		program := "package p\n\nvar a = f(" + strconv.Quote(text) + ")\n"
		if _, refused, err := examine("a.go", program); err != nil || len(refused) != 1 || !strings.HasPrefix(refused[0], "line 3: "+want) {
			t.Errorf("%s: in a program: got %q (%v), want %s", text, refused, err, want)
		}
	}
}

func TestWhatTheDriverIsToldIsRefusedToo(t *testing.T) {
	for text, want := range map[string]string{
		`q.Consistency(gocql.Serial)`:                                            "gocql.Serial",
		`q.SerialConsistency(gocql.LocalSerial)`:                                 "SerialConsistency",
		`gocql.ClusterConfig{SerialConsistency: x}`:                              "SerialConsistency",
		`gocql.ParseConsistency("LOCAL_SERIAL")`:                                 "LOCAL_SERIAL",
		`q.ScanCAS(&a)`:                                                          "ScanCAS",
		`q.MapScanCAS(a)`:                                                        "MapScanCAS",
		`s.ExecuteBatchCAS(b)`:                                                   "ExecuteBatchCAS",
		`s.MapExecuteBatchCAS(b)`:                                                "MapExecuteBatchCAS",
		`s.NewBatch(gocql.UnloggedBatch)`:                                        "UnloggedBatch",
		`s.NewBatch(gocql.BatchType(1))`:                                         "BatchType",
		`s.NewBatch(gocql.CounterBatch)`:                                         "CounterBatch",
		`s.Query("INSERT INTO " + t + " (b) VALUES (?) " + "IF NOT EXISTS")`:     "a lightweight transaction",
		`s.Query(fmt.Sprintf("INSERT INTO %s (b) VALUES (?) IF NOT EXISTS", t))`: "a lightweight transaction",
		`s.Query(insert + " IF NOT EXISTS")`:                                     "a part of a statement",
		`s.Query(insert + condition("IF owner = ?"))`:                            "a part of a statement",
		`s.Query(read, " ALLOW FILTERING")`:                                      "a part of a statement",
	} {
		program := "package p\n\nimport \"github.com/gocql/gocql\"\n\nvar a = " + text + "\n"
		_, refused, err := examine("cassandra/a.go", program)
		if err != nil || len(refused) == 0 || !strings.Contains(strings.Join(refused, "\n"), want) {
			t.Errorf("%s: got %q (%v), want %s", text, refused, err, want)
		}
	}
}

func TestStatementsThatAreUpsertsAreNotRefused(t *testing.T) {
	for _, text := range []string{
		"INSERT INTO a (b) VALUES ('IF NOT EXISTS')",
		"SELECT b -- IF EXISTS\nFROM a",
		"CREATE TABLE IF NOT EXISTS a (b int PRIMARY KEY, c frozen<list<int>>, d frozen<map<int, frozen<set<int>>>>)",
		"CREATE TABLE a (b frozen<x>, set int, \"list\" text) WITH compaction = {'class': 'x'}",
		"DROP KEYSPACE IF EXISTS a",
		"UPDATE a USING TIMESTAMP ? AND TTL ? SET b = ? WHERE c = ? AND d = -1",
		"DELETE FROM a USING TIMESTAMP ? WHERE b = ? AND c >= ? AND c <= ?",
	} {
		program := "package p\n\nvar a = f(" + strconv.Quote(text) + ")\n"
		if n, refused, err := examine("cassandra/a.go", program); n != 1 || err != nil || refused != nil {
			t.Errorf("%s: got %d statements, %q (%v)", text, n, refused, err)
		}
	}
}

package mailboxtest_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"restante/mailbox/mailboxtest"
)

// brokenEnv names the broken store that a child process runs the suites on.
const brokenEnv = "MAILBOXTEST_BROKEN"

// A broken store is made by changing one behaviour of the one in memory.
type broken struct {
	change   func(*mailboxtest.Stores)
	caughtBy []string // the cases that are there to catch it
}

func brokenStores() map[string]broken {
	all := maps.Clone(brokenContents)
	maps.Copy(all, brokenMaildrops)
	maps.Copy(all, brokenAddresses)
	return all
}

func brokenStore(name string) mailboxtest.Stores {
	stores := mailboxtest.Memory()
	brokenStores()[name].change(&stores)
	return stores
}

// A suite that cannot fail proves nothing. Each broken store breaks one promise;
// the cases that are there to catch it run on it in a process of their own, and
// each of them must fail.
func TestTheSuitesCatchABrokenStore(t *testing.T) {
	if name := os.Getenv(brokenEnv); name != "" {
		suites(t, brokenStore(name))
		return
	}
	for name, broken := range brokenStores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The model draws its histories: a hundred now and then miss what a
			// thousand find, and it stops at the first.
			output := child(t, name, pattern(broken.caughtBy), "-rapid.shrinktime=1ms", "-rapid.checks=1000")
			for _, caughtBy := range broken.caughtBy {
				if !strings.Contains(output, "--- FAIL: TestTheSuitesCatchABrokenStore/"+underscored(caughtBy)+" (") {
					t.Errorf("not caught by %q:\n%s", caughtBy, output)
				}
			}
		})
	}
}

// A history that fails is useless while it is long.
func TestTheModelShrinksAHistoryThatFails(t *testing.T) {
	if name := os.Getenv(brokenEnv); name != "" {
		mailboxtest.Options{Writers: 1, Steps: 20}.Model(t, func(*testing.T) mailboxtest.Stores { return brokenStore(name) })
		return
	}
	output := child(t, "lists again what is added late", "^TestTheModelShrinksAHistoryThatFails$", "-rapid.shrinktime=1m", "-rapid.seed=1")
	if calls := strings.Count(output, "draw call"); calls < 2 || calls > 4 {
		t.Errorf("the history has %d calls; want little more than a removal and what comes late:\n%s", calls, output)
	}
}

// child runs tests on a broken store in a new process, which must fail.
func child(t *testing.T, broken, tests string, flags ...string) (output string) {
	t.Helper()
	args := append(flags, "-test.run="+tests, "-test.timeout=2m", "-rapid.nofailfile")
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), brokenEnv+"="+broken)
	b, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("every test passes:\n%s", b)
	}
	return string(b)
}

// pattern selects these cases of the test, each written as suite/case/subcase.
func pattern(cases []string) string {
	levels := []string{"^TestTheSuitesCatchABrokenStore$"}
	for depth := range 3 {
		var names []string
		for _, name := range cases {
			if parts := strings.Split(underscored(name), "/"); depth < len(parts) && !slices.Contains(names, parts[depth]) {
				names = append(names, parts[depth])
			}
		}
		if names != nil {
			levels = append(levels, "^("+strings.Join(names, "|")+")$")
		}
	}
	return strings.Join(levels, "/")
}

// underscored is the name of a subtest as package testing writes it.
func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }

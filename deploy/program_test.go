// Package deploy_test holds the files for operators against the program itself: its
// flags, its ports, its metrics.
package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"restante/internal/program"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "restante-deploy-*")
	if err != nil {
		panic(err)
	}
	bin = filepath.Join(dir, "restante")
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bin is where built leaves the program.
var bin string

var build = sync.OnceValue(func() error { return program.Build(context.Background(), bin, program.Restante) })

// built is the path of the program.
func built(t *testing.T) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return bin
}

// run carries out a command line of the program, without the settings of whoever
// runs the tests, and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), built(t), args...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A commandLine is what a container or a unit starts.
type commandLine struct {
	args []string
	env  []string // names of variables
}

// check reports flags, settings of the file and variables that the command has not.
func (c commandLine) check(t *testing.T, where string, file map[string]any) {
	t.Helper()
	// With --help nothing is done, but what is unknown is refused before.
	out, err := run(t, append(c.args, "--help")...)
	if err != nil {
		t.Errorf("%s: restante %s: %v: %s", where, strings.Join(c.args, " "), err, out)
		return
	}
	flags := map[string]bool{}
	for _, m := range regexp.MustCompile(`--(?:\[no-\])?([a-z0-9-]+)`).FindAllStringSubmatch(out, -1) {
		flags[m[1]] = true
	}
	for _, name := range c.env {
		setting, ours := strings.CutPrefix(name, "RESTANTE_")
		if ours && !flags[strings.ToLower(strings.ReplaceAll(setting, "_", "-"))] {
			t.Errorf("%s: %s is no variable of restante %s", where, name, c.args[0])
		}
	}
	for key := range file {
		if !flags[key] {
			t.Errorf("%s: %s is no setting of restante %s", where, key, c.args[0])
		}
	}
}

func TestACommandLineWithWhatIsNotThereIsNoticed(t *testing.T) {
	if out, err := run(t, "serve", "--pop4=off", "--help"); err == nil {
		t.Errorf("serve took --pop4: %s", out)
	}
}

// documents reads the documents of a YAML file.
func documents(t *testing.T, name string) []map[string]any {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []map[string]any
	for d := yaml.NewDecoder(f); ; {
		var one map[string]any
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, one)
	}
}

// as converts a part of a document to a type of its own; fields that the type has
// not are left out.
func as[T any](t *testing.T, part any) T {
	t.Helper()
	var v T
	text, err := yaml.Marshal(part)
	if err == nil {
		err = yaml.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

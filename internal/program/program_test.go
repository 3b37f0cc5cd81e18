package program

import (
	"context"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source is a program that is small.
func source(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "small.go")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAProgramHasTheRaceDetectorWhereTheTestHasIt(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "small")
	if err := Build(t.Context(), binary, source(t, "package main\n\nfunc main() {}\n"), "-tags=some"); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	for _, s := range info.Settings {
		has[s.Key] = s.Value
	}
	if (has["-race"] == "true") != race || has["-tags"] != "some" {
		t.Errorf("it has %v; the test has the race detector: %v", has, race)
	}
}

func TestWhatTheCompilerSaysIsToldToWhoeverBuilds(t *testing.T) {
	err := Build(context.Background(), t.TempDir()+"/", source(t, "package main\n\nfunc main() { nonsense() }\n"))
	if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Error(err)
	}
}

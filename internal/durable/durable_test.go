package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"restante/internal/durable"
)

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "mark")
	for _, text := range []string{"a long first text\n", "short\n"} {
		// What a process has left that ended in the middle is of no consequence.
		if err := os.WriteFile(name+".new", []byte("half of something that was longer than all"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v are left", left, err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "mark"), nil); err == nil {
		t.Error("written into a directory that is not there")
	}
}

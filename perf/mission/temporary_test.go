package mission

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// filled is a temporary directory with a file in it.
func filled(t *testing.T) *temporary {
	t.Helper()
	d, err := newTemporary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "mail"), nil, 0o600); err != nil {
		t.Error(err)
	}
	return d
}

func gone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestATemporaryDirectoryIsGoneWhenItIsClosed(t *testing.T) {
	d := filled(t)
	if err := d.close(); err != nil {
		t.Error(err)
	}
	gone(t, d.dir)
}

// A tool that is killed closes the input of the keeper.
func TestATemporaryDirectoryGoesWithTheTool(t *testing.T) {
	d := filled(t)
	if err := d.in.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.keeper.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the directory is kept")
	}
	gone(t, d.dir)
}

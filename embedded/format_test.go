package embedded

import (
	"bufio"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"restante/mailbox"
)

// holdDirectory, in the environment, makes the test binary a process that has a
// store open until its standard input ends.
const holdDirectory = "RESTANTE_TEST_HOLD_DIRECTORY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDirectory); dir != "" {
		hold(dir)
		return
	}
	os.Exit(m.Run())
}

func hold(dir string) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("open\n")
	io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		panic(err)
	}
}

// TestADirectoryBelongsToOneProcess opens it from a second one.
func TestADirectoryBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), holdDirectory+"="+dir)
	other.Stderr = os.Stderr
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	isLocked(t, dir)
	in.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	openStore(t, Options{Dir: dir, FS: vfs.Default})
	t.Run("the same process, by another path", func(t *testing.T) {
		t.Chdir(dir)
		isLocked(t, ".")
	})
}

func isLocked(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(Options{Dir: dir})
	if err == nil {
		s.Close()
	}
	abs, _ := filepath.Abs(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), abs) {
		t.Errorf("Open = %v; want that %s is in use", err, abs)
	}
}

// TestADirectoryThatIsNoneOfOursIsRefused tries to open what Open must not touch.
func TestADirectoryThatIsNoneOfOursIsRefused(t *testing.T) {
	write := func(name, text string) func(*testing.T, vfs.FS) {
		return func(t *testing.T, fs vfs.FS) {
			if err := fs.MkdirAll("mail", 0o700); err != nil {
				t.Fatal(err)
			}
			f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	tests := map[string]struct {
		prepare func(*testing.T, vfs.FS)
		want    error
		says    []string
	}{
		"a newer format":              {write("mail/FORMAT", "restante embedded store, format 7\n"), ErrFormat, []string{"mail", "7", "5"}},
		"another program's file":      {write("mail/FORMAT", "tar"), ErrFormat, []string{"mail", "tar"}},
		"half a file":                 {write("mail/FORMAT", "restante embedded store, format 1"), ErrFormat, []string{"mail"}},
		"an empty file":               {write("mail/FORMAT", ""), ErrFormat, []string{"mail"}},
		"a database without a format": {write("mail/MANIFEST-000001", ""), ErrFormat, []string{"mail", "FORMAT"}},
		"a file instead of a directory": {func(t *testing.T, fs vfs.FS) {
			f, err := fs.Create("mail", vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}, nil, []string{"mail", "not a directory"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			test.prepare(t, fs)
			s, err := Open(Options{Dir: "mail", FS: fs})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Open = %v; want %v", err, test.want)
			}
			for _, word := range test.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("Open = %v; want it to say %q", err, word)
				}
			}
		})
	}
}

// TestADirectoryWithoutPermissionIsNamed cannot rely on the system's permissions,
// which do not bind root.
func TestADirectoryWithoutPermissionIsNamed(t *testing.T) {
	f := &fault{err: &iofs.PathError{Op: "open", Path: "mail", Err: iofs.ErrPermission}, match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpCreate
	}}
	f.armed.Store(true)
	_, err := Open(Options{Dir: "mail", FS: faulty(vfs.NewMem(), f)})
	if err == nil || !strings.Contains(err.Error(), "no permission to write in directory mail") {
		t.Errorf("Open = %v", err)
	}
}

// TestOpenFailsWhereverTheDiskDoes fails every write of Open in turn, and opens
// what is left.
func TestOpenFailsWhereverTheDiskDoes(t *testing.T) {
	for n := 0; ; n++ {
		mem, count := vfs.NewCrashableMem(), 0
		f := &fault{err: errors.New("the disk fails"), match: func(op errorfs.Op) bool {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return false
			}
			count++
			return count > n
		}}
		f.armed.Store(true)
		s, err := Open(Options{Dir: "mail", FS: faulty(mem, f)})
		if err == nil {
			if err := s.Close(); err != nil && count <= n {
				t.Error(err)
			}
		}
		if err == nil && count <= n {
			break
		}
		s, err = Open(Options{Dir: "mail", FS: mem.CrashClone(vfs.CrashCloneCfg{})})
		if err != nil {
			t.Fatalf("after a failure at write %d: %v", n, err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAStoreComesBackAsItWasClosed reopens a directory on the disk.
func TestAStoreComesBackAsItWasClosed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, FS: vfs.Default})
	l, rng := newLoad(s), seeded(1)
	for range 50 {
		if err := l.step(t.Context(), rng); err != nil {
			t.Fatal(err)
		}
	}
	address := mailbox.Address{Local: "fred", Domain: "example.org"}
	if err := s.Addresses().Put(t.Context(), address, mailbox.Route{Kind: mailbox.Account, Life: 3}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{Dir: dir, FS: vfs.Default})
	known := l.witness.snapshot()
	check(t, s, known, known, l.drops)
	if r, err := s.Addresses().Lookup(t.Context(), address); err != nil || r.Life != 3 {
		t.Errorf("Lookup = %v, %v", r, err)
	}
}

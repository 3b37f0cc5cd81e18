package embedded

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the layout in keys.go. Version 2 has addresses that
// are forgotten, and more kinds of what expires; version 3 has outbound mail, which an
// older program would take for left behind; version 4 has still more kinds of what
// expires; version 5 has contents of outbound mail beside its events. What they find of an
// earlier one is right.
const formatVersion = 5

// The file beside Pebble's that names the version, and what it begins with.
const (
	formatFile  = "FORMAT"
	formatMagic = "restante embedded store, format "
)

// What a directory may be that Open refuses.
var (
	// ErrLocked: another process that runs uses the directory.
	ErrLocked = errors.New("directory is in use")
	// ErrFormat: a newer program, or another one, wrote the directory.
	ErrFormat = errors.New("unknown store format")
)

// claim makes sure that the directory exists, is ours alone and has our format.
// The caller closes the lock, after the database.
func claim(fs vfs.FS, dir string) (*pebble.Lock, error) {
	if err := makeDirectory(fs, dir); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return nil, lockError(dir, err)
	}
	if err := checkFormat(fs, dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func makeDirectory(fs vfs.FS, dir string) error {
	if info, err := fs.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return directoryError(dir, err)
	}
	return nil
}

func directoryError(dir string, err error) error {
	if errors.Is(err, iofs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("no permission to write in directory %s: %w", dir, err)
	}
	return fmt.Errorf("directory %s cannot be used: %w", dir, err)
}

// lockError tells a lock that is held from one that cannot be taken. The error
// of a lock held by this very process has no type.
func lockError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "held by current process") {
		return fmt.Errorf("directory %s belongs to another running process: %w", dir, ErrLocked)
	}
	return directoryError(dir, err)
}

// checkFormat reads the format file, or writes it where nothing was stored yet.
func checkFormat(fs vfs.FS, dir string) error {
	found, err := readFormat(fs, fs.PathJoin(dir, formatFile))
	switch {
	case err == nil && found > formatVersion:
		return fmt.Errorf("directory %s has format %d, this program knows formats up to %d: %w", dir, found, formatVersion, ErrFormat)
	case err == nil && found == formatVersion:
		return nil
	case err == nil: // an older one, which needs nothing but to be closed to older programs
		if err := writeFormat(fs, dir); err != nil {
			return directoryError(dir, err)
		}
		return nil
	case !errors.Is(err, errNoFormat):
		return fmt.Errorf("format of directory %s: %w", dir, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return directoryError(dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "marker.manifest.") {
			return fmt.Errorf("directory %s holds a database without a %s file: %w", dir, formatFile, ErrFormat)
		}
	}
	if err := writeFormat(fs, dir); err != nil {
		return directoryError(dir, err)
	}
	return nil
}

var errNoFormat = errors.New("no format file")

// maxFormatFile is more than any version of the file is long.
const maxFormatFile = 1 << 10

func readFormat(fs vfs.FS, path string) (version int, err error) {
	f, err := fs.Open(path)
	if isNotExist(err) {
		return 0, errNoFormat
	}
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFormatFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(string(text), formatMagic)
	number, end := strings.CutSuffix(number, "\n")
	version, err = strconv.Atoi(number)
	if !ok || !end || err != nil || version < 1 {
		return 0, fmt.Errorf("%s file begins with %.40q: %w", formatFile, text, ErrFormat)
	}
	return version, nil
}

// writeFormat writes the format file as a whole or not at all, before Pebble
// writes anything.
func writeFormat(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, formatFile)
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, formatMagic+strconv.Itoa(formatVersion)+"\n")
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isNotExist(err error) bool { return errors.Is(err, iofs.ErrNotExist) }

// Package durable writes small files that survive a loss of power.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces a file, which its owner alone may read. It holds either what is
// written or what it held before, whenever the machine stops, and what is written once
// WriteFile has returned. One writer at a time may use a name.
func WriteFile(name string, text []byte) error {
	draft, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = draft.Write(text)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

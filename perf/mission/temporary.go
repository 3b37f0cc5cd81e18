package mission

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"restante/perf/peer"
)

// A temporary directory goes with this process, however that ends: another one waits for
// it and removes the directory.
type temporary struct {
	dir    string
	keeper *exec.Cmd
	in     io.Closer
	said   strings.Builder
}

// keeping waits for the end of its input, and then has some patience with what servers
// that are being killed may still write.
const keeping = `read -r _; for i in 1 2 3 4 5 6 7 8 9; do rm -rf "$1" 2>/dev/null && exit; sleep 0.5; done; rm -rf "$1"`

// newTemporary makes one below a directory, the system's if empty.
func newTemporary(below string) (_ *temporary, err error) {
	t := &temporary{}
	if t.dir, err = peer.TempDir(below); err != nil {
		return nil, err
	}
	t.keeper = exec.Command("sh", "-c", keeping, "sh", t.dir)
	t.keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tool
	t.keeper.Stderr = &t.said
	if t.in, err = t.keeper.StdinPipe(); err == nil {
		err = t.keeper.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(t.dir))
	}
	return t, nil
}

// close removes the directory.
func (t *temporary) close() error {
	err := errors.Join(t.in.Close(), t.keeper.Wait())
	if said := t.said.String(); said != "" {
		err = errors.Join(err, errors.New(said))
	}
	return err
}

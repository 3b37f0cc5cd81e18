package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// spareRoom is what is left on a small disk for a node to start with.
	spareRoom = 192 << 20
	filler    = "filler"
)

// A smallDisk is a file system in memory where a directory was. A process of its own holds
// it and takes it away when this tool ends, however it does.
type smallDisk struct {
	dir, old string // where it is, and what was there
	holder   *exec.Cmd
	in       io.Closer
}

// holdDisk mounts, says so, and waits for the end of its input.
const holdDisk = `mount -t tmpfs -o size="$1",mode=0700 restante-perf "$2" && echo ok && { read -r _; umount -l "$2"; }`

// newSmallDisk moves a directory that nobody uses to a small disk. After an error there is
// none, and everything is as it was.
func newSmallDisk(ctx context.Context, dir string) (*smallDisk, error) {
	used, err := octetsBelow(dir)
	if err != nil {
		return nil, err
	}
	d := &smallDisk{dir: dir, old: dir + ".large"}
	if err := errors.Join(os.Rename(dir, d.old), os.Mkdir(dir, 0o700)); err != nil {
		return nil, err
	}
	err = d.mount(used + spareRoom)
	if err == nil {
		if err = copyAll(ctx, d.old, d.dir); err != nil {
			err = errors.Join(err, d.unmount()) // what is there is a part
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir), os.Rename(d.old, dir))
	}
	return d, nil
}

func (d *smallDisk) mount(octets int64) error {
	d.holder = exec.Command("sh", "-c", holdDisk, "sh", fmt.Sprint(octets), d.dir)
	d.holder.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tool
	var said strings.Builder
	d.holder.Stderr = &said
	in, err := d.holder.StdinPipe()
	if err != nil {
		return err
	}
	out, err := d.holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.holder.Start(); err != nil {
		return err
	}
	d.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ok\n" {
		err = errors.Join(err, d.unmount())
		return fmt.Errorf("mount a small disk: %w: %s", err, said.String())
	}
	return nil
}

// fill takes all the room that is left.
func (d *smallDisk) fill() error {
	f, err := os.Create(filepath.Join(d.dir, filler))
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// moveBack moves what is there to the large disk, in place of what was there before.
func (d *smallDisk) moveBack(ctx context.Context) error {
	fresh := d.dir + ".fresh"
	err := errors.Join(os.RemoveAll(filepath.Join(d.dir, filler)), os.Mkdir(fresh, 0o700))
	if err == nil {
		err = copyAll(ctx, d.dir, fresh)
	}
	err = errors.Join(err, d.unmount())
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(d.old), os.Remove(d.dir), os.Rename(fresh, d.dir))
}

func (d *smallDisk) unmount() error {
	return errors.Join(d.in.Close(), d.holder.Wait())
}

// copyAll copies what is in a directory into another one.
func copyAll(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, out)
	}
	return nil
}

func octetsBelow(dir string) (int64, error) {
	var all int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all += info.Size()
		}
		return err
	})
	return all, err
}

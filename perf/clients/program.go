package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long one run of a program may take. Moving 5 MiB over
// loopback takes none of it; a busy machine may.
const patience = 2 * time.Minute

// errNotInstalled tells of a program that this machine does not have.
var errNotInstalled = errors.New("not installed")

// find looks for a program; if it is not there, the error says what to install.
func find(name, debianPackages string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s %w: apt install %s", name, errNotInstalled, debianPackages)
	}
	return nil
}

// A program is one run of somebody else's program.
type program struct {
	name  string
	args  []string
	home  string // its home and working directory
	input []byte
	env   []string // besides a bare environment
}

// An exitError tells that a program ended with a code that is not zero.
type exitError struct {
	program string
	code    int
	said    string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("%s ended with code %d: %s", e.program, e.code, e.said)
}

// run waits for the program and returns its standard output. The program sees
// nothing of the user's own configuration, and neither it nor a child of it
// outlives the call.
func (p program) run(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, p.name, p.args...)
	cmd.Dir, cmd.Env = p.home, environment(p.home, p.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(p.input), &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second

	err := cmd.Run()
	name := filepath.Base(p.name)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s was stopped: %w; it said: %s", name, ctx.Err(), lastWords(out.Bytes(), said.Bytes()))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.Bytes(), &exitError{name, exit.ExitCode(), lastWords(out.Bytes(), said.Bytes())}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// environment is all that a program is told about the machine.
func environment(home string, more ...string) []string {
	return append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMPDIR=" + os.TempDir()}, more...)
}

// lastWords is the end of what a program said, for an error.
func lastWords(texts ...[]byte) string {
	text := strings.TrimSpace(string(bytes.Join(texts, []byte("\n"))))
	return text[max(0, len(text)-1000):]
}

// A daemon is a program that runs until it is stopped. It has a process group of
// its own, so an interrupt at the terminal leaves it to this tool to stop it in
// order; it does not outlive the tool.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the program has ended
	err  error         // valid when done
}

// launch starts a program that writes what it says to the end of the file log.
func launch(log string, env []string, name string, args ...string) (*daemon, error) {
	file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d := &daemon{cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = env, file, file
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// ended waits until the program has ended by itself.
func (d *daemon) ended(ctx context.Context) error {
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", filepath.Base(d.cmd.Path), ctx.Err())
	}
}

// stop asks the program to end, insists after ten seconds, and returns when all
// of its process group is gone.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-d.done:
	case <-ctx.Done():
	}
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-d.done
	if ctx.Err() != nil {
		return fmt.Errorf("%s did not end within ten seconds of SIGTERM and was killed", filepath.Base(d.cmd.Path))
	}
	return nil
}

// said is the end of the program's log.
func (d *daemon) said() string {
	raw, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return lastWords(raw)
}

// await calls ready until it has no error, and gives up when the daemon ends or
// ctx does.
func (d *daemon) await(ctx context.Context, ready func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		name := filepath.Base(d.cmd.Path)
		select {
		case <-d.done:
			return fmt.Errorf("%s ended: %w; it said: %s", name, errors.Join(d.err, err), d.said())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; it said: %s", name, err, d.said())
		case <-tick.C:
		}
	}
}

// Package process starts child processes that do not outlive their parent, and
// locks files between processes.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// ErrUnsupported is returned where the operating system lacks what it takes.
var ErrUnsupported = errors.New("not supported on this operating system")

// How often a lock held by another process is tried again.
const lockInterval = 50 * time.Millisecond

// Late is how late the timers of a child may be, on Linux. Threads of Cassandra that
// have run out of work sleep for some 10 µs, look, and sleep again, many thousand times
// a second: on two processors that six nodes share, one of the two went into that at 20
// mails a second. With this it is half of it, and an answer comes sooner.
const Late = 2 * time.Millisecond

// How long the kernel may take to end a killed process.
const killWait = 10 * time.Second

// A Process is a running child in a process group of its own: an interrupt
// typed at the terminal does not reach it.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs cmd. On Linux the child is killed when the calling thread ends, so
// the caller keeps its goroutine on one thread for as long as the child may
// live; its own timers may be late from then on. Elsewhere a parent that is killed leaves
// the child behind.
func Start(cmd *exec.Cmd) (*Process, error) {
	tie(cmd)
	if err := slacken(Late); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	return p, nil
}

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the child has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the child at once and waits for that.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.cmd.Process.Pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(killWait):
		return fmt.Errorf("process %d is still there %s after SIGKILL", p.cmd.Process.Pid, killWait)
	}
}

// Terminate asks the child to end and waits. A child that is still there when
// ctx ends is killed.
func (p *Process) Terminate(ctx context.Context) error {
	if err := terminate(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("terminate process %d: %w", p.cmd.Process.Pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return p.Kill()
	}
}

// Freeze stops the child from running until Thaw: its sockets stay open and
// nobody answers.
func (p *Process) Freeze() error { return freeze(p.cmd.Process) }

// Thaw lets a frozen child run on.
func (p *Process) Thaw() error { return thaw(p.cmd.Process) }

// Detach makes cmd the leader of a session of its own.
func Detach(cmd *exec.Cmd) { detach(cmd) }

// Lock waits until no other process holds the lock at path. The lock ends with
// Close or with the process, whichever comes first.
func Lock(ctx context.Context, path string) (io.Closer, error) {
	for {
		l, err := TryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s, held by another process: %w", path, ctx.Err())
		case <-time.After(lockInterval):
		}
	}
}

// TryLock takes the lock at path, making the file where there is none. It
// returns nil when another process holds the lock.
func TryLock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	held, err := tryLock(f)
	if held {
		return f, nil
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return nil, nil
}

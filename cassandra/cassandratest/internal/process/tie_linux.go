package process

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// slacken lets timers of what the calling thread starts be late (prctl(2),
// PR_SET_TIMERSLACK), and its own.
func slacken(late time.Duration) error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(late.Nanoseconds()), 0, 0, 0); err != nil {
		return fmt.Errorf("let timers be %v late: %w", late, err)
	}
	return nil
}

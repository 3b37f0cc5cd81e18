//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
	"time"
)

func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func slacken(time.Duration) error { return nil }

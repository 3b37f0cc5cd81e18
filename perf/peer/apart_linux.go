package peer

import "syscall"

// apart gives a process a group of its own and ends it with this tool.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

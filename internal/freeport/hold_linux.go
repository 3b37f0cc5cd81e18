package freeport

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// shares says that a server can listen on a port that is held.
const shares = true

// hold binds a socket that does not listen. It is bound without SO_REUSEADDR, so that
// it shares its port with nobody who is there; with it from then on, so that one who
// listens can come (socket(7): a socket that listens is the one that is in the way).
func hold() (string, io.Closer, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "held port")
	port, err := bind(fd)
	if err != nil {
		_ = f.Close()
		return "", nil, err
	}
	return fmt.Sprintf("127.0.0.1:%d", port), f, nil
}

func bind(fd int) (port int, err error) {
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}

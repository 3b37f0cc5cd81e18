package wan

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inside does something in a namespace, on a thread that ends with it.
func inside(namespace string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine may run in there
		done <- func() error {
			f, err := os.Open("/run/netns/" + namespace)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the namespace %s: %w", namespace, err)
			}
			return do()
		}()
	}()
	return <-done
}

// openTUN makes the device of a namespace, which goes when its descriptor is closed.
func openTUN(namespace string) (fd int, err error) {
	err = inside(namespace, func() error {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		r, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
			return errors.Join(fmt.Errorf("make a TUN device: %w", err), unix.Close(fd))
		}
		return nil
	})
	return fd, err
}

// offload says what the kernel may leave undone. Checksums are for wires with faults. Large
// packets are cut at the end only, which spares nearly all work, unless packets are to be
// lost or timed one by one.
func offload(fd int, s Settings) error {
	flags := unix.TUN_F_CSUM
	if s.Loss == 0 && s.Rate == 0 {
		flags |= unix.TUN_F_TSO4
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags); err != nil {
		return fmt.Errorf("set up a TUN device: %w", err)
	}
	return nil
}

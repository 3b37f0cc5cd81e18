package wan

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A link carries packets between two TUN devices.
type link struct {
	tun  [Datacenters]int // descriptors
	wake int              // an eventfd that ends the loop
	done chan error       // how it ended

	mu    sync.Mutex // held but for while the loop waits
	lines [Datacenters]*line
}

// join begins to carry.
func join(namespaces [Datacenters]string, s Settings) (_ *link, err error) {
	l := &link{tun: [Datacenters]int{-1, -1}, done: make(chan error, 1)}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	for i, ns := range namespaces {
		if l.tun[i], err = openTUN(ns); err == nil {
			err = offload(l.tun[i], s)
		}
		if err != nil {
			return nil, err // the process ends, and its descriptors with it
		}
		l.lines[i] = newLine(s)
	}
	go func() { l.done <- l.carry() }()
	return l, nil
}

// leave ends the link and waits for that.
func (l *link) leave() error {
	if _, err := unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	err := <-l.done
	for _, fd := range append(l.tun[:], l.wake) {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

// change sets what is told, and returns what was carried so far. A link that is cut loses
// what is under way, too.
func (l *link) change(s *Settings, cut *[Datacenters]bool) ([Datacenters]Traffic, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	var traffic [Datacenters]Traffic
	for i, line := range l.lines {
		if s != nil {
			line.set(*s)
			errs = append(errs, offload(l.tun[i], *s))
		}
		if cut != nil {
			line.cut = cut[i]
		}
		traffic[i] = line.traffic
	}
	return traffic, errors.Join(errs...)
}

// burst is how many packets are taken from one device before the other has its turn.
const burst = 64

// carry is one thread that does everything: packets that come in get a time, those whose
// time has come go out, and then it sleeps until the next of either. Go's own timers wake
// to the millisecond, which is too coarse for a link of a millisecond.
func (l *link) carry() error {
	runtime.LockOSThread()
	// Wake when asked to, and not 50 µs later. Both are wishes.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	start := time.Now()
	scratch := make([]byte, largest)
	wait := []unix.PollFd{
		{Fd: int32(l.tun[0]), Events: unix.POLLIN},
		{Fd: int32(l.tun[1]), Events: unix.POLLIN},
		{Fd: int32(l.wake), Events: unix.POLLIN},
	}
	for wait[2].Revents == 0 {
		timeout, err := l.turn(start, scratch)
		if err != nil {
			return err
		}
		if _, err := unix.Ppoll(wait, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for packets: %w", err)
		}
	}
	return nil
}

// turn does what there is to do, and says how long there is nothing more unless a packet
// comes; nil stands for ever.
func (l *link) turn(start time.Time, scratch []byte) (*unix.Timespec, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, line := range l.lines {
		if err := line.fill(l.tun[i], start, scratch); err != nil {
			return nil, err
		}
	}
	var soonest *unix.Timespec
	for i, line := range l.lines {
		due, more := line.drain(l.tun[1-i], start)
		if !more {
			continue
		}
		left := unix.NsecToTimespec(max(0, (due - time.Since(start)).Nanoseconds()))
		if soonest == nil || left.Nano() < soonest.Nano() {
			soonest = &left
		}
	}
	return soonest, nil
}

// fill takes the packets that wait on a device.
func (l *line) fill(fd int, start time.Time, scratch []byte) error {
	for range burst {
		room := l.room()
		full := room == nil
		if full {
			room = scratch
		}
		n, err := unix.Read(fd, room)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read from the link: %w", err)
		case full:
			l.drop(n)
		default:
			l.put(time.Since(start), n)
		}
	}
	return nil
}

// drain hands out the packets whose time has come, and says when that of the next does. A
// device that takes a packet no more is a wire at whose end is nobody.
func (l *line) drain(fd int, start time.Time) (due time.Duration, more bool) {
	for {
		data, due, ok := l.next()
		now := time.Since(start)
		if !ok || due > now {
			return due, ok
		}
		carried := !l.cut
		if carried {
			_, err := unix.Write(fd, data)
			carried = err == nil
		}
		l.took(now, carried)
	}
}

package wan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A binary that is to be the process of a network never gets as far as its main.
func init() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	if err := keep(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Permitted says why this process may not make a network, if so.
func Permitted() error {
	var missing []string
	for _, tool := range []struct{ name, pkg string }{{"ip", "iproute2"}, {"nft", "nftables"}, {"nsenter", "util-linux"}} {
		if _, err := exec.LookPath(tool.name); err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian: %s)", tool.name, tool.pkg))
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		missing = append(missing, "/dev/net/tun")
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: there is no %s", ErrNotPermitted, strings.Join(missing, ", and no "))
	}
	// Root of a container may or may not, and of a kernel without modules cannot.
	probe := exec.Command("sh", "-ec", probes)
	probe.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: try a network namespace: %w: %s", ErrNotPermitted, err, bytes.TrimSpace(out))
	}
	return nil
}

// probes does once all that a network takes, in namespaces that are gone thereafter.
const probes = `
mount -t tmpfs probe /mnt
nft add table ip probe
ip tuntap add dev probe mode tun
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet`

// keep is the life of that process.
func keep(text string) (err error) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	if err := os.Unsetenv(variable); err != nil {
		return err
	}
	var s Settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	p := Plan{pid: os.Getpid()}
	defer func() { err = errors.Join(err, p.remove()) }()
	answers := json.NewEncoder(os.Stdout)
	l, err := p.make(s)
	if err != nil {
		return errors.Join(err, answers.Encode(answer{Error: err.Error()}))
	}
	hello := answer{Network: p.network()}
	for i, place := range p.Places() {
		hello.Namespace[i] = place.Namespace
	}
	if err := answers.Encode(hello); err != nil {
		return err
	}
	requests := make(chan request)
	go func() { // until the input ends, or the process
		defer close(requests)
		for in := json.NewDecoder(os.Stdin); ; {
			var r request
			if err := in.Decode(&r); err != nil {
				if !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "read what to do:", err)
				}
				return
			}
			requests <- r
		}
	}()
	var directories []string
	defer func() {
		for _, d := range directories {
			err = errors.Join(err, removeAll(d))
		}
	}()
	for {
		select {
		case r, more := <-requests:
			if !more {
				return l.leave()
			}
			if r.Remove != "" {
				directories = append(directories, r.Remove)
			}
			var a answer
			if a.Traffic, err = l.change(r.Settings, r.Cut); err != nil {
				a.Error = err.Error()
			}
			if err := answers.Encode(a); err != nil {
				return errors.Join(err, l.leave())
			}
		case <-ended:
			return l.leave()
		case err := <-l.done:
			return fmt.Errorf("the link ended: %w", err)
		}
	}
}

// removeAll removes what processes that are being killed may still write to.
func removeAll(dir string) error {
	var err error
	for range 20 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// make makes the network and begins to carry. Networks are made one at a time, so that no
// two choose the same addresses.
func (p *Plan) make(s Settings) (*link, error) {
	lock, err := os.OpenFile("/run/restante-wan.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what others have left: %w", err)
	}
	taken, err := routes()
	if err != nil {
		return nil, err
	}
	if p.prefix, err = choose(taken); err != nil {
		return nil, err
	}
	if err := ip(p.namespaces()); err != nil {
		return nil, err
	}
	var names [Datacenters]string
	for i, place := range p.Places() {
		names[i] = place.Namespace
		if err := p.openServers(place); err != nil {
			return nil, err
		}
	}
	l, err := join(names, s)
	if err != nil {
		return nil, err
	}
	return l, ip(p.link())
}

// openServers leads the addresses of servers to loopback.
func (p *Plan) openServers(place Place) error {
	// The kernel shows the settings of the namespace that the thread is in.
	err := inside(place.Namespace, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0)
	})
	if err != nil {
		return fmt.Errorf("lead to loopback: %w", err)
	}
	enter := append(place.Enter(), "nft", "-f", "-")
	return command(p.servers(place), enter...)
}

// ip carries out commands of ip(8), up to the first that fails.
func ip(commands []string) error {
	for _, c := range commands {
		if err := command("", append([]string{"ip"}, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}

func command(input string, words ...string) error {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// routes are where this machine leads to already.
func routes() ([]netip.Prefix, error) {
	out, err := exec.Command("ip", "-4", "-json", "route", "show", "table", "all").Output()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var listed []struct{ Dst string }
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var all []netip.Prefix
	for _, r := range listed {
		if a, err := netip.ParseAddr(r.Dst); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		} else if p, err := netip.ParsePrefix(r.Dst); err == nil {
			all = append(all, p)
		} // else it is the default route
	}
	return all, nil
}

// remove takes the network down, as far as it was made.
func (p *Plan) remove() error {
	for _, c := range p.removal() {
		_ = ip([]string{c}) // it may be gone, or was never there: what is left decides
	}
	for _, place := range p.Places() {
		if _, err := os.Stat("/run/netns/" + place.Namespace); err == nil {
			return fmt.Errorf("the namespace %s is still there", place.Namespace)
		}
	}
	return nil
}

// clean removes what the process of a network has left that was killed.
func clean(pid int) error { return (&Plan{pid: pid, prefix: networks()[0]}).remove() }

// sweep removes the networks of processes that are gone.
func sweep() error {
	found, err := filepath.Glob("/run/netns/" + namespacePrefix + "*")
	if err != nil {
		return err
	}
	for _, path := range found {
		match := ours.FindStringSubmatch(filepath.Base(path))
		if match == nil {
			continue
		}
		pid, err := strconv.Atoi(match[1])
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := clean(pid); err != nil {
			return err
		}
	}
	return nil
}

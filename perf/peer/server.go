// Package peer starts mail servers for a measurement: Restante, built from this
// tree, and beside it Dovecot and Postfix where they are installed, each in a
// directory of its own, on loopback, with nothing of the machine's own
// configuration.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"restante/perf/proc"
	"restante/perf/wire"
)

// ErrNotInstalled tells of a server that this machine does not have.
var ErrNotInstalled = errors.New("not installed")

// What every server of a measurement serves.
const (
	Domain   = "example.test"
	Pattern  = "user%d@" + Domain
	Password = "secret"
	Sender   = "sender@sender.example"
)

// Settings are what a server is started with.
type Settings struct {
	// Dir is where everything of the server lives. Starting again on the same
	// directory finds the mail that was there.
	Dir string
	// Users are numbered from 0.
	Users int
	// Binary is the built Restante; the others do not look at it.
	Binary string
	// HTTP says that Restante serves its HTTP interface, Submission that users may
	// submit mail.
	HTTP, Submission bool
	// Flags are for Restante too, besides those that every measurement has, and so is
	// what its environment has besides this tool's.
	Flags, Env []string
	// Place is where Restante runs. The others run on loopback.
	Place Place
}

// A Place is where a server runs: on loopback, at ports that are free, unless it has an
// address for itself in another network namespace.
type Place struct {
	Enter  []string // begins the commands that run there
	Listen string   // the address that the server listens on there
	Reach  string   // the address at which others reach it
}

// A Kind of server can be started.
type Kind struct {
	Name  string
	Start func(ctx context.Context, s Settings) (*Server, error)
}

// Kinds are all servers there are, ours first.
func Kinds() []Kind {
	return []Kind{
		{Name: "restante", Start: startRestante},
		{Name: "dovecot-maildir", Start: dovecot("maildir").start},
		{Name: "dovecot-sdbox", Start: dovecot("sdbox").start},
		{Name: "postfix", Start: startPostfix},
	}
}

// Find is the kind of that name.
func Find(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("no server %q: there are %s", name, strings.Join(names, ", "))
}

// A Server runs. An address is empty if it does not speak the protocol.
type Server struct {
	Name    string
	Version string
	SMTP    string
	LMTP    string
	POP3    string
	HTTP    string // empty: not served
	// Of Restante only: where users submit, where it is administered, and its
	// directory, which holds the token for that.
	Submission, Admin, Data string
	// Ready is how long it took from starting the program until every port
	// greeted.
	Ready time.Duration

	process *process
	behind  *Server // Postfix hands over to it
	log     string
}

// PIDs are the roots of the server's process trees.
func (s *Server) PIDs() []int {
	pids := []int{s.process.cmd.Process.Pid}
	if s.behind != nil {
		pids = append(pids, s.behind.PIDs()...)
	}
	return pids
}

// Log is the file that holds what the server said.
func (s *Server) Log() string { return s.log }

// Freeze stops the server from running until Thaw: its connections stay open and nobody
// answers.
func (s *Server) Freeze() error { return signal(syscall.SIGSTOP, s.PIDs()...) }

// Thaw lets a frozen server run on.
func (s *Server) Thaw() error { return signal(syscall.SIGCONT, s.PIDs()...) }

// stopPatience is longer than what Restante gives at the end to transfers, and to the
// removal of what users have deleted.
const stopPatience = 45 * time.Second

// Stop asks the server to end, insists where that takes too long, and returns when all
// its processes are gone.
func (s *Server) Stop() error {
	err := s.process.stop(stopPatience)
	if s.behind != nil {
		err = errors.Join(err, s.behind.Stop())
	}
	return err
}

// Kill is kill -9 for every process of the server at once: they are frozen
// first, so that none sees another one die. It returns when they are gone.
func (s *Server) Kill() error {
	ids, err := proc.System{}.Members(s.PIDs()...)
	if err != nil {
		return err
	}
	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		if err := signal(s, ids...); err != nil {
			return err
		}
	}
	// The first process of a tree is ours and is waited for: only then have all of
	// its threads ended and its locks and ports are free, while /proc calls it
	// ended as soon as its first thread has.
	for server := s; server != nil; server = server.behind {
		<-server.process.done
	}
	return gone(time.Now().Add(10*time.Second), ids)
}

// Exited is closed when the server's first process has ended.
func (s *Server) Exited() <-chan struct{} { return s.process.done }

// A process is a program that was started, with its own goroutine that waits
// for it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its state is known
}

// launch starts a program that writes what it says to the end of a file. It has
// a process group of its own, so an interrupt at the terminal reaches only this
// tool, which then stops it in order; it does not outlive the tool. The ports that
// were held for it are released when it has ended.
func launch(release func() error, log string, env []string, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if len(env) > 0 {
		p.cmd.Env = append(os.Environ(), env...)
	}
	p.cmd.SysProcAttr = apart()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells the same
		_ = release()    // closes sockets that are not connected
		close(p.done)
	}()
	return p, nil
}

// stop asks the program to end, and then those of its descendants that it has
// left behind; what still lives after patience is killed.
func (p *process) stop(patience time.Duration) error {
	members, err := proc.System{}.Members(p.cmd.Process.Pid)
	if err != nil {
		return nil // it is gone already, and whatever it had started too
	}
	deadline := time.Now().Add(patience)
	if err := signal(syscall.SIGTERM, p.cmd.Process.Pid); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	if err := signal(syscall.SIGTERM, members...); err != nil {
		return err
	}
	if err := gone(deadline, members); err == nil {
		return nil
	}
	if err := signal(syscall.SIGKILL, members...); err != nil {
		return err
	}
	<-p.done
	return fmt.Errorf("%s did not end within %v of SIGTERM and was killed", filepath.Base(p.cmd.Path), patience)
}

// signal sends to processes of which some may have ended.
func signal(s syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// gone waits until none of the processes lives.
func gone(deadline time.Time, pids []int) error {
	for {
		living, err := proc.System{}.Living(pids...)
		if err != nil || living == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d processes live", living, len(pids))
		}
		time.Sleep(time.Millisecond)
	}
}

// startup is how long a server may take to greet.
const startup = 60 * time.Second

// await returns when every port of the server greets, and notes how long that
// took since start. If the server ends instead, its last words are the error.
func (s *Server) await(ctx context.Context, start time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for _, port := range []struct {
		addr  string
		greet func(context.Context, string) error
	}{{s.SMTP, greetSMTP}, {s.LMTP, greetLMTP}, {s.POP3, greetPOP3}} {
		for port.addr != "" {
			err := port.greet(ctx, port.addr)
			if err == nil {
				break
			}
			select {
			case <-s.process.done:
				return s.ended()
			case <-ctx.Done():
				return fmt.Errorf("%s at %s does not greet: %w; it said: %s", s.Name, port.addr, err, tail(s.log))
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	s.Ready = time.Since(start)
	return nil
}

// ended is the error of a server that ended by itself.
func (s *Server) ended() error {
	return fmt.Errorf("%s ended: %v; it said: %s", s.Name, s.process.cmd.ProcessState, tail(s.log))
}

var greeting = wire.Options{Timeout: 5 * time.Second}

func greetSMTP(ctx context.Context, addr string) error { return hello(ctx, addr, false) }

func greetLMTP(ctx context.Context, addr string) error { return hello(ctx, addr, true) }

func hello(ctx context.Context, addr string, lmtp bool) error {
	c, err := wire.DialSMTP(ctx, addr, lmtp, greeting)
	if err != nil {
		return err
	}
	return c.Quit()
}

func greetPOP3(ctx context.Context, addr string) error {
	c, err := wire.DialPOP3(ctx, addr, greeting)
	if err != nil {
		return err
	}
	return c.Quit()
}

// tail is the end of a log.
func tail(log string) string {
	raw, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw[max(0, len(raw)-2000):]))
}

// port is the number in an address.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// firstLine is what a program prints first, its version usually.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// installed finds a program, in the places for daemons too.
func installed(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// TempDir makes a directory for servers below dir (the system's if empty) that
// every user may pass through, as one of them has to reach the mail in it.
func TempDir(dir string) (string, error) {
	name, err := os.MkdirTemp(dir, "restante-perf-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(name, 0o755); err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return name, nil
}

package wan

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// variable makes this binary the process of a network, with its settings in it.
	variable = "RESTANTE_PERF_WAN"
	// How long making a network, telling it something, and removing it may take.
	startTimeout = 30 * time.Second
	askTimeout   = 10 * time.Second
	stopTimeout  = 20 * time.Second
)

// A Network is two data centres and the link between them.
type Network struct {
	Places [Datacenters]Place

	cmd     *exec.Cmd
	said    *os.File // what the process says went wrong
	exited  chan struct{}
	how     error      // it exited
	mu      sync.Mutex // one request at a time
	in      io.WriteCloser
	out     *os.File // what it answers
	answers *json.Decoder
	cut     [Datacenters]bool
}

// A request is one line of the input of the process: what is to change.
type request struct {
	Settings *Settings          `json:",omitempty"`
	Cut      *[Datacenters]bool `json:",omitempty"`
	// Remove is a directory that goes with the network.
	Remove string `json:",omitempty"`
}

// An answer is one line of its output: the first tells where the network is, and each other
// one what was carried.
type answer struct {
	Error     string
	Namespace [Datacenters]string
	Network   string
	Traffic   [Datacenters]Traffic
}

// Start makes a network. What processes that are gone have left behind is removed first.
// Close must be called, before this process ends or by its end.
func Start(ctx context.Context, s Settings) (*Network, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := Permitted(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	n := &Network{cmd: exec.Command(self), exited: make(chan struct{})}
	if n.said, err = os.CreateTemp("", "restante-wan-*.log"); err != nil {
		return nil, err
	}
	if err := os.Remove(n.said.Name()); err != nil {
		return nil, err
	}
	n.cmd.Env = append(os.Environ(), variable+"="+string(text))
	n.cmd.Stderr = n.said
	// An interrupt at the terminal reaches only the tool, which may have to tell the link
	// something before it ends it.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	n.cmd.Stdout = theirs
	err = n.cmd.Start()
	_ = theirs.Close() // the process has its own
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() {
		defer close(n.exited)
		n.how = n.cmd.Wait()
	}()
	n.out, n.answers = out, json.NewDecoder(bufio.NewReader(out))
	hello, err := n.read(ctx, startTimeout)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a network: %w", err), n.Close())
	}
	for i, ns := range hello.Namespace {
		n.Places[i] = Place{Datacenter: i + 1, Namespace: ns, network: hello.Network}
	}
	return n, nil
}

// Set gives the link other settings.
func (n *Network) Set(ctx context.Context, s Settings) error {
	if err := s.check(); err != nil {
		return err
	}
	_, err := n.ask(ctx, request{Settings: &s})
	return err
}

// Cut has the link carry nothing more, both ways unless some are named.
func (n *Network) Cut(ctx context.Context, ways ...Way) error { return n.carry(ctx, false, ways) }

// Mend undoes Cut.
func (n *Network) Mend(ctx context.Context, ways ...Way) error { return n.carry(ctx, true, ways) }

func (n *Network) carry(ctx context.Context, carried bool, ways []Way) error {
	if len(ways) == 0 {
		ways = []Way{Forth, Back}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	cut := n.cut
	for _, w := range ways {
		cut[w] = !carried
	}
	if _, err := n.exchange(ctx, request{Cut: &cut}); err != nil {
		return err
	}
	n.cut = cut
	return nil
}

// Traffic is what the link has carried, each way.
func (n *Network) Traffic(ctx context.Context) ([Datacenters]Traffic, error) {
	a, err := n.ask(ctx, request{})
	return a.Traffic, err
}

// Remove has a directory go with the network, also where this process is killed.
func (n *Network) Remove(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err == nil {
		_, err = n.ask(ctx, request{Remove: dir})
	}
	return err
}

// Exited is closed when there is no link any more: by Close, or else by accident.
func (n *Network) Exited() <-chan struct{} { return n.exited }

// Prefix begins all addresses of the network: 10.77.
func (n *Network) Prefix() string { return n.Places[0].network }

// PID is the process that carries the packets.
func (n *Network) PID() int { return n.cmd.Process.Pid }

func (n *Network) ask(ctx context.Context, r request) (answer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exchange(ctx, r)
}

// exchange is called with n.mu held. What was asked for is waited for whatever becomes of
// ctx: it takes no time, and the next answer would be taken for this one.
func (n *Network) exchange(ctx context.Context, r request) (answer, error) {
	if err := json.NewEncoder(n.in).Encode(r); err != nil {
		return answer{}, fmt.Errorf("tell the link: %w; it said: %s", err, n.tail())
	}
	a, err := n.read(context.WithoutCancel(ctx), askTimeout)
	if err != nil {
		return a, fmt.Errorf("tell the link: %w", err)
	}
	return a, nil
}

// read takes the next answer. After an error the network is of no more use.
func (n *Network) read(ctx context.Context, timeout time.Duration) (answer, error) {
	var a answer
	read := make(chan error, 1)
	go func() { read <- n.answers.Decode(&a) }() // which ends with the process at the latest
	select {
	case err := <-read:
		switch {
		case err != nil:
			return answer{}, fmt.Errorf("%w; it said: %s", err, n.tail())
		case a.Error != "":
			return answer{}, errors.New(a.Error)
		}
		return a, nil
	case <-time.After(timeout):
		return answer{}, fmt.Errorf("no answer in %v; it said: %s", timeout, n.tail())
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// Close removes the network, also after its process was killed. What runs in it should have
// ended.
func (n *Network) Close() error {
	_ = n.in.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = n.cmd.Process.Kill() })
	defer kill.Stop()
	<-n.exited
	var err error
	if n.how != nil {
		err = errors.Join(fmt.Errorf("remove the network: %w; it said: %s", n.how, n.tail()), clean(n.PID()))
	}
	return errors.Join(err, n.out.Close(), n.said.Close())
}

func (n *Network) tail() string {
	text := make([]byte, 2000)
	size, _ := n.said.ReadAt(text, 0)
	return string(text[:size])
}

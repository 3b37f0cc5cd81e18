// Package wan makes two data centres of one Linux machine: two network namespaces, and
// between them a link of chosen delay, jitter, loss and rate, which can be cut and mended.
//
// What runs in the namespace of a data centre has addresses of its own, 10.77.1.1 and so on
// in the first and 10.77.2.1 in the second, or with another second octet where those are
// taken. The two reach each other over the link, and this machine's own namespace reaches
// both directly, without delay: that is where load generators and other tools are. The link
// is a program in user space, between a TUN device in each namespace, so that it is the same
// on every kernel.
//
// Namespaces and link belong to a process of their own, this binary started once more. A
// pause of the tool delays no packet; and that process takes all of it down when its
// standard input ends, however the tool ends.
package wan

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// ErrNotPermitted tells of a machine, or a user, that cannot make a network.
var ErrNotPermitted = errors.New("two data centres on one machine need root on Linux")

// Settings say what a link is like, each way.
type Settings struct {
	Delay  time.Duration // one way
	Jitter time.Duration // a packet takes Delay give or take this, and overtakes no other
	Loss   float64       // how many of all packets are lost, from 0 to 1
	Rate   int64         // octets a second; 0: as fast as the machine
}

// backlog is how long a packet waits for a line of a given rate before it is dropped, as by a
// router whose queue is full.
const backlog = 100 * time.Millisecond

func (s Settings) check() error {
	switch {
	case s.Delay < 0 || s.Jitter < 0 || s.Rate < 0:
		return errors.New("a link has no negative delay, jitter or rate")
	case s.Jitter > s.Delay:
		return fmt.Errorf("a link with a delay of %v cannot vary by %v", s.Delay, s.Jitter)
	case s.Loss < 0 || s.Loss > 1:
		return fmt.Errorf("a link loses between 0 and 1 of its packets, not %v", s.Loss)
	}
	return nil
}

// String describes the link.
func (s Settings) String() string {
	text := fmt.Sprintf("%v one way", s.Delay)
	if s.Jitter > 0 {
		text += fmt.Sprintf(" ± %v", s.Jitter)
	}
	if s.Loss > 0 {
		text += fmt.Sprintf(", %.3g %% lost", 100*s.Loss)
	}
	if s.Rate > 0 {
		text += fmt.Sprintf(", %.3g MB/s", float64(s.Rate)/1e6)
	}
	return text
}

// A Way is a direction of the link.
type Way int

// The two ways.
const (
	Forth Way = iota // from the first data centre to the second
	Back
)

// Datacenters is how many there are.
const Datacenters = 2

// Traffic is what a way has carried and dropped so far.
type Traffic struct {
	Packets, Octets               int64
	DroppedPackets, DroppedOctets int64
	// Late is by how much packets came out after their time, all of them together and the
	// latest: on a machine that is busy the link has to wait for a processor.
	Late, Latest time.Duration
}

// Addresses of a data centre, by their last octet.
const (
	firstServer, lastServer = 101, 132
	// Nodes is how many addresses there are for what listens on its own address, from 1.
	Nodes = 64
	// Servers is how many addresses there are for what listens on loopback.
	Servers = lastServer - firstServer + 1
)

// A Place is a data centre of a network: where to run something, and its addresses.
type Place struct {
	Datacenter int    // from 1
	Namespace  string // its name; empty in a plan
	network    string // 10.77
}

// Name is how the data centre is called: dc1.
func (p Place) Name() string { return fmt.Sprintf("dc%d", p.Datacenter) }

// Enter begins a command that is to run there.
func (p Place) Enter() []string {
	return []string{"nsenter", "--net=/run/netns/" + cmp.Or(p.Namespace, p.Name())}
}

// Node is the address of node n, from 1.
func (p Place) Node(n int) string { return fmt.Sprintf("%s.%d.%d", p.network, p.Datacenter, n) }

// Server is at once the address of server n, from 1, and the address of loopback that it
// has to listen on: a server that takes passwords in clear text does so on loopback only,
// so what comes to the one is led to the other.
func (p Place) Server(n int) (address, loopback string) {
	octet := firstServer + n - 1
	return fmt.Sprintf("%s.%d.%d", p.network, p.Datacenter, octet), fmt.Sprintf("127.0.0.%d", octet)
}

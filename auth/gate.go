package auth

import (
	"net/netip"
	"sync"
)

// A gate bounds how many attempts are under way, in all and from one network, and
// so what a flood of them can hold: each stays for as long as a failure takes.
// It is passed before anything is known of the account, so that being turned away
// says nothing about one.
type gate struct {
	all, each int

	mu      sync.Mutex
	inside  int
	network map[netip.Prefix]int
}

func newGate(all, each int) *gate {
	return &gate{all: all, each: each, network: make(map[netip.Prefix]int)}
}

// enter lets an attempt in, unless there are too many. leave must follow if it does.
func (g *gate) enter(n network) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.all || !n.loopback && g.network[n.near] >= g.each {
		return false
	}
	g.inside++
	g.network[n.near]++
	return true
}

func (g *gate) leave(n network) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.network[n.near]--; g.network[n.near] == 0 {
		delete(g.network, n.near)
	}
}

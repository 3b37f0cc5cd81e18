package smtp

import "net/netip"

// networks counts connections by where they come from.
type networks map[netip.Prefix]int

// networkOf is what connections are counted by: an IPv4 address, or the /64
// that an IPv6 subscriber gets. It is not valid where nothing is counted: on
// loopback, and where the network has no addresses.
func networkOf(a netip.Addr) netip.Prefix {
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// full reports whether a network has as many connections as it may.
func (n networks) full(p netip.Prefix, most int) bool { return p.IsValid() && n[p] >= most }

func (n networks) enter(p netip.Prefix) {
	if p.IsValid() {
		n[p]++
	}
}

func (n networks) leave(p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	if n[p]--; n[p] == 0 {
		delete(n, p)
	}
}

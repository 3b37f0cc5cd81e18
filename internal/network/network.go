// Package network tells clients apart by where they come from.
package network

import (
	"net"
	"net/netip"
)

// Remote is the address of the other side of a connection. It is not valid where
// that is not IP.
func Remote(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// Subscriber is the network that one subscriber usually has to himself: an IPv4
// address, or an IPv6 /64. It is not valid where a is not.
func Subscriber(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	network, _ := a.Prefix(bits) // fails only where there is no address
	return network
}

// Counts counts connections by subscriber, so that one client cannot have them
// all. What is on loopback or no IP address is not limited. The zero value cannot
// be used; it is not safe for concurrent use.
type Counts map[netip.Prefix]int

// Enter counts a connection, unless its subscriber has most of them already.
func (c Counts) Enter(from netip.Addr, most int) bool {
	if !limited(from) {
		return true
	}
	network := Subscriber(from)
	if c[network] >= most {
		return false
	}
	c[network]++
	return true
}

// Leave undoes an Enter that was let in.
func (c Counts) Leave(from netip.Addr) {
	if !limited(from) {
		return
	}
	network := Subscriber(from)
	if c[network]--; c[network] == 0 {
		delete(c, network)
	}
}

func limited(a netip.Addr) bool { return a.IsValid() && !a.IsLoopback() }

package auth

import "net/netip"

// A network is where an attempt comes from. One customer has near to himself: an
// IPv4 address, an IPv6 /64. With wide he may have it all, an IPv4 /24 or an IPv6
// /48, or share it.
type network struct {
	near, wide netip.Prefix
	loopback   bool
}

// networkOf is the network of an address. Addresses that are none, of which a
// listener on something other than IP knows, form one network.
func networkOf(a netip.Addr) network {
	a = a.Unmap().WithZone("")
	near, wide := 64, 48
	if a.Is4() {
		near, wide = 32, 24
	}
	n := network{loopback: a.IsLoopback()}
	n.near, _ = a.Prefix(near) // fails only where there is no address
	n.wide, _ = a.Prefix(wide)
	return n
}

package auth

import (
	"net/netip"

	customers "restante/internal/network"
)

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
	wide := 48
	if a.Is4() {
		wide = 24
	}
	n := network{near: customers.Subscriber(a), loopback: a.IsLoopback()}
	n.wide, _ = a.Prefix(wide) // fails only where there is no address
	return n
}

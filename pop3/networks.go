package pop3

import (
	"net"
	"net/netip"
)

// networks counts connections by where they come from, so that one client cannot
// have them all. An IPv6 network is a /64, which is what one subscriber gets.
type networks map[netip.Prefix]int

// enter counts a connection unless its network has as many as it may.
func (n networks) enter(from netip.Addr, most int) bool {
	network, limited := networkOf(from)
	if !limited {
		return true
	}
	if n[network] >= most {
		return false
	}
	n[network]++
	return true
}

// leave undoes an enter.
func (n networks) leave(from netip.Addr) {
	network, limited := networkOf(from)
	if !limited {
		return
	}
	if n[network]--; n[network] == 0 {
		delete(n, network)
	}
}

func networkOf(a netip.Addr) (network netip.Prefix, limited bool) {
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 64
	if a.Is4() {
		bits = 32
	}
	network, err := a.Prefix(bits)
	return network, err == nil
}

// remoteAddr is the address of the other side; not valid where that is not IP.
func remoteAddr(nc net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

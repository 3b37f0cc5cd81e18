package network

import (
	"net"
	"net/netip"
	"testing"
)

func TestConnectionsAreCountedByNetwork(t *testing.T) {
	n := make(Counts)
	enter := func(addr string, want bool) {
		t.Helper()
		if got := n.Enter(netip.MustParseAddr(addr), 2); got != want {
			t.Errorf("%s enters: %v, want %v", addr, got, want)
		}
	}
	enter("192.0.2.1", true)
	enter("192.0.2.1", true)
	enter("192.0.2.1", false)
	enter("192.0.2.2", true) // another IPv4 address is another network
	enter("2001:db8::1", true)
	enter("2001:db8::2", true)
	enter("2001:db8::3", false) // the same /64
	enter("2001:db8:0:1::1", true)
	n.Leave(netip.MustParseAddr("192.0.2.1"))
	enter("192.0.2.1", true)
	for range 10 {
		enter("127.0.0.1", true)
		enter("::1", true)
	}
	if !n.Enter(netip.Addr{}, 0) {
		t.Error("what is no IP address is limited")
	}

	for _, addr := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::9", "2001:db8:0:1::1", "::1"} {
		n.Leave(netip.MustParseAddr(addr))
	}
	if len(n) != 0 {
		t.Errorf("%v is kept for networks without connections", n)
	}
}

func TestRemoteIsTheAddressWithoutItsClothes(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.1:25", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:25", "192.0.2.1"},
		{"[fe80::1%eth0]:25", "fe80::1"},
		{"@", "invalid IP"},
	} {
		if got := Remote(conn{addr: addr(c.addr)}).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
	}
}

type conn struct {
	net.Conn
	addr addr
}

func (c conn) RemoteAddr() net.Addr { return c.addr }

type addr string

func (a addr) Network() string { return "test" }
func (a addr) String() string  { return string(a) }

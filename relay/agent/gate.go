package agent

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
)

// A gate lets in who comes from some networks.
type gate struct {
	net.Listener
	networks []netip.Prefix
	log      *slog.Logger
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.admits(c.RemoteAddr()) {
			return c, err
		}
		g.log.Warn("connection from outside of the networks of servers", "remote", c.RemoteAddr())
		_ = c.Close()
	}
}

func (g *gate) admits(remote net.Addr) bool {
	ap, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(g.networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

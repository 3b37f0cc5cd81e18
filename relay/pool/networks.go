package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Loopback are the networks of the machine itself.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// resolveTimeout is how long a name may take.
const resolveTimeout = 3 * time.Second

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Control returns a function for [net.Dialer] by which no connection is made to an
// address outside of the networks. It sees the address itself, so that a name which led
// elsewhere when the agent registered does not help.
func Control(networks []netip.Prefix) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("pool: dial %s: %w", address, ErrEndpoint)
		}
		if !within(networks, ap.Addr()) {
			return fmt.Errorf("pool: dial %s: %w", ap.Addr(), ErrEndpoint)
		}
		return nil
	}
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// admitted fails with ErrEndpoint unless all addresses of an endpoint are in the networks
// where agents may be.
func (p *Pool) admitted(ctx context.Context, endpoint string) error {
	host, _, err := hostPort(endpoint)
	if err != nil {
		return fmt.Errorf("pool: endpoint: %w: %w", ErrInvalid, err)
	}
	addrs := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, literal)
	} else {
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
		if addrs, err = p.options.Resolve(ctx, host); err != nil {
			return fmt.Errorf("pool: look up %s: %w: %w", host, ErrEndpoint, err)
		}
	}
	if len(addrs) == 0 {
		return fmt.Errorf("pool: look up %s: %w: no address", host, ErrEndpoint)
	}
	for _, a := range addrs {
		if !within(p.options.Networks, a) {
			return fmt.Errorf("pool: %s is at %s: %w", host, a, ErrEndpoint)
		}
	}
	return nil
}

// What can be wrong with what is asked of a pool. Beside these it fails with
// mailbox.ErrUnavailable where the store is away and mailbox.ErrFull where there are as
// many as may be.
var (
	ErrInvalid      = errors.New("not valid")
	ErrToken        = errors.New("token missing, wrong or over")
	ErrScope        = errors.New("not in the scope of the token")
	ErrEndpoint     = errors.New("endpoint not in an allowed network")
	ErrConflict     = errors.New("the name is in use")
	ErrStale        = errors.New("a newer instance has registered")
	ErrUnregistered = errors.New("not registered")
	ErrRate         = errors.New("too many at a time")
	ErrRevision     = errors.New("changed in between")
	ErrStatic       = errors.New("in the configuration")
)

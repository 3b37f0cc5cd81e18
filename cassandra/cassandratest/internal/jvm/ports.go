package jvm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// ErrPort is wrapped where a port of a node belongs to somebody else.
var ErrPort = errors.New("port taken")

// Ports are looked for below those the kernel gives to outgoing connections, so
// that none of these comes between the look and the node.
const (
	firstPort = 20000
	lastPort  = 29999
)

// Ports of nodes that have their addresses for themselves: Cassandra's usual ones, and from
// jmxPort on one for each node.
const (
	nativePort  = 9042
	storagePort = 7000
	jmxPort     = 7199
)

// FreePort finds a port that is free on every address. Nothing reserves it.
func FreePort(ips ...string) (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = checkFree(port, ips...); err == nil {
			return port, nil
		}
		if !errors.Is(err, ErrPort) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no free port in 100 tries: %w", err)
}

// checkFree binds the port on every address for a moment.
func checkFree(port int, ips ...string) error {
	for _, ip := range ips {
		addr := net.JoinHostPort(ip, strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, errAddrInUse) {
			return fmt.Errorf("%s: %w by another process", addr, ErrPort)
		}
		if err != nil {
			return fmt.Errorf("%w (test clusters need the whole of 127.0.0.0/8, as Linux has it)", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

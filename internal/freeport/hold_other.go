//go:build !linux

package freeport

import (
	"io"
	"net"
)

// shares says that a server can listen on a port that is held.
const shares = false

func hold() (string, io.Closer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), l, nil
}

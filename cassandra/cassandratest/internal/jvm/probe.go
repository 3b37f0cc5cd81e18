package jvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 2 * time.Second
)

// A frame of the native protocol, version 4, with an empty body: what the
// opcodes OPTIONS and SUPPORTED are for is asking whether a node serves clients.
const (
	opOptions   = 0x05
	opSupported = 0x06
)

// AwaitCQL waits until the node at addr answers CQL clients. It gives up when ctx
// ends or the channel ended is closed.
func AwaitCQL(ctx context.Context, addr string, ended <-chan struct{}) error {
	for {
		err := probe(ctx, addr)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer CQL: %w: %w", addr, context.Cause(ctx), err)
		case <-time.After(probeInterval):
		}
	}
}

var errEnded = errors.New("the process has ended")

// probe asks the node for its options once.
func probe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{0x04, 0, 0, 0, opOptions, 0, 0, 0, 0}); err != nil {
		return err
	}
	var header [9]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return err
	}
	if header[4] != opSupported {
		return fmt.Errorf("opcode %#x in answer to OPTIONS", header[4])
	}
	return nil
}

package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A Loopback copies octets over TCP on this machine, with nothing but io.Copy
// between memory and the socket: the bound for a server that retrieves a message
// of the same size. The receiver reads as a Retr does, without verifying. An
// operation is one copy.
type Loopback struct {
	Load
	Size int64
}

// Run copies until the load's end. It adds the figure "MiB/s".
func (l Loopback) Run(ctx context.Context) (*Tally, error) {
	l.Connections = 1
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- l.serve(ctx, listener) }()
	t, err := drive(ctx, l.Load, func(int) worker { return &copier{size: l.Size, addr: listener.Addr().String()} })
	cancel()
	if e := <-sent; err == nil {
		err = e
	}
	return withThroughput(t), err
}

// serve sends the octets each time it is asked by one octet, to one connection
// after another, until ctx ends.
func (l Loopback) serve(ctx context.Context, listener net.Listener) error {
	content := bytes.Repeat([]byte("0123456789abcdef"), int(l.Size+15)/16)[:l.Size]
	for {
		c, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		ask := make([]byte, 1)
		for err == nil {
			if _, err = io.ReadFull(c, ask); err == nil {
				_, err = io.Copy(c, bytes.NewReader(content))
			}
		}
		stop()
		_ = c.Close()
	}
}

type copier struct {
	size int64
	addr string
	conn net.Conn
	buf  []byte
}

func (c *copier) do(ctx context.Context, _ int) (int64, error) {
	if c.conn == nil {
		var d net.Dialer
		var err error
		if c.conn, err = d.DialContext(ctx, "tcp", c.addr); err != nil {
			return 0, err
		}
		c.buf = make([]byte, wide)
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write([]byte("?")); err != nil {
		return 0, err
	}
	for left := c.size; left > 0; {
		n, err := c.conn.Read(c.buf)
		left -= int64(n)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("loopback: %w", err), c.conn.Close())
		}
	}
	return c.size, nil
}

func (c *copier) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

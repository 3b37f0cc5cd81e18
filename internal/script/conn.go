package script

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A conn is one connection of a play. Octets are sent by a goroutine, so that a
// server which answers before it has read everything does not wait for us, nor
// we for it.
type conn struct {
	net.Conn
	in      *bufio.Reader
	sent    chan struct{} // closed when all sends so far are over; nil before the first
	timeout time.Duration
}

// send sends b after what was sent before. A failure is not reported: the line
// that the server would have sent is missed.
func (c *conn) send(b []byte) {
	before, done := c.sent, make(chan struct{})
	c.sent = done
	nc := c.Conn
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		if nc.SetWriteDeadline(time.Now().Add(c.timeout)) == nil {
			_, _ = nc.Write(b)
		}
	}()
}

// drain waits until everything is sent or has failed.
func (c *conn) drain() {
	if c.sent != nil {
		<-c.sent
	}
}

// wait bounds the next read. On a connection that is closed it fails, and so
// does the read, which says more.
func (c *conn) wait() { _ = c.SetReadDeadline(time.Now().Add(c.timeout)) }

// line is the next line of the server, without its CRLF.
func (c *conn) line() (string, error) {
	c.wait()
	line, err := c.in.ReadString('\n')
	if err != nil && line != "" {
		return "", fmt.Errorf("the server sent only %q: %w", line, err)
	}
	if err != nil {
		return "", fmt.Errorf("the server sent no line: %w", err)
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("the server ended a line without CR: %q", line)
	}
	return line[:len(line)-2], nil
}

func (c *conn) handshake(config *tls.Config) error {
	if config == nil {
		return errors.New("the player has no TLS configuration")
	}
	if err := c.nothingLeft(); err != nil {
		return err
	}
	c.drain()
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	secure := tls.Client(c.Conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.Conn, c.in = secure, bufio.NewReader(secure)
	return nil
}

// nothingLeft fails when the server has sent what no step has read.
func (c *conn) nothingLeft() error {
	if n := c.in.Buffered(); n > 0 {
		rest, _ := c.in.Peek(n)
		return fmt.Errorf("the server sent what was not asked for: %q", rest)
	}
	return nil
}

// wantEnd fails unless the server closes the connection without another octet.
func (c *conn) wantEnd() error {
	c.wait()
	_, err := c.in.Peek(1)
	switch {
	case err == nil:
		return fmt.Errorf("the server did not close the connection but %w", c.nothingLeft())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the server did not close the connection within %v", c.timeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET):
		return nil
	}
	return err
}

// close hangs up and waits for the goroutine that sends.
func (c *conn) close() {
	_ = c.Conn.Close()
	c.drain()
}

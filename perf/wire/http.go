package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// HTTP is a client that speaks HTTP/1.1 (RFC 9112) on one connection at a time, with
// one request at a time: thousands of them can share a process.
type HTTP struct {
	Addr    string        // host:port
	Once    bool          // each request has a connection of its own
	Timeout time.Duration // bounds each exchange, and the dialling

	conn net.Conn // nil: the next request dials
	read *bufio.Reader
	stop func() bool // ends the watch over the context that the connection was dialled with
	out  []byte
}

// Exchange sends a request and reads the answer. A body of no octets is none, and has
// no content type.
func (c *HTTP) Exchange(ctx context.Context, method, target, contentType string, body []byte) (status int, answer []byte, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, nil, err
		}
	}
	defer func() {
		if err != nil || c.Once {
			c.Close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return 0, nil, err
	}
	c.out = append(c.out[:0], method+" "+target+" HTTP/1.1\r\nHost: "+c.Addr+"\r\nUser-Agent: restante-perf\r\n"...)
	if len(body) > 0 {
		c.out = append(c.out, "Content-Type: "+contentType+"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n"...)
	}
	if c.Once {
		c.out = append(c.out, "Connection: close\r\n"...)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	r, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err == nil && r.Close {
		c.Close()
	}
	return r.StatusCode, answer, err
}

// dial connects; the connection is closed when ctx ends.
func (c *HTTP) dial(ctx context.Context) error {
	d := net.Dialer{Timeout: c.Timeout, KeepAlive: -1}
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	c.conn = conn
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if c.read == nil {
		c.read = bufio.NewReader(conn)
	} else {
		c.read.Reset(conn)
	}
	return nil
}

// Connected tells whether the next request goes out on a connection that is there.
func (c *HTTP) Connected() bool { return c.conn != nil }

// Close disconnects. The next request connects again.
func (c *HTTP) Close() {
	if c.conn != nil {
		c.stop()
		_ = c.conn.Close()
		c.conn = nil
	}
}

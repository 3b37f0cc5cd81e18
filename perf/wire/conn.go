// Package wire holds the clients of a load generator: SMTP (RFC 5321), LMTP
// (RFC 2033), POP3 (RFC 1939) and HTTP (RFC 9112), as little code as the protocols allow, so
// that the processor measures the server and not the client. Every wait has a
// deadline, and ending the context that a client was dialled with ends it.
package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// A Security is how a connection is protected.
type Security string

// The ways a server may offer TLS.
const (
	Plain    Security = "none"
	Implicit Security = "implicit" // RFC 8314: TLS from the first octet
	Upgrade  Security = "stls"     // RFC 2595: STLS
)

// Options say how to dial. The zero value means clear text, 30 s for each wait
// and a buffer of 16 KiB.
type Options struct {
	Security   Security
	Timeout    time.Duration // bounds each single wait
	ReadBuffer int           // octets of the client's own buffer
	// SocketBuffer limits what the kernel takes in ahead of the reader, zero
	// leaves it alone. A slow reader needs it, or the kernel reads for it.
	SocketBuffer int
}

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 30 * time.Second
}

// A ReplyError is a negative answer; the connection is still in step.
type ReplyError struct {
	Command string
	Reply   string
}

func (e *ReplyError) Error() string { return fmt.Sprintf("%s answered %q", e.Command, e.Reply) }

// errLine tells of an answer that does not fit the client's buffer.
var errLine = errors.New("wire: line is too long")

// conn is what both protocols share: lines in, whole buffers out.
type conn struct {
	net  net.Conn
	read *bufio.Reader
	out  []byte // the command or group of commands being written
	stop func() bool
}

// dial connects; the connection is closed when ctx ends.
func dial(ctx context.Context, addr string, o Options) (*conn, error) {
	d := net.Dialer{Timeout: o.timeout()}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if o.SocketBuffer > 0 {
		if err := raw.(*net.TCPConn).SetReadBuffer(o.SocketBuffer); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	c := &conn{net: &timed{Conn: raw, timeout: o.timeout()}}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.Close() })
	if o.Security == Implicit {
		c.encrypt()
	}
	size := o.ReadBuffer
	if size == 0 {
		size = 16 << 10
	}
	c.read = bufio.NewReaderSize(c.net, size)
	return c, nil
}

// encrypt begins TLS; the handshake happens with the first octet. The server's
// certificate is not verified: a server under test makes its own.
func (c *conn) encrypt() {
	c.net = tls.Client(c.net, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions})
	if c.read != nil {
		c.read.Reset(c.net)
	}
}

// sessions lets clients resume TLS sessions, as mail readers do.
var sessions = tls.NewLRUClientSessionCache(64)

// Close drops the connection without a word.
func (c *conn) Close() error {
	c.stop()
	return c.net.Close()
}

// line is the next line without its end, valid until the next read.
func (c *conn) line() ([]byte, error) {
	b, err := c.read.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errLine
		}
		return nil, err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b, nil
}

// put appends a command line to what flush will send.
func (c *conn) put(parts ...string) {
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
	c.out = append(c.out, '\r', '\n')
}

// flush writes what was put, as one write.
func (c *conn) flush() error {
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

// timed gives every single read and write its deadline.
type timed struct {
	net.Conn
	timeout time.Duration
}

func (t *timed) Read(p []byte) (int, error) {
	if err := t.SetReadDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, err
	}
	return t.Conn.Read(p)
}

func (t *timed) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

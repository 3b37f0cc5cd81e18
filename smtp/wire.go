package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"restante/internal/network"
	sessionid "restante/internal/session"
)

// What ends a wait for a command line.
var (
	errStopping = errors.New("the server is shutting down")
	errEndless  = errors.New("line without end")
	errTooLong  = errors.New("line too long")
)

// Sizes of the buffers of a wire, in octets.
const (
	inSize   = 8 << 10
	outSize  = 4 << 10
	lineSize = 4 << 10
)

// How much of a line that is too long is skipped before it counts as endless.
const maxSkip = 64 << 10

// How long a TLS handshake may take.
const handshakeTimeout = time.Minute

// A wire is one client: the TCP connection, its buffers, its deadlines and its
// TLS. It lives until the connection is closed, through a STARTTLS.
//
// Output is written when input runs out, so that the replies to a group of
// pipelined commands leave together (RFC 2920, section 3.2).
type wire struct {
	server *Server
	id     string
	log    *slog.Logger
	remote netip.Addr // not valid where the network has no addresses
	begun  time.Time
	ctx    context.Context // ends with the wire
	cancel context.CancelFunc

	net    net.Conn // carries the deadlines
	conn   net.Conn // net, or the TLS above it
	secure *tls.Conn
	ready  bool // the TLS handshake, if any, is done
	in     *bufio.Reader
	out    *bufio.Writer
	lines  *bufio.Reader // of content; nil before the first message

	deadline time.Time // of the command line; zero while content is read
	until    time.Time // of all of the content, however it comes; zero: none is under way

	errors   int // what the client has spent of its error budget
	messages int // kept

	mu       sync.Mutex
	stopping bool
	idle     bool // nothing is lost if the wait for input is cut short
	closed   bool
}

func newWire(s *Server, nc net.Conn, secure bool) *wire {
	w := &wire{server: s, id: sessionid.NewID(), begun: time.Now(), net: nc, conn: nc, idle: true}
	w.log = s.opts.Log.With("session", w.id)
	w.ctx, w.cancel = context.WithCancel(s.ctx)
	w.remote = network.Remote(nc)
	if secure {
		w.secure = tls.Server(nc, s.opts.TLS)
		w.conn = w.secure
	}
	w.in = bufio.NewReaderSize((*input)(w), inSize)
	w.out = bufio.NewWriterSize((*output)(w), outSize)
	return w
}

// input and output are the two directions of a wire below its buffers.
type (
	input  wire
	output wire
)

// Read is called only when the buffer has run out.
func (i *input) Read(p []byte) (int, error) {
	w := (*wire)(i)
	if err := w.out.Flush(); err != nil {
		return 0, err
	}
	deadline := w.deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(w.server.opts.DataTimeout)
	}
	if !w.until.IsZero() && w.until.Before(deadline) {
		deadline = w.until
	}
	if err := w.expect(deadline); err != nil {
		return 0, err
	}
	n, err := w.conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && w.isStopping() && w.isIdle() {
		err = errStopping
	}
	return n, err
}

func (o *output) Write(p []byte) (int, error) {
	w := (*wire)(o)
	if err := w.net.SetWriteDeadline(time.Now().Add(w.server.opts.WriteTimeout)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// expect sets the deadline of the next read, unless the wire is to stop.
func (w *wire) expect(deadline time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping && w.idle {
		return errStopping
	}
	return w.net.SetReadDeadline(deadline)
}

// stop ends the wait for the next command, now or after the running one.
func (w *wire) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopping = true
	if w.idle {
		_ = w.net.SetReadDeadline(time.Unix(1, 0)) // fails only where Read fails too
	}
}

func (w *wire) isStopping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopping
}

func (w *wire) isIdle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.idle
}

func (w *wire) setIdle(idle bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = idle
}

// line waits for a line of at most limit octets and returns it without its end;
// it stays valid until the next read. CRLF ends a command, and so does LF alone:
// people type commands, and nothing but a command can be hidden that way. After
// errTooLong the next line can be read. While content is under way (busy), a
// shutdown does not cut the wait short.
func (w *wire) line(limit int, busy bool) ([]byte, error) {
	w.setIdle(!busy)
	w.deadline = time.Now().Add(w.server.opts.CommandTimeout)
	defer func() {
		w.deadline = time.Time{}
		w.setIdle(false)
	}()
	if !busy && w.isStopping() {
		return nil, errStopping
	}
	line, err := w.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = w.longLine(line, limit)
	}
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > limit-len("\r\n") {
		return nil, errTooLong
	}
	return line, nil
}

// longLine goes on with a line that the buffer does not hold.
func (w *wire) longLine(start []byte, limit int) ([]byte, error) {
	line := append([]byte(nil), start...)
	for octets := len(line); octets <= maxSkip; {
		more, err := w.in.ReadSlice('\n')
		octets += len(more)
		if len(line) <= limit {
			line = append(line, more...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return nil, errEndless
}

// handshake begins TLS as the server of a connection that has none.
func (w *wire) handshake() error {
	w.secure = tls.Server(w.net, w.server.opts.TLS)
	w.conn = w.secure
	w.ready = false
	return w.open()
}

// open completes a TLS handshake that is due.
func (w *wire) open() error {
	if w.ready || w.secure == nil {
		return nil
	}
	w.setIdle(true)
	if err := w.expect(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if err := w.net.SetWriteDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if err := w.secure.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	w.ready = true
	return nil
}

// encrypted reports whether TLS protects the connection.
func (w *wire) encrypted() bool { return w.secure != nil }

// How long, and for how many octets, a client that was hung up on may go on
// sending.
const (
	lingerTime   = 2 * time.Second
	lingerOctets = 4 << 20
)

// linger sends what waits to be sent, says that nothing follows, and throws away
// what the client still sends. Closed at once, TCP would answer that with a reset,
// and the client might never see why it was hung up on.
func (w *wire) linger() {
	half, ok := w.net.(interface{ CloseWrite() error })
	if !ok || w.out.Flush() != nil {
		return
	}
	if w.secure != nil && w.secure.CloseWrite() != nil {
		return
	}
	w.setIdle(true)
	if half.CloseWrite() != nil || w.expect(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, w.net, lingerOctets) // until whatever ends it
}

// close sends what waits to be sent, and ends the connection.
func (w *wire) close() {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if closed {
		return
	}
	err := w.out.Flush()
	if cerr := w.conn.Close(); err == nil {
		err = cerr
	}
	w.cancel()
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		w.log.Debug("connection lost", "err", err)
	}
	w.server.forget(w)
	w.log.Info("session ended", "remote", w.net.RemoteAddr().String(), "tls", w.encrypted() && w.ready,
		"messages", w.messages, "duration", time.Since(w.begun))
}

// tlsState is what TLS agreed on, nil without TLS.
func (w *wire) tlsState() *tls.ConnectionState {
	if w.secure == nil {
		return nil
	}
	state := w.secure.ConnectionState()
	return &state
}

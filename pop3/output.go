package pop3

import (
	"bufio"
	"net"
	"sync"
	"time"

	"restante/internal/dotline"
)

// Sizes of what a connection holds while it answers; idle it holds neither. A
// message of a few KiB goes out in one write, together with its first line.
const (
	outputSize = 8 << 10
	copySize   = 32 << 10
	chunkSize  = 64 << 10
)

var (
	outputs = sync.Pool{New: func() any { return &output{Writer: bufio.NewWriterSize(nil, outputSize)} }}
	copies  = sync.Pool{New: func() any { return new([copySize]byte) }}
)

// An output takes replies and messages to the client. It gathers what is short in
// its buffer; of a message that is longer only the first line goes through it.
type output struct {
	*bufio.Writer // to wire
	wire          chunkWriter
	stuffed       dotline.Writer
}

// takeOutput is an output to a connection. The caller frees it.
func takeOutput(nc net.Conn, timeout time.Duration) *output {
	o := outputs.Get().(*output)
	_, o.wire.gathers = nc.(*net.TCPConn)
	o.wire.conn, o.wire.timeout = nc, timeout
	o.Reset(&o.wire)
	return o
}

func (o *output) free() {
	o.wire.conn = nil
	o.Reset(nil)
	outputs.Put(o)
}

// body is where the content of a message is to be written.
func (o *output) body() *dotline.Writer {
	o.stuffed.Reset(o)
	return &o.stuffed
}

// WritePieces sends what is in the buffer and the pieces behind it in one write,
// unless the pieces fit in the buffer: then they wait there for what follows.
func (o *output) WritePieces(pieces [][]byte) error {
	if !o.wire.gathers || total(pieces) <= o.Available() {
		for _, p := range pieces {
			if _, err := o.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	if o.Buffered() == 0 {
		return o.wire.send(nil, pieces)
	}
	o.wire.behind = pieces
	defer func() { o.wire.behind = nil }()
	return o.Flush()
}

func total(pieces [][]byte) (octets int) {
	for _, p := range pieces {
		octets += len(p)
	}
	return octets
}

// A chunkWriter gives the client a time limit for each chunk, so that one who
// stops reading does not hold a message, and one who reads slowly may.
type chunkWriter struct {
	conn    net.Conn
	timeout time.Duration
	gathers bool     // conn writes many buffers at once: writev
	behind  [][]byte // to go with the next write
	room    [dotline.MaxPieces + 1][]byte
	buffers net.Buffers // of room
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	if w.behind != nil {
		return len(p), w.send(p, w.behind)
	}
	done := 0
	for {
		chunk := p[done:min(len(p), done+chunkSize)]
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return done, err
		}
		n, err := w.conn.Write(chunk)
		done += n
		if err != nil || done == len(p) {
			return done, err
		}
	}
}

// send writes p and the pieces, which are a chunk.
func (w *chunkWriter) send(p []byte, pieces [][]byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	w.buffers = append(w.room[:0], p)
	w.buffers = append(w.buffers, pieces...)
	_, err := w.buffers.WriteTo(w.conn)
	clear(w.room[:])
	return err
}

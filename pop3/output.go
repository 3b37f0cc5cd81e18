package pop3

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// Sizes of what a connection holds while it answers; idle it holds neither. A
// message of a few KiB goes out in one write, together with its first line.
const (
	outputSize = 8 << 10
	copySize   = 32 << 10
	chunkSize  = 64 << 10
)

var (
	outputs = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, outputSize) }}
	copies  = sync.Pool{New: func() any { return new([copySize]byte) }}
)

// A chunkWriter gives the client a time limit for each chunk, so that one who
// stops reading does not hold a message, and one who reads slowly may.
type chunkWriter struct {
	conn    net.Conn
	timeout time.Duration
}

func (w *chunkWriter) Write(p []byte) (int, error) {
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

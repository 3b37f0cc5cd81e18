package smtp

import (
	"net"
	"sync"
)

// A feed is the listener that go-smtp sees: it accepts the connections that are
// handed to it.
type feed struct {
	conns chan net.Conn
	done  chan struct{}
	close sync.Once
}

func newFeed() *feed {
	return &feed{conns: make(chan net.Conn), done: make(chan struct{})}
}

// hand gives a connection to whoever accepts, and reports false when the feed
// is closed.
func (f *feed) hand(c net.Conn) bool {
	select {
	case f.conns <- c:
		return true
	case <-f.done:
		return false
	}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error {
	f.close.Do(func() { close(f.done) })
	return nil
}

func (f *feed) Addr() net.Addr { return &net.UnixAddr{Name: "feed", Net: "feed"} }

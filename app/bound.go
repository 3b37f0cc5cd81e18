package app

import (
	"net"
	"sync"

	"restante/internal/network"
)

// A boundListener closes connections that are too many: there is no answer that
// would be understood under TLS, and none that could wait for the client.
type boundListener struct {
	net.Listener
	most, mostPerNetwork int

	mu   sync.Mutex
	open int
	from network.Counts
}

// Accept waits for a connection within the limits.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.enter(conn) {
			return &boundConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(conn) })}, nil
		}
		conn.Close()
	}
}

func (l *boundListener) enter(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || !l.from.Enter(network.Remote(conn), l.mostPerNetwork) {
		return false
	}
	l.open++
	return true
}

func (l *boundListener) leave(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.from.Leave(network.Remote(conn))
}

// A boundConn makes room for another when it is closed.
type boundConn struct {
	net.Conn
	leave func()
}

func (c *boundConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

package pop3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/internal/network"
)

// Options say how a server behaves. Only Backend is needed; a zero means the
// default.
type Options struct {
	Backend Backend
	TLS     *tls.Config // offers STLS, and is needed for ServeTLS

	InsecureAuth   bool   // passwords are accepted in clear text
	Expiring       bool   // some maildrops keep mail for a limited time; CAPA says so
	Implementation string // for CAPA; "Restante"

	IdleTimeout      time.Duration // between commands after login; 10 min, the least that RFC 1939 allows
	LoginTimeout     time.Duration // between commands before login; 1 min. In all, five times as long
	HandshakeTimeout time.Duration // for TLS; 30 s
	CommandTimeout   time.Duration // for the store and the password; 1 min
	WriteTimeout     time.Duration // for 64 KiB to be taken by the client; 1 min

	MaxMistakes    int // unknown commands, failed logins and the like before we hang up; 10
	MaxConnections int // in all; 10,000
	MaxPerNetwork  int // from one IPv4 address or IPv6 /64; 100. Loopback is not limited

	Log     *slog.Logger          // slog.Default()
	Metrics prometheus.Registerer // nil: none
}

func (o Options) withDefaults() Options {
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	o.LoginTimeout = cmp.Or(o.LoginTimeout, time.Minute)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 30*time.Second)
	o.CommandTimeout = cmp.Or(o.CommandTimeout, time.Minute)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Minute)
	o.MaxMistakes = cmp.Or(o.MaxMistakes, 10)
	o.MaxConnections = cmp.Or(o.MaxConnections, 10_000)
	o.MaxPerNetwork = cmp.Or(o.MaxPerNetwork, 100)
	o.Implementation = cmp.Or(o.Implementation, "Restante")
	o.Log = cmp.Or(o.Log, slog.Default())
	return o
}

// A Server serves POP3 on any number of listeners.
type Server struct {
	opts    Options
	policy  policy
	metrics *metrics

	base   context.Context // of every command; ends when Shutdown loses patience
	cancel context.CancelFunc
	stop   chan struct{}  // closed when Shutdown begins
	busy   sync.WaitGroup // connections

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]net.Conn
	networks  network.Counts
}

// New is a server that listens nowhere yet.
func New(opts Options) *Server {
	opts = opts.withDefaults()
	s := &Server{
		opts: opts,
		policy: policy{
			backend:        opts.Backend,
			starttls:       opts.TLS != nil,
			insecureAuth:   opts.InsecureAuth,
			expiring:       opts.Expiring,
			implementation: opts.Implementation,
		},
		metrics:   newMetrics(opts.Metrics),
		stop:      make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]net.Conn),
		networks:  make(network.Counts),
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections in clear text, with STLS where there is a TLS
// configuration. It closes l when it returns: nil after Shutdown, else the
// failure of the listener.
func (s *Server) Serve(l net.Listener) error { return s.accept(l, false) }

// ServeTLS accepts connections that begin with TLS (RFC 8314, section 3.3). It
// returns as Serve does.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.opts.TLS == nil {
		_ = l.Close()
		return errors.New("pop3: serve TLS without a TLS configuration")
	}
	return s.accept(l, true)
}

func (s *Server) accept(l net.Listener, secure bool) error {
	defer func() { _ = l.Close() }()
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			s.start(nc, secure)
		case s.stopping():
			return nil
		case !passing(err):
			return fmt.Errorf("pop3: accept: %w", err)
		default:
			s.opts.Log.Warn("pop3: accept", "err", err)
			s.rest(pause)
			pause = min(2*pause, time.Second)
		}
	}
}

// passing reports whether accepting may work again once connections have ended.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.stop:
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) unlisten(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// start runs a connection in a goroutine of its own, if there is room for it.
func (s *Server) start(nc net.Conn, secure bool) {
	c := newConn(s, nc, secure)
	if !s.admit(c) {
		s.metrics.refused.Inc()
		s.turnAway(nc, secure)
		return
	}
	s.metrics.connections.Inc()
	s.metrics.sessions.Inc()
	go func() {
		defer s.busy.Done()
		defer s.metrics.sessions.Dec()
		defer s.dismiss(c)
		c.serve()
	}()
}

func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() || len(s.conns) >= s.opts.MaxConnections {
		return false
	}
	if !s.networks.Enter(c.session.remote, s.opts.MaxPerNetwork) {
		return false
	}
	s.conns[c] = c.nc
	s.busy.Add(1)
	return true
}

func (s *Server) dismiss(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.networks.Leave(c.session.remote)
}

// turnAway says why, as far as that takes no time.
func (s *Server) turnAway(nc net.Conn, secure bool) {
	if !secure && nc.SetWriteDeadline(time.Now().Add(100*time.Millisecond)) == nil {
		_, _ = nc.Write([]byte("-ERR [SYS/TEMP] too many connections\r\n"))
	}
	_ = nc.Close()
}

// replace puts TLS between a connection and its client.
func (s *Server) replace(c *conn, secure net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.nc = secure
	s.conns[c] = secure
}

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// Shutdown stops accepting, tells idle clients goodbye at once, and lets running
// commands finish until ctx ends; then it closes their connections, which
// removes nothing, and returns the error of ctx. When it returns, no goroutine
// of the server is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginStop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.busy.Wait()
	}()
	defer s.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for _, nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

func (s *Server) beginStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() {
		return
	}
	close(s.stop)
	for l := range s.listeners {
		_ = l.Close()
	}
	for _, nc := range s.conns {
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
}

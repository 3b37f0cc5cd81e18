package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"restante/internal/network"
)

// A Server receives mail on any number of listeners, until Shutdown.
type Server struct {
	opts    Options
	metrics *metrics
	plain   *protocolServer // serves connections without TLS
	secure  *protocolServer // serves connections with TLS

	ctx    context.Context // ends when Shutdown gives up waiting
	cancel context.CancelFunc
	start  sync.Once
	work   sync.WaitGroup // accept loops and go-smtp's

	mu        sync.Mutex
	stopping  bool
	listeners map[net.Listener]bool
	wires     map[*wire]bool
	networks  network.Counts
	empty     chan struct{} // closed when stopping and no wire is left
}

// New returns a server that accepts nothing yet.
func New(o Options) *Server {
	s := &Server{
		opts:      o.withDefaults(),
		listeners: make(map[net.Listener]bool),
		wires:     make(map[*wire]bool),
		networks:  make(network.Counts),
		empty:     make(chan struct{}),
	}
	s.metrics = newMetrics(s.opts.Registerer)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.plain = s.newProtocolServer(s.opts.InsecureAuth)
	s.plain.TLSConfig = s.opts.TLS // so that STARTTLS is in the reply to EHLO
	s.secure = s.newProtocolServer(true)
	return s
}

// A protocolServer is a go-smtp server and its listener.
type protocolServer struct {
	*gosmtp.Server
	feed *feed
}

func (s *Server) newProtocolServer(allowAuth bool) *protocolServer {
	g := gosmtp.NewServer(gosmtp.BackendFunc(s.newSession))
	g.Domain = s.opts.Hostname
	g.LMTP = s.opts.Kind == LMTP
	g.MaxRecipients = s.opts.MaxRecipients
	g.MaxMessageBytes = s.opts.MaxOctets
	g.MaxLineLength = 0 // would hold for content too; the wire bounds commands
	g.AllowInsecureAuth = allowAuth
	g.EnableSMTPUTF8 = true
	// Who is not told that mail has arrived must not be told that he will be (RFC 3461,
	// section 5.2.3): whoever hands the mail over tells its sender instead.
	g.EnableDSN = s.submits()
	g.ErrorLog = errorLog{s.opts.Log}
	return &protocolServer{Server: g, feed: newFeed()}
}

// newSession is called by go-smtp at the first EHLO, HELO or LHLO.
func (s *Server) newSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	nc, ok := c.Conn().(*conn)
	if !ok {
		return nil, fmt.Errorf("connection of type %T", c.Conn())
	}
	return &session{server: s, wire: nc.wire, conn: nc, client: c}, nil
}

// Serve accepts connections in clear text, with STARTTLS where Options.TLS is
// given. It closes the listener, and returns nil after Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS accepts connections that begin with TLS (RFC 8314, section 3).
func (s *Server) ServeTLS(l net.Listener) error {
	if s.opts.TLS == nil {
		_ = l.Close()
		return errors.New("smtp: ServeTLS without a TLS configuration")
	}
	return s.serve(l, true)
}

func (s *Server) serve(l net.Listener, secure bool) error {
	defer l.Close()
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.listeners[l] = true
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	s.start.Do(func() {
		for _, p := range []*protocolServer{s.plain, s.secure} {
			s.work.Go(func() { _ = p.Serve(p.feed) }) // fails only when the feed is closed
		}
	})
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.admit(nc, secure)
		case s.isStopping():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		default: // out of file descriptors, as a rule; it passes
			s.opts.Log.Warn("accept", "err", err)
			s.pause(100 * time.Millisecond)
		}
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

func (s *Server) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// admit begins to serve a connection.
func (s *Server) admit(nc net.Conn, secure bool) {
	w := newWire(s, nc, secure)
	if err := s.register(w); err != nil {
		w.cancel()
		if errors.Is(err, errCrowded) {
			s.metrics.refused.Inc()
			turnAway(nc, secure)
		}
		_ = nc.Close()
		return
	}
	s.metrics.connections.Inc()
	s.metrics.sessions.Inc()
	p := s.plain
	if secure {
		p = s.secure
	}
	if !p.feed.hand(newConn(w)) {
		w.close()
	}
}

var errCrowded = errors.New("too many connections")

// register notes a wire, if there is room for one more.
func (s *Server) register(w *wire) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	if len(s.wires) >= s.opts.MaxConnections || !s.networks.Enter(w.remote, s.opts.MaxPerNetwork) {
		return errCrowded
	}
	s.wires[w] = true
	return nil
}

// turnAway tells a client that it is one too many, if that takes no time.
func turnAway(nc net.Conn, secure bool) {
	if secure {
		return
	}
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("421 4.7.0 too many connections, try again later\r\n"))
}

// forget is called when a wire is closed.
func (s *Server) forget(w *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wires[w] {
		return
	}
	delete(s.wires, w)
	s.networks.Leave(w.remote)
	s.metrics.sessions.Dec()
	if s.stopping && len(s.wires) == 0 {
		close(s.empty)
	}
}

// Shutdown stops accepting, tells idle clients goodbye at once (421), and lets
// a message that is under way end until ctx ends; then it cuts the connections
// that are left and returns the context's error. When it returns, every goroutine
// of the server is gone.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping {
		s.stopping = true
		if len(s.wires) == 0 {
			close(s.empty)
		}
	}
	for l := range s.listeners {
		_ = l.Close() // nothing is lost if it is closed already
	}
	for w := range s.wires {
		w.stop()
	}
	s.mu.Unlock()

	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.cut()
		<-s.empty
	}
	s.cancel()
	for _, p := range []*protocolServer{s.plain, s.secure} {
		_ = p.feed.Close()
		// The connections are closed: this waits for their goroutines to end.
		_ = p.Shutdown(context.Background())
	}
	s.work.Wait()
	return err
}

// cut ends what is still running.
func (s *Server) cut() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.wires {
		_ = w.net.Close()
	}
}

// An errorLog takes what go-smtp has to say, which is little: sessions catch
// their own panics.
type errorLog struct{ log *slog.Logger }

func (e errorLog) Printf(format string, v ...any) {
	e.log.Error("go-smtp", "err", fmt.Sprintf(format, v...))
}
func (e errorLog) Println(v ...any) { e.log.Error("go-smtp", "err", fmt.Sprint(v...)) }

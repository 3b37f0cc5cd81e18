package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"restante/internal/network"
)

// Limits of a listener of HTTP. The handlers have deadlines of their own for what
// comes after the header; these are for the time before and between.
const (
	httpHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpTimeout       = 10 * time.Minute
	httpHeaderOctets  = 64 << 10
)

// An httpServer serves HTTP in the life cycle of the other servers.
type httpServer struct {
	http *http.Server

	// The most connections to one listener, in all and from one network; 0: not
	// limited.
	most, mostPerNetwork int
}

func newHTTP(handler http.Handler, tlsConfig *tls.Config, log *slog.Logger) *httpServer {
	return &httpServer{http: &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: httpHeaderTimeout,
		ReadTimeout:       httpTimeout,
		WriteTimeout:      httpTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpHeaderOctets,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// Serve serves until Shutdown.
func (s *httpServer) Serve(l net.Listener) error { return unlessClosed(s.http.Serve(s.bound(l))) }

// ServeTLS serves under TLS until Shutdown.
func (s *httpServer) ServeTLS(l net.Listener) error {
	return unlessClosed(s.http.ServeTLS(s.bound(l), "", ""))
}

// bound is the listener within the limits.
func (s *httpServer) bound(l net.Listener) net.Listener {
	if s.most == 0 {
		return l
	}
	return &boundListener{Listener: l, most: s.most, mostPerNetwork: s.mostPerNetwork, from: make(network.Counts)}
}

// Shutdown lets running requests finish until ctx ends.
func (s *httpServer) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the admin listener: operators send little, and wait for an import of
// thousands of accounts.
const (
	adminHeaderTimeout = 10 * time.Second
	adminIdleTimeout   = 2 * time.Minute
	adminTimeout       = 10 * time.Minute
	adminHeaderOctets  = 64 << 10
)

// An admin serves HTTP in the life cycle of the other servers.
type admin struct{ http *http.Server }

func newAdmin(handler http.Handler, tlsConfig *tls.Config, log *slog.Logger) *admin {
	return &admin{&http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: adminHeaderTimeout,
		ReadTimeout:       adminTimeout,
		WriteTimeout:      adminTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminHeaderOctets,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// Serve serves until Shutdown.
func (a *admin) Serve(l net.Listener) error { return unlessClosed(a.http.Serve(l)) }

// ServeTLS serves under TLS until Shutdown.
func (a *admin) ServeTLS(l net.Listener) error { return unlessClosed(a.http.ServeTLS(l, "", "")) }

// Shutdown lets running requests finish until ctx ends.
func (a *admin) Shutdown(ctx context.Context) error {
	err := a.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.http.Close())
	}
	return err
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

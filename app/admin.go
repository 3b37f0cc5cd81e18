package app

import (
	"crypto/tls"
	"log/slog"
	"maps"

	"restante/rest"
	"restante/web"
)

// newAdmin makes the server for operators, and for services that register.
func (a *App) newAdmin(tlsConfig *tls.Config, token string, log *slog.Logger) server {
	o := rest.AdminOptions{
		Directory:  a.directory,
		Maildrops:  a.store.Maildrops(),
		Deliveries: a.deliveries,
		Hasher:     a.hasher,
		Token:      token,
		Gatherer:   a.registry,
		Registerer: a.registry,
		Ready:      a.store.Ping,
		Pages:      web.Status(),
		Version:    a.version,
		Log:        log,
	}
	stopping := make(chan struct{})
	if a.relay != nil {
		maps.Copy(o.Pages, web.Relay())
		o.Relay = &rest.RelayOptions{Pool: a.relay.pool, Node: a.relay.node, Suppressions: a.store.Suppressions(), Stopping: stopping}
	}
	s := newHTTP(rest.Admin(o), tlsConfig, log)
	s.http.RegisterOnShutdown(func() { close(stopping) })
	return s
}

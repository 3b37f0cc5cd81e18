// Package app is the composition root: it opens the store, wires the protocol
// servers to it, and takes everything down again in reverse order. A program or
// a test that wants the whole server calls New and Run.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"restante/auth"
	"restante/cassandra"
	"restante/embedded"
	"restante/mailbox"
	"restante/pop3"
	"restante/relay"
	"restante/relay/pool"
	"restante/smtp"
	"restante/temporary"
)

// Options is what New needs beside the configuration.
type Options struct {
	Config  Config
	Version string
	Log     *slog.Logger
	// Out receives what a person at a terminal should read: the addresses of the
	// listeners, and on the first start how to send a mail and read it.
	Out io.Writer
}

// An App is a whole server.
type App struct {
	config  Config
	version string
	log     *slog.Logger
	out     io.Writer

	registry   *prometheus.Registry
	store      store
	failed     <-chan error          // of the store, for good; nil: it recovers by itself
	recent     *mailbox.RecentRoutes // nil: the store is asked each time
	sweep      func(context.Context) (stats any, err error)
	directory  *mailbox.Directory
	deliveries *mailbox.Deliveries
	temporary  *temporary.Mailboxes
	shown      mailbox.Maildrops // what users see of the maildrops
	relay      *outgoing         // nil: mail for elsewhere is refused
	hasher     *auth.Hasher
	verifier   auth.Verifier

	ports   []port
	servers map[string]server // behind the ports, by name
	closers []closer          // in the order of opening
}

// A store is what the stores have in common.
type store interface {
	Contents() mailbox.Contents
	Maildrops() mailbox.Maildrops
	Addresses() mailbox.Addresses
	Journal() relay.Journal
	Shared() pool.Shared
	Suppressions() relay.Suppressions
	Ping(ctx context.Context) error
	Close() error
}

// A server is what the protocol packages have in common.
type server interface {
	Serve(l net.Listener) error
	ServeTLS(l net.Listener) error
	Shutdown(ctx context.Context) error
}

// A port is a bound listener and the server behind it.
type port struct {
	listener
	net    net.Listener
	server server
}

type closer struct {
	name  string
	close func() error
}

// New opens the store and the ports. Nothing is served before Run. An App that
// New returned must be Run, which closes it.
func New(o Options) (a *App, err error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	a = &App{config: o.Config, version: o.Version, log: o.Log, out: o.Out, registry: prometheus.NewRegistry(), servers: make(map[string]server)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	if err := a.openStore(); err != nil {
		return a, err
	}
	if err := a.openServers(); err != nil {
		return a, err
	}
	return a, nil
}

// onClose registers what close undoes, last first.
func (a *App) onClose(name string, f func() error) {
	a.closers = append(a.closers, closer{name, f})
}

func (a *App) close() error {
	var errs []error
	for len(a.closers) > 0 {
		last := a.closers[len(a.closers)-1]
		a.closers = a.closers[:len(a.closers)-1]
		if err := last.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

// openStore opens the store and puts the domain on top of it.
func (a *App) openStore() error {
	if err := os.MkdirAll(a.config.Data, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	open := a.openEmbedded
	if a.config.Store == cassandraStore {
		open = a.openCassandra
	}
	if err := open(); err != nil {
		return err
	}
	a.onClose("store", a.store.Close)

	announcements := mailbox.NewAnnouncements(a.log)
	if err := a.newDirectory(); err != nil {
		return err
	}
	a.deliveries = &mailbox.Deliveries{
		Contents: a.store.Contents(),
		Project:  mailbox.Projector{Maildrops: a.store.Maildrops()},
		Announce: announcements,
		IDs:      &mailbox.MessageIDs{},
		Log:      a.log,
	}
	if a.config.Store == cassandraStore {
		a.deliveries.MaxInline = cassandra.MaxInline
	}
	if err := a.newTemporary(announcements); err != nil {
		return err
	}
	if err := a.newWebhook(announcements); err != nil {
		return err
	}
	if err := a.newRelay(); err != nil {
		return err
	}
	announcements.Start()
	a.onClose("announcements", func() error { announcements.Stop(); return nil })
	return nil
}

// openEmbedded opens the store in the data directory.
func (a *App) openEmbedded() error {
	s, err := embedded.Open(embedded.Options{
		Dir:        filepath.Join(a.config.Data, "store"),
		MinFree:    uint64(a.config.MinFree),
		Log:        a.log,
		Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	a.store, a.failed = s, s.Failed()
	a.sweep = func(ctx context.Context) (any, error) { return s.Sweep(ctx) }
	return nil
}

// openServers makes the protocol servers and binds their ports.
func (a *App) openServers() error {
	c := &a.config
	cert, err := openCertificate(c, a.log)
	if err != nil {
		return err
	}
	token, err := adminToken(c)
	if err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	// Logins and imports share the hasher, which bounds what hashing costs.
	a.hasher = auth.NewHasher(auth.HasherOptions{Registerer: a.registry})
	a.verifier = auth.NewPasswords(auth.Options{
		Directory:  a.directory,
		Domain:     c.Domains[0],
		Hasher:     a.hasher,
		Registerer: a.registry,
	})

	for _, l := range c.listeners() {
		if l.addr == Off {
			continue
		}
		if a.servers[l.server] == nil {
			if a.servers[l.server], err = a.newServer(l.server, cert.config(), token); err != nil {
				return err
			}
		}
		bound, err := l.bind()
		if err != nil {
			return err
		}
		a.onClose(l.flag, func() error { bound.Close(); return nil }) // a server may have closed it
		a.ports = append(a.ports, port{l, bound, a.servers[l.server]})
	}
	return nil
}

// readAhead is how many octets POP3 sessions may read ahead, all together: the
// embedded store is too near to gain by it.
func (a *App) readAhead() int64 {
	if a.config.Store == cassandraStore {
		return 32 << 20
	}
	return 0
}

// newServer makes the server behind one or two listeners.
func (a *App) newServer(name string, tlsConfig *tls.Config, token string) (server, error) {
	c := &a.config
	log := a.log.With("server", name)
	switch name {
	case "public":
		return a.newPublic(tlsConfig, log)
	case "admin":
		return a.newAdmin(tlsConfig, token, log), nil
	case "pop3":
		return pop3.New(pop3.Options{
			Backend: pop3.NewBackend(pop3.BackendOptions{
				Verifier:   a.verifier,
				Maildrops:  a.shown,
				Contents:   a.store.Contents(),
				Deliveries: a.deliveries,
				ReadAhead:  a.readAhead(),
			}),
			TLS:            tlsConfig,
			InsecureAuth:   c.InsecureAuth && IsLoopback(c.POP3),
			Expiring:       true, // there are temporary addresses
			IdleTimeout:    c.POP3Idle,
			MaxConnections: c.MaxConnections,
			MaxPerNetwork:  c.MaxPerNetwork,
			Log:            log,
			Metrics:        a.registry,
		}), nil
	}
	o := smtp.Options{
		Kind:           map[string]smtp.Kind{"mx": smtp.MX, "submission": smtp.Submission, "lmtp": smtp.LMTP}[name],
		Hostname:       c.Hostname,
		Router:         a.directory,
		Deliverer:      a.deliveries,
		Verifier:       a.verifier,
		TLS:            tlsConfig,
		InsecureAuth:   c.InsecureAuth && IsLoopback(c.Submission),
		MaxOctets:      int64(c.MaxMessageSize),
		MaxRecipients:  c.MaxRecipients,
		MaxConnections: c.MaxConnections,
		MaxPerNetwork:  c.MaxPerNetwork,
		CommandTimeout: c.SMTPIdle,
		Log:            log,
		Registerer:     prometheus.WrapRegistererWith(prometheus.Labels{"server": name}, a.registry),
	}
	if a.relay != nil {
		o.Submitter = submitter{a.relay.intake}
	}
	return smtp.New(o), nil
}

// Run serves until ctx ends or something fails for good, lets what is running
// finish, and closes the app. It returns nil when ctx ended and nothing was cut off.
func (a *App) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if err := a.firstStart(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, a.close())
	}

	var background sync.WaitGroup
	for _, p := range a.ports {
		background.Go(func() {
			if err := p.serve(); err != nil {
				fail(fmt.Errorf("--%s: %w", p.flag, err))
			}
		})
	}
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx)) // outlives the servers
	defer stopSending()
	if a.relay != nil {
		background.Go(func() { a.relay.run(sending) })
	}
	background.Go(func() { a.deliveries.Withdraw(sending) })
	background.Go(func() { a.temporary.Run(ctx) })
	if a.sweep != nil {
		background.Go(func() { a.sweepDaily(ctx) })
	}
	if a.config.Store == cassandraStore && a.config.ApplySchema {
		background.Go(func() {
			if err := a.applySchema(ctx); err != nil {
				fail(err)
			}
		})
	}
	background.Go(func() {
		select {
		case <-ctx.Done():
		case err := <-a.failed:
			fail(fmt.Errorf("store: %w", err))
		}
	})
	a.log.Info("serving", "version", a.version, "data", a.config.Data)

	<-ctx.Done()
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil
	}
	a.log.Info("stopping", "grace", a.config.Grace)
	failure = errors.Join(failure, a.shutdown())
	stopSending()
	background.Wait()
	return errors.Join(failure, a.close())
}

func (p port) serve() error {
	if p.tls {
		return p.server.ServeTLS(p.net)
	}
	return p.server.Serve(p.net)
}

// shutdown stops every server at once, within the grace.
func (a *App) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.config.Grace)
	defer cancel()
	results := make(chan error, len(a.servers))
	for name, s := range a.servers {
		go func() {
			err := s.Shutdown(ctx)
			if err != nil {
				err = fmt.Errorf("shut down %s: %w", name, err)
			}
			results <- err
		}()
	}
	var err error
	for range a.servers {
		err = errors.Join(err, <-results)
	}
	return err
}

// How often the store is swept, and how soon after the start.
const (
	sweepFirst = 10 * time.Minute
	sweepEvery = 24 * time.Hour
)

// sweepDaily removes what half-finished work of earlier days left behind.
func (a *App) sweepDaily(ctx context.Context) {
	timer := time.NewTimer(sweepFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if stats, err := a.sweep(ctx); err != nil {
			a.log.Warn("sweep not finished", "err", err)
		} else {
			a.log.Info("swept", "stats", stats)
		}
		timer.Reset(sweepEvery)
	}
}

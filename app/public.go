package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"restante/auth"
	"restante/mailbox"
	"restante/rest"
	"restante/temporary"
	"restante/textman"
	"restante/web"
)

// newDirectory makes the directory of accounts, temporary addresses and texts.
func (a *App) newDirectory() error {
	c := &a.config
	a.directory = &mailbox.Directory{
		Addresses:   a.store.Addresses(),
		Domains:     c.Domains,
		TempDomains: c.TempDomains,
		Recent:      a.recent,
	}
	if a.recent != nil {
		a.onClose("addresses", func() error { a.recent.Close(); return nil })
	}
	if c.TextDomain == Off {
		return nil
	}
	a.directory.TextDomain = c.TextDomain
	if c.TextPassword == "" {
		return nil
	}
	secret, err := auth.Hash(c.TextPassword)
	if err != nil {
		return fmt.Errorf("--text-password: %w", err)
	}
	a.directory.TextSecret = secret
	return nil
}

// newTemporary makes the temporary mailboxes, which hear of every delivery, also where
// no listener offers them: mail comes for those of other servers too.
func (a *App) newTemporary(announcements *mailbox.Announcements) (err error) {
	c := &a.config
	a.temporary, err = temporary.New(temporary.Options{
		Directory:   a.directory,
		Maildrops:   a.store.Maildrops(),
		Contents:    a.store.Contents(),
		Deliveries:  a.deliveries,
		Life:        c.TempLife,
		MaxLife:     c.TempMaxLife,
		MaxMessages: c.TempMaxMessages,
		MaxLive:     c.TempMaxMailboxes,
		MaxWatchers: c.MaxConnections,
		Poll:        c.Store == cassandraStore,
		Log:         a.log,
		Registerer:  a.registry,
	})
	if err != nil {
		return err
	}
	a.shown = mailbox.NewestOnly(a.store.Maildrops(), c.TempMaxMessages)
	announcements.Listen("temporary", a.temporary, a.temporary.Dropped)
	return nil
}

// maxSubmission is the largest message that is submitted over HTTP, where it is in memory
// as a whole.
const maxSubmission = 10 << 20

// newPublic makes the server for everybody.
func (a *App) newPublic(tlsConfig *tls.Config, log *slog.Logger) (server, error) {
	c := &a.config
	keys, err := c.keys()
	if err != nil {
		return nil, err
	}
	texts, err := a.newTexts()
	if err != nil {
		return nil, err
	}
	stopping := make(chan struct{})
	var submissions *rest.SubmissionOptions
	if a.relay != nil {
		submissions = &rest.SubmissionOptions{
			Verifier: a.verifier, Router: a.directory, Intake: a.relay.intake, Hostname: c.Hostname,
			InsecureAuth: c.InsecureAuth && IsLoopback(c.HTTP), MaxMessage: min(maxSubmission, int64(c.MaxMessageSize)), MaxRecipients: c.MaxRecipients,
		}
	}
	s := newHTTP(rest.Public(rest.PublicOptions{
		Mailboxes:    a.temporary,
		Chat:         texts,
		Page:         a.page(),
		Autoconfig:   a.autoconfig(),
		Submissions:  submissions,
		Ready:        a.store.Ping,
		MaxMessage:   int64(c.HTTPMaxMessage),
		MaxShown:     c.TempMaxMessages,
		MaxStreams:   max(1, c.MaxConnections/2), // the others are for what does not wait
		MaxPerClient: max(1, c.MaxPerNetwork/2),
		CreateRate:   c.TempRate,
		Origins:      c.HTTPOrigins,
		Keys:         keys,
		Stopping:     stopping,
		Log:          log,
		Registerer:   a.registry,
		Version:      a.version,
	}), tlsConfig, log)
	s.http.RegisterOnShutdown(func() { close(stopping) })
	s.most, s.mostPerNetwork = c.MaxConnections, c.MaxPerNetwork
	return s, nil
}

// page is what people see.
func (a *App) page() http.Handler {
	c := &a.config
	o := web.Options{Domains: c.TempDomains, Life: c.TempLife, MaxLife: c.TempMaxLife}
	for flag, security := range map[string]string{"pop3s": "SSL/TLS", "pop3": "STARTTLS"} {
		if port := a.portOf(flag); port != 0 {
			o.Servers = append(o.Servers, web.Server{Host: a.hostOf(flag), Port: port, Security: security})
		}
	}
	slices.SortFunc(o.Servers, func(a, b web.Server) int { return strings.Compare(a.Security, b.Security) })
	return web.Handler(o)
}

// autoconfig is what mail programs ask for.
func (a *App) autoconfig() http.Handler {
	return rest.Autoconfig(rest.AutoconfigOptions{
		Domains:     slices.Concat(a.config.Domains, a.config.TempDomains),
		Host:        a.hostOf("pop3s"),
		POP3:        a.portOf("pop3"),
		POP3S:       a.portOf("pop3s"),
		Submission:  a.portOf("submission"),
		Submissions: a.portOf("submissions"),
	})
}

// portOf is where a listener is that has been bound, or 0.
func (a *App) portOf(flag string) int {
	if at, ok := a.addr(flag).(*net.TCPAddr); ok {
		return at.Port
	}
	return 0
}

// hostOf is the name under which others reach a listener: that of the host, unless
// only this machine does.
func (a *App) hostOf(flag string) string {
	if at, ok := a.addr(flag).(*net.TCPAddr); ok && at.IP.IsLoopback() {
		return at.IP.String()
	}
	return a.config.Hostname
}

// newTexts makes the text service, if there is one.
func (a *App) newTexts() (*textman.Service, error) {
	c := &a.config
	if c.TextDomain == Off {
		return nil, nil
	}
	return textman.New(textman.Options{
		Domain:     c.TextDomain,
		Maildrops:  a.store.Maildrops(),
		Contents:   a.store.Contents(),
		Deliveries: a.deliveries,
		Log:        a.log,
		Flush:      c.TextFlush,
		Registerer: a.registry,
		Server:     c.Node,
		IDFile:     filepath.Join(c.Data, "text-ids"),
	})
}

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"restante/relay/fake"
)

// FakeConfig is a next hop that only plays one: it takes mail, keeps a log of it, and
// fails on command.
type FakeConfig struct {
	Listen   string `required:"" placeholder:"HOST:PORT" help:"Where it takes mail. It has no secrets and obeys everybody: keep it on loopback."`
	Control  string `placeholder:"HOST:PORT" help:"Where it is told what to do, of smtp; the others hear it at --listen."`
	Like     string `placeholder:"NAME" help:"Whose words smtp uses: mailgun, sendgrid, ses, postmark, resend or sparkpost."`
	Username string `placeholder:"NAME" help:"Asked for: the user of smtp (none, if not given), or the id of the key of ses (id, if not given)."`
	Password string `default:"secret" placeholder:"TEXT" help:"Asked for: the password of smtp, the key of mailgun and sendgrid, or the secret of ses."`
	Domain   string `default:"example.org" placeholder:"DOMAIN" help:"That mailgun sends for."`
	Region   string `default:"eu-west-1" placeholder:"NAME" help:"Of ses."`
}

// Check reports the first setting that cannot work for a kind.
func (c *FakeConfig) Check(kind string) error {
	switch {
	case kind == "smtp" && c.Control == "":
		return errors.New("--control: smtp needs a port of its own for that")
	case kind != "smtp" && c.Control != "":
		return fmt.Errorf("--control: %s is told at --listen what to do", kind)
	case kind != "smtp" && c.Like != "":
		return errors.New("--like is for smtp")
	}
	return nil
}

// Run plays a next hop of a kind until ctx ends.
func (c *FakeConfig) Run(ctx context.Context, kind string, log *slog.Logger) error {
	bound, err := listener{flag: "listen", addr: c.Listen}.bind()
	if err != nil {
		return err
	}
	if kind != "smtp" {
		handler, control := c.maker(kind)
		log.Info("fake is there", "kind", kind, "listen", bound.Addr().String())
		return errors.Join(serveUntil(ctx, newHTTP(handler, nil, log), bound), control.Close())
	}
	f, err := fake.NewSMTP(fake.SMTPOptions{Like: c.Like, Username: c.Username, Password: c.password()})
	if err != nil {
		return errors.Join(err, bound.Close())
	}
	control, err := listener{flag: "control", addr: c.Control}.bind()
	if err != nil {
		return errors.Join(err, bound.Close())
	}
	log.Info("fake is there", "kind", kind, "listen", bound.Addr().String(), "control", control.Addr().String())
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	all.Go(func() { fail(f.Serve(bound)) })
	err = errors.Join(serveUntil(ctx, newHTTP(f.Control, nil, log), control), f.Close())
	all.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// password is that of smtp, which asks for none without a user.
func (c *FakeConfig) password() string {
	if c.Username == "" {
		return ""
	}
	return c.Password
}

// maker is the HTTP interface of a kind.
func (c *FakeConfig) maker(kind string) (http.Handler, *fake.Control) {
	switch kind {
	case "mailgun":
		f := fake.NewMailgun(fake.MailgunOptions{Domain: c.Domain, Key: c.Password})
		return f, f.Control
	case "ses":
		f := fake.NewSES(fake.SESOptions{KeyID: cmp.Or(c.Username, "id"), Secret: c.Password, Region: c.Region})
		return f, f.Control
	}
	f := fake.NewSendGrid(fake.SendGridOptions{Key: c.Password})
	return f, f.Control
}

// serveUntil serves HTTP until ctx ends, and no longer: nobody is lost with it.
func serveUntil(ctx context.Context, s *httpServer, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	return s.Serve(l)
}

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"restante/relay"
	"restante/relay/agent"
	"restante/relay/pool"
	"restante/relay/provider"
	"restante/smtp"
)

// AgentConfig is what an agent runs with: a sending service as a process of its own. The
// struct tags are flags of the command line.
type AgentConfig struct {
	Name        string        `required:"" placeholder:"NAME" help:"Of the service, unique on the servers."`
	Register    []string      `required:"" placeholder:"URL" help:"Admin listener of a server that is to give mail. Repeatable; one is enough where servers share a store and that one is up."`
	Token       string        `required:"" placeholder:"TOKEN" help:"By which it may register: --relay-enrol of the servers, or one that they made. Better in the environment."`
	Provider    string        `required:"" placeholder:"URL" help:"What mail is handed to, such as smtp://USER:$$PASSWORD@HOST:587, where $$PASSWORD is a variable (docs/relay.md)."`
	Listen      string        `default:"127.0.0.1:2526" placeholder:"HOST:PORT" help:"Where it takes mail from the servers."`
	Endpoint    string        `placeholder:"URL" help:"Where the servers find it, where that is not smtp:// and --listen."`
	Nodes       []string      `default:"127.0.0.0/8,::1/128" placeholder:"NETWORK" help:"Networks of the servers. Whoever is there can send mail through it. Repeatable."`
	Hostname    string        `default:"localhost" placeholder:"NAME" help:"What it calls itself to the next hop."`
	Concurrency int           `default:"16" placeholder:"N" help:"Mails at a time."`
	Weight      float64       `default:"100" placeholder:"N" help:"Of its share, beside other services."`
	Priority    int           `placeholder:"N" help:"0 to 63, the lowest first, for schedulers that heed it."`
	Senders     []string      `placeholder:"DOMAIN" help:"Domains of senders that it may carry; all, if not given. Repeatable."`
	Tags        []string      `placeholder:"TEXT" help:"For people. Repeatable."`
	Rate        float64       `placeholder:"N" help:"Recipients a second that it may be given."`
	PerDay      int64         `placeholder:"N" help:"Recipients in 24 hours that it may be given."`
	TLSCert     string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate for STARTTLS (PEM), where mail comes from other machines."`
	TLSKey      string        `name:"tls-key" type:"path" placeholder:"FILE" help:"Its key."`
	Spool       string        `type:"path" placeholder:"DIR" help:"Directory for large mail that is under way. Default: that of the system for temporary files."`
	Grace       time.Duration `default:"30s" placeholder:"DURATION" help:"How long mail that is under way may take at the end."`
}

// Check reports the first setting that cannot work. No error repeats a secret.
func (c *AgentConfig) Check() error {
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		return fmt.Errorf("--listen %s: not HOST:PORT", c.Listen)
	case c.Endpoint == "" && (host == "" || port == "0" || unspecified(host)):
		return fmt.Errorf("--listen %s: needs --endpoint, where the servers find it", c.Listen)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case c.Concurrency < 1:
		return errors.New("--concurrency: at least 1 is needed")
	}
	_, err = c.networks()
	return err
}

func unspecified(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsUnspecified()
}

func (c *AgentConfig) networks() ([]netip.Prefix, error) { return parseNetworks("nodes", c.Nodes) }

// What a mail may take at the next hop of an agent up to its end, while the server waits.
var agentTimeouts = provider.Timeouts{Connect: 10 * time.Second, Command: 20 * time.Second}

// Run sends mail until ctx ends, and finishes what is under way.
func (c *AgentConfig) Run(ctx context.Context, log *slog.Logger) (err error) {
	networks, err := c.networks()
	if err != nil {
		return err
	}
	o := agent.Options{
		Servers: c.Register, Token: c.Token, SMTP: smtp.Options{Hostname: c.Hostname},
		Networks: networks, Concurrency: c.Concurrency, Spool: c.Spool, Grace: c.Grace, Log: log,
	}
	for i, base := range o.Servers {
		if !strings.Contains(base, "://") {
			o.Servers[i] = AdminURL(base)
		}
	}
	if c.TLSCert != "" {
		cert := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, log: log}
		if err := cert.load(); err != nil {
			return err
		}
		o.SMTP.TLS = cert.config()
	}
	o.Provider, err = provider.Open(c.Provider, provider.Common{Hello: c.Hostname, Timeouts: agentTimeouts})
	if err != nil {
		return fmt.Errorf("--provider: %w", err)
	}
	defer func() { err = errors.Join(err, o.Provider.Close()) }()
	o.Document = c.document(o.Provider)
	a, err := agent.New(o)
	if err != nil {
		return err
	}
	l, err := listener{flag: "listen", addr: c.Listen}.bind()
	if err != nil {
		return err
	}
	return a.Run(ctx, l)
}

// document is what it registers with.
func (c *AgentConfig) document(p relay.Provider) pool.Document {
	_, direct := p.(*provider.MX)
	return pool.Document{
		Name: c.Name, Kind: "smtp", Endpoint: cmp.Or(c.Endpoint, "smtp://"+c.Listen), Weight: c.Weight, Priority: c.Priority,
		Senders: c.Senders, Tags: c.Tags, Limits: pool.Limits{PerSecond: c.Rate, PerDay: c.PerDay, Concurrency: c.Concurrency},
		Destinations: direct,
	}
}

// AdminURL is the URL of an admin listener: it has TLS unless only its own machine can
// reach it.
func AdminURL(addr string) string {
	switch {
	case strings.Contains(addr, "://"):
		return addr
	case IsLoopback(addr):
		return "http://" + addr
	}
	return "https://" + addr
}

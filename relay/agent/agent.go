// Package agent is a sending service as a process of its own. It registers with the
// servers that are to give it mail, and tells them again and again that it is there; what
// they give it by SMTP it hands to a [relay.Provider] within the session, and answers what
// the provider said. It keeps nothing: a mail that it has not answered is still the
// server's.
//
//	server ─ SMTP ─► gate ─► smtp.Server ─► courier ─► relay.Provider
//	       ◄─ HTTP ─ registration ◄─ health ◄─ probes ─┘
//
// Who reaches an agent can send mail in the name of everybody: a gate lets in the
// networks of the servers alone.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
	"restante/smtp"
)

// Options configures [New]. Where a field says so, zero is a default.
type Options struct {
	Document pool.Document  // what it registers with; its endpoint is where the servers find it
	Servers  []string       // base URLs of their admin listeners, such as "http://127.0.0.1:8081"
	Token    string         // of an enrolment
	Provider relay.Provider // closed by the caller

	SMTP        smtp.Options   // Hostname and TLS count; the rest is the agent's
	Networks    []netip.Prefix // where the servers are; nil: [pool.Loopback]
	Concurrency int            // mails at a time; 0: 16
	Spool       string         // directory of large contents on their way; empty: that of the system
	Grace       time.Duration  // for what is under way at the end; 0: 30 s
	Log         *slog.Logger   // nil: none
}

// Why an agent ends by itself.
var (
	// ErrReplaced: another instance has registered under its name.
	ErrReplaced = errors.New("another instance has registered under this name")
	// ErrRefused: a server does not let it register.
	ErrRefused = errors.New("registration refused")
)

// maxOctets is what an agent takes whose provider has no limit of its own.
const maxOctets = 100 << 20

// An Agent is a sending service.
type Agent struct {
	options Options
	log     *slog.Logger
	server  *smtp.Server
	courier *courier
	health  *health
	links   []*link
	beats   atomic.Uint64 // sent, to all servers: they tell each other the last they heard
}

// New returns an agent that does nothing before [Agent.Run].
func New(o Options) (*Agent, error) {
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	if o.Networks == nil {
		o.Networks = pool.Loopback
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Provider == nil:
		return nil, errors.New("agent: no provider")
	case len(o.Servers) == 0:
		return nil, errors.New("agent: no server to register with")
	case o.Document.Endpoint == "":
		return nil, errors.New("agent: no endpoint")
	case o.Concurrency < 0 || o.Grace < 0:
		return nil, errors.New("agent: a limit is negative")
	}
	limits := o.Provider.Limits()
	o.Document.Limits = narrowed(o.Document.Limits, limits)
	o.Document.Reassembles = o.Document.Reassembles || limits.Reassembles

	a := &Agent{options: o, log: o.Log, health: newHealth(o.Provider, o.Log)}
	a.courier = &courier{provider: o.Provider, room: make(chan struct{}, o.Concurrency), spool: o.Spool, log: o.Log}
	s := o.SMTP
	s.Kind, s.Submitter = smtp.Relay, a.courier
	s.MaxOctets = cmp.Or(limits.Octets, maxOctets)
	s.MaxRecipients = 1 // so that there is an answer for each
	s.MaxErrors = 1 << 30
	s.MaxConnections, s.MaxPerNetwork = 4096, 4096
	s.StoreTimeout = answerTimeout + 5*time.Second
	s.Log = o.Log
	a.server = smtp.New(s)

	shared := new(credentials)
	for _, base := range o.Servers {
		l, err := newLink(base, a, shared)
		if err != nil {
			return nil, err
		}
		a.links = append(a.links, l)
	}
	return a, nil
}

// narrowed are limits with what the provider knows of the next hop.
func narrowed(l pool.Limits, p relay.Limits) pool.Limits {
	if p.Octets > 0 && (l.Octets == 0 || p.Octets < l.Octets) {
		l.Octets = p.Octets
	}
	if p.PerSecond > 0 && (l.PerSecond == 0 || p.PerSecond < l.PerSecond) {
		l.PerSecond = p.PerSecond
	}
	if p.PerDay > 0 && (l.PerDay == 0 || p.PerDay < l.PerDay) {
		l.PerDay = p.PerDay
	}
	return l
}

// Run takes mail on a listener, which it closes, and sends it, until the context ends.
// Then it asks for no more, finishes what it has within the grace, and takes leave of the
// servers. It fails with ErrReplaced or ErrRefused where there is no use in going on, and
// where something was cut off.
func (a *Agent) Run(ctx context.Context, l net.Listener) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	a.health.probe(ctx) // what it registers with is to be true

	var serving, probing, beating sync.WaitGroup
	serving.Go(func() {
		if err := a.server.Serve(&gate{l, a.options.Networks, a.log}); err != nil {
			fail(fmt.Errorf("agent: %w", err))
		}
	})
	beats, endBeats := context.WithCancel(context.WithoutCancel(ctx)) // to the very end
	defer endBeats()
	probing.Go(func() { a.health.run(ctx) })
	for _, l := range a.links {
		beating.Go(func() {
			if err := l.run(beats); err != nil {
				fail(err)
			}
		})
	}
	a.log.Info("agent is there", "service", a.options.Document.Name, "endpoint", a.options.Document.Endpoint)

	<-ctx.Done()
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil
	}
	probing.Wait()
	a.leave()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.options.Grace)
	defer cancel()
	if err := a.server.Shutdown(grace); err != nil {
		failure = errors.Join(failure, fmt.Errorf("agent: shut down with mail under way: %w", err))
	}
	serving.Wait()
	endBeats()
	beating.Wait()
	a.deregister()
	a.log.Info("agent has ended", "sent", a.courier.sent.Load(), "failed", a.courier.failed.Load())
	return failure
}

// leave tells the servers to give no more mail, and waits until they have heard it.
func (a *Agent) leave() {
	a.health.leave()
	a.log.Info("agent leaves: asks for no more mail")
	var all sync.WaitGroup
	for _, l := range a.links {
		all.Go(l.urge)
	}
	all.Wait()
}

func (a *Agent) deregister() {
	var all sync.WaitGroup
	for _, l := range a.links {
		all.Go(l.deregister)
	}
	all.Wait()
}

// beat is what the agent says about itself now.
func (a *Agent) beat() pool.Beat {
	b := pool.Beat{Capacity: a.options.Concurrency}
	text := ""
	b.Status, text = a.health.status()
	b.Note = fmt.Sprintf("%d under way, %d sent, %d failed", len(a.courier.room), a.courier.sent.Load(), a.courier.failed.Load())
	if text != "" {
		b.Note += "; " + text
	}
	b.Note = b.Note[:min(len(b.Note), 512)]
	return b
}

// ids are of the mails of all agents in a process.
var ids mailbox.MessageIDs

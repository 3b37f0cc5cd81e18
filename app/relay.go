package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"restante/cassandra"
	"restante/mailbox"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/provider"
	"restante/smtp"
)

// An outgoing is how mail of users leaves: what takes it, the queue, and the services.
type outgoing struct {
	intake *relay.Intake
	node   *relay.Node
	pool   *pool.Pool
}

// A sharedStore is one that several processes have.
type sharedStore interface {
	Lanes() relay.Lanes
	Time() (time.Time, error)
}

var _ sharedStore = (*cassandra.Store)(nil)

// newRelay makes the way out, if there is one.
func (a *App) newRelay() error {
	c := &a.config.Relay
	if !c.on() {
		return nil
	}
	services, err := c.readServices()
	if err != nil {
		return err
	}
	o := new(outgoing)
	if o.pool, err = a.newPool(services); err != nil {
		return err
	}
	var keys *relay.DKIM
	if c.DKIM != "" {
		if keys, err = relay.OpenDKIM(c.DKIM); err != nil {
			return fmt.Errorf("--relay-dkim: %w", err)
		}
	}
	log := a.log.With("server", "relay")
	suppressions := a.store.Suppressions()
	notifier := &relay.Notifier{
		Hostname: a.config.Hostname, Router: a.directory, Deliverer: a.deliveries, Suppressions: suppressions, Log: log,
	}
	node := relay.NodeOptions{
		Queue: relay.Options{
			Journal: a.store.Journal(), Contents: a.store.Contents(), Pool: o.pool, IDs: a.deliveries.IDs, Notifier: notifier,
			Concurrency: c.Concurrency, Log: log, Registerer: a.registry,
		},
		Name: a.nodeName(),
	}
	if shared, ok := a.store.(sharedStore); ok {
		node.Lanes, node.Queue.Clock = shared.Lanes(), shared.Time
	}
	if o.node, err = relay.NewNode(node); err != nil {
		return err
	}
	notifier.Outbox = o.node
	o.intake = &relay.Intake{
		Hostname: a.config.Hostname, Deliverer: a.deliveries, Outbox: o.node, Notifier: notifier, Suppressions: suppressions,
		DKIM: keys, IDs: a.deliveries.IDs, Spool: a.config.Data, Log: log,
	}
	a.relay = o
	return nil
}

// nodeName is what tells this process from the others on the store.
func (a *App) nodeName() string { return fmt.Sprintf("%s/%d", a.config.Hostname, a.config.Node) }

// livingNodes is among how many servers the limits of services are divided.
func (a *App) livingNodes() int {
	if a.relay == nil {
		return 1 // the pool comes first
	}
	return a.relay.node.Living()
}

// newPool makes the pool of services.
func (a *App) newPool(s services) (*pool.Pool, error) {
	c := &a.config.Relay
	networks, err := c.networks()
	if err != nil {
		return nil, err
	}
	specs := make(map[string]string)
	o := pool.Options{
		Networks: networks, Scheduler: c.Scheduler, Schedulers: s.Schedulers, IDs: a.deliveries.IDs,
		Shared: a.store.Shared(), Processes: a.livingNodes, Log: a.log.With("server", "relay"), Registerer: a.registry, Node: a.nodeName(),
	}
	if c.Enrol != "" {
		o.Enrolments = []pool.Enrolment{{Digest: pool.Digest(c.Enrol), Note: "--relay-enrol"}}
	}
	for _, one := range s.Services {
		u, err := url.Parse(one.Provider)
		if err != nil || u.Scheme == "" { // the error would repeat secrets
			return nil, fmt.Errorf("--relay-services: service %q: provider is no URL", one.Name)
		}
		one.Kind = u.Scheme
		specs[one.Name] = one.Provider
		o.Static = append(o.Static, one.Document)
	}
	o.Open = func(d pool.Document) (relay.Provider, error) {
		if spec, ok := specs[d.Name]; ok {
			return provider.Open(spec, provider.Common{Hello: a.config.Hostname})
		}
		return a.openAgent(d, &net.Dialer{Control: pool.Control(networks)})
	}
	p, err := pool.New(o)
	if err != nil {
		return nil, fmt.Errorf("--relay-services: %w", err)
	}
	return p, nil
}

// agentConnect is how long an agent, which is near, may take to answer.
const agentConnect = 3 * time.Second

// openAgent speaks to a service that registered, by a dialer that goes nowhere else.
func (a *App) openAgent(d pool.Document, dialer *net.Dialer) (relay.Provider, error) {
	u, err := url.Parse(d.Endpoint)
	if err != nil || u.Port() == "" {
		return nil, errors.New("the endpoint is not smtp://HOST:PORT")
	}
	spec := url.URL{Scheme: "smtp", Host: u.Host, RawQuery: "tls=" + cmp.Or(d.TLS, "opportunistic")}
	return provider.Open(spec.String(), provider.Common{
		Hello: a.config.Hostname, Timeouts: provider.Timeouts{Connect: agentConnect}, Dial: dialer.DialContext,
	})
}

// run has mail leave until the context ends, and returns when what was under way has.
func (o *outgoing) run(ctx context.Context) {
	var all sync.WaitGroup
	pooled, end := context.WithCancel(context.WithoutCancel(ctx)) // the pool outlives the queue
	all.Go(func() { o.pool.Run(pooled) })
	o.node.Run(ctx)
	end()
	all.Wait()
}

// submitter is the way out as package smtp sees it.
type submitter struct{ *relay.Intake }

func (s submitter) Submit(ctx context.Context, l smtp.Letter, content io.Reader) (mailbox.MessageID, error) {
	to := make([]relay.Addressee, len(l.Recipients))
	for i, r := range l.Recipients {
		to[i] = relay.Addressee{Address: r.Address, Notify: relay.Notify(r.Notify), Original: r.Original, Maildrops: r.Maildrops}
	}
	id, err := s.Intake.Submit(ctx, relay.Letter{
		Account: l.Account, From: l.ReversePath, Recipients: to,
		EnvelopeID: l.EnvelopeID, FullReturn: l.FullReturn, UTF8: l.UTF8,
	}, content)
	if errors.Is(err, relay.ErrHeader) {
		err = fmt.Errorf("%w: %w", smtp.ErrHeader, err)
	}
	return id, err
}

package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"restante/relay"
)

// Security is how a connection is protected.
type Security uint8

const (
	RequireSTARTTLS  Security = iota // or nothing is said
	ImplicitTLS                      // from the first octet (RFC 8314)
	OpportunisticTLS                 // where it is offered, with any certificate (RFC 7435)
	NoTLS
)

// SMTPOptions configures [NewSMTP].
type SMTPOptions struct {
	Addr     string // host:port
	Hello    string // what we call ourselves in EHLO: a host name
	Security Security
	TLS      *tls.Config // nil: the roots of the system

	// Username and Password are for AUTH; empty: none. Beyond loopback they need TLS
	// that is required.
	Username, Password string

	Limits   relay.Limits
	Timeouts Timeouts
	Dial     Dial // nil: the network

	preset preset
}

const (
	idleFor      = time.Minute // how long a connection is kept for the next mail
	perConn      = 100         // mails on a connection; the least that a maker allows
	keptConns    = 16          // connections that are idle
	probeTimeout = 30 * time.Second
)

// An SMTP is a smarthost.
type SMTP struct {
	hop    hop
	limits relay.Limits

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu   sync.Mutex
	idle []*conn // the last one was used last
}

var _ relay.Provider = (*SMTP)(nil)

// NewSMTP returns a provider that connects when there is something to send.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, _, err := net.SplitHostPort(o.Addr)
	switch {
	case err != nil:
		return nil, fmt.Errorf("provider: address of a smarthost: %w", err)
	case o.Hello == "" || strings.ContainsAny(o.Hello, " \r\n"):
		return nil, fmt.Errorf("provider: %q is no host name for EHLO", o.Hello)
	case o.Username != "" && o.Security != RequireSTARTTLS && o.Security != ImplicitTLS && !loopback(host):
		return nil, fmt.Errorf("provider: credentials for %s need TLS", host)
	}
	p := &SMTP{
		hop: hop{
			addr: o.Addr, host: host, hello: o.Hello, security: o.Security, tls: o.TLS,
			username: o.Username, password: o.Password, auth: o.preset.auth,
			times: o.Timeouts.orDefault(smarthostReply), dial: o.Dial,
			rules: [][]rule{o.preset.rules, smtpRules}, remoteID: o.preset.remoteID, prefix: o.preset.prefix,
		},
		limits: o.Limits,
	}
	if p.hop.remoteID == nil {
		p.hop.remoteID = queuedAs
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// queuedAs is the word that most servers put the id after.
func queuedAs(text string) string {
	_, id, _ := strings.Cut(text, "queued as ")
	id, _, _ = strings.Cut(id, " ")
	return id
}

// Limits are those of the options.
func (p *SMTP) Limits() relay.Limits { return p.limits }

// Send uses a connection that is idle, or a new one. Where the next hop takes fewer
// recipients at a time, it is told of them in several transactions; so it is where it
// refuses a complete mail for one of several recipients.
func (p *SMTP) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	ctx, cancel := both(ctx, p.ctx)
	defer cancel()
	return split(m, func(m relay.Mail) ([]relay.Outcome, []int) { return p.sendAll(ctx, m) })
}

// sendAll hands a mail over in as many transactions as its recipients need. It also
// returns the places of those that were refused together.
func (p *SMTP) sendAll(ctx context.Context, m relay.Mail) (out []relay.Outcome, together []int) {
	for left := m; len(left.Recipients) > 0; left.Recipients = m.Recipients[len(out):] {
		some, refused := p.send(ctx, left)
		for _, i := range refused {
			together = append(together, len(out)+i)
		}
		out = append(out, some...)
		switch last := some[len(some)-1]; last.Result {
		case relay.Transport, relay.Ambiguous: // nothing was sent for those that follow
			return append(out, all(len(m.Recipients)-len(out), transport(last.Text))...), together
		}
	}
	return out, together
}

// send hands a mail over for the first of its recipients, as many as may be in one
// transaction.
func (p *SMTP) send(ctx context.Context, m relay.Mail) (out []relay.Outcome, together []int) {
	if p.ctx.Err() != nil {
		return all(len(m.Recipients), transport(textClosed)), nil
	}
	content, err := open(ctx, m)
	if err != nil {
		return all(len(m.Recipients), transport(textContent)), nil
	}
	defer content.Close()
	ctx, cancel := inTime(ctx, &m, p.hop.times.Reply)
	defer cancel()

	c := p.take()
	for {
		if c == nil {
			if c, err = p.hop.connect(ctx); err != nil {
				var refused refusal
				errors.As(err, &refused)
				return all(len(m.Recipients), refused.Outcome), nil
			}
		}
		some := m
		some.Recipients = m.Recipients[:min(len(m.Recipients), c.recipients(p.limits.Recipients))]
		t := p.hop.transact(ctx, c, some, content)
		if !t.keep {
			_ = c.net.Close()
		} else {
			p.put(c)
		}
		if !t.stale || ctx.Err() != nil {
			return t.outcomes, t.together
		}
		c = nil // the server has heard of nothing yet: once more, on a connection of now
	}
}

// transact runs one transaction. The connection is not used by anybody then.
func (h *hop) transact(ctx context.Context, c *conn, m relay.Mail, content *source) *transaction {
	t := &transaction{conn: c, mail: m}
	if h.prefix != nil {
		t.prefix = h.prefix(m)
	}
	stop := c.use(ctx)
	t.run(content)
	if !stop() {
		t.keep = false
	}
	return t
}

// both is a context that ends with either of two.
func both(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	if other.Err() != nil {
		cancel() // not a moment later
	}
	return ctx, func() { stop(); cancel() }
}

// take gives the connection that was used last, or nil.
func (p *SMTP) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.idle.Stop() {
			return c
		}
	}
	return nil
}

// put keeps a connection for the next mail, or closes it.
func (p *SMTP) put(c *conn) {
	if !p.kept(c) {
		c.quit()
	}
}

func (p *SMTP) kept(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.used >= perConn || len(p.idle) >= keptConns || p.ctx.Err() != nil {
		return false
	}
	c.idle = time.AfterFunc(idleFor, func() { p.drop(c) })
	p.idle = append(p.idle, c)
	return true
}

// drop closes a connection that nobody used for long.
func (p *SMTP) drop(c *conn) {
	p.mu.Lock()
	p.idle = slices.DeleteFunc(p.idle, func(other *conn) bool { return other == c })
	p.mu.Unlock()
	c.quit()
}

// Probe opens a connection and authenticates. The connection is kept.
func (p *SMTP) Probe(ctx context.Context) relay.Outcome {
	ctx, cancel := both(ctx, p.ctx)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, probeTimeout)
	defer cancelTime()
	c, err := p.hop.connect(ctx)
	if err != nil {
		var refused refusal
		errors.As(err, &refused)
		return refused.Outcome
	}
	p.put(c)
	return relay.Outcome{Result: relay.Success}
}

// Close closes what is idle. A Send that runs ends at once: with Transport, or with
// Ambiguous where the content was complete.
func (p *SMTP) Close() error {
	p.cancel()
	for c := p.take(); c != nil; c = p.take() {
		c.quit()
	}
	return nil
}

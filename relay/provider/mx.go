package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/idna"

	"restante/relay"
)

// A Resolver is what [net.Resolver] does for mail.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// MXOptions configures [NewMX].
type MXOptions struct {
	Hello    string      // what we call ourselves in EHLO: a host name that leads to us
	TLS      *tls.Config // nil: any certificate does
	Resolver Resolver    // nil: that of the system
	Limits   relay.Limits
	Timeouts Timeouts
	Dial     Dial // nil: the network, without addresses that are of this host or link only
}

const (
	mxHosts   = 5         // of a domain that are tried in one Send
	mxDomains = 4         // at a time, of one mail
	mxTime    = time.Hour // in which all domains of a mail are begun, or left for another time
)

// An MX hands mail to the hosts that receive it for its recipients (RFC 5321, section
// 5.1), with TLS where they offer it.
type MX struct {
	opts   MXOptions
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

var _ relay.Provider = (*MX)(nil)

// NewMX returns a provider that connects when there is something to send.
func NewMX(o MXOptions) (*MX, error) {
	if o.Hello == "" || strings.ContainsAny(o.Hello, " \r\n") {
		return nil, fmt.Errorf("provider: %q is no host name for EHLO", o.Hello)
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Control: outside}).DialContext
	}
	o.Timeouts = o.Timeouts.orDefault(hostReply)
	p := &MX{opts: o}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// outside refuses addresses that lead nowhere else: anybody may publish them as those of
// his hosts.
func outside(_, addr string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if ip := a.Addr().Unmap(); !ip.IsGlobalUnicast() {
		return fmt.Errorf("%s is no address for mail", ip)
	}
	return nil
}

// Limits are those of the options.
func (p *MX) Limits() relay.Limits { return p.opts.Limits }

// Close ends every Send that runs: with Transport, or with Ambiguous where the content
// was complete.
func (p *MX) Close() error {
	p.cancel()
	return nil
}

// Probe asks the resolver about ourselves. There is no one host to connect to.
func (p *MX) Probe(ctx context.Context) relay.Outcome {
	ctx, cancel := both(ctx, p.ctx)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, probeTimeout)
	defer cancelTime()
	if _, err := p.opts.Resolver.LookupHost(ctx, p.opts.Hello); err != nil && !notFound(err) {
		return transport("the resolver does not answer: " + cause(err))
	}
	return relay.Outcome{Result: relay.Success}
}

// Send makes a transaction for each domain, a few at a time.
func (p *MX) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	ctx, cancel := both(ctx, p.ctx)
	defer cancel()
	if p.ctx.Err() != nil {
		return all(len(m.Recipients), transport(textClosed))
	}
	var commit sync.Mutex // nobody promised that it may be called twice at once
	var brokenOff error
	one := m.Commit
	m.Commit = func() error {
		commit.Lock()
		defer commit.Unlock()
		err := one()
		brokenOff = cmp.Or(brokenOff, err)
		return err
	}
	of := map[string][]int{} // which recipients are of a domain
	var domains []string
	for i, r := range m.Recipients {
		domain := m.Submission.Recipients[r].Domain
		if of[domain] == nil {
			domains = append(domains, domain)
		}
		of[domain] = append(of[domain], i)
	}
	out := make([]relay.Outcome, len(m.Recipients))
	room, begun := make(chan struct{}, mxDomains), time.Now()
	var running sync.WaitGroup
	for _, domain := range domains {
		room <- struct{}{}
		if time.Since(begun) > mxTime {
			<-room
			for _, i := range of[domain] {
				out[i] = transport("other domains of the mail took too long")
			}
			continue
		}
		running.Go(func() {
			defer func() { <-room }()
			part := m
			part.Recipients = nil
			for _, i := range of[domain] {
				part.Recipients = append(part.Recipients, m.Recipients[i])
			}
			for n, o := range p.domain(ctx, domain, part) {
				out[of[domain][n]] = o // each has its own
			}
		})
	}
	running.Wait()
	if ctx.Err() == nil && brokenOff == nil {
		silent(out)
	}
	return out
}

// silent has hosts that do not answer be a fault of their domains, which are tried at the
// pace of the back-off. Transport says that the service could not be reached.
func silent(out []relay.Outcome) {
	for i, o := range out {
		if o.Result == relay.Transport && o.Text != textContent {
			out[i].Result, out[i].Enhanced = relay.Temporary, "4.4.1"
		}
	}
}

// domain hands a mail over to the first host that answers. All hosts together have the time
// of one transaction: a domain that dawdles must not keep the others waiting.
func (p *MX) domain(ctx context.Context, domain string, m relay.Mail) []relay.Outcome {
	ctx, cancel := inTime(ctx, &m, p.opts.Timeouts.Reply)
	defer cancel()
	hosts, o := p.hosts(ctx, domain)
	return split(m, func(m relay.Mail) (out []relay.Outcome, together []int) {
		out = all(len(m.Recipients), o)
		next := true
		for _, host := range hosts {
			if out, together, next = p.host(ctx, host, m); !next || ctx.Err() != nil {
				break
			}
		}
		return out, together
	})
}

// host reports next where another one should be tried.
func (p *MX) host(ctx context.Context, host string, m relay.Mail) (out []relay.Outcome, together []int, next bool) {
	content, err := open(ctx, m)
	if err != nil {
		return all(len(m.Recipients), transport(textContent)), nil, false
	}
	defer content.Close()
	h := &hop{
		addr: net.JoinHostPort(host, "25"), host: host, hello: p.opts.Hello, security: OpportunisticTLS, tls: p.opts.TLS,
		times: p.opts.Timeouts, dial: p.opts.Dial, rules: [][]rule{mxRules}, remoteID: queuedAs,
	}
	c, err := h.connect(ctx)
	var refused refusal
	if errors.As(err, &refused) && refused.tls {
		h.security = NoTLS // as if it were not offered (RFC 7435)
		c, err = h.connect(ctx)
	}
	if err != nil {
		errors.As(err, &refused)
		return all(len(m.Recipients), refused.Outcome), nil, true
	}
	t := h.transact(ctx, c, m, content)
	if t.keep {
		c.quit()
	} else {
		_ = c.net.Close()
	}
	// Where nothing was decided for anybody another host may know more.
	next = !slices.ContainsFunc(t.outcomes, func(o relay.Outcome) bool { return o.Result != relay.Transport })
	return t.outcomes, t.together, next
}

// hosts are those that receive mail for a domain, in the order in which they are to be
// tried. The outcome is set where there are none.
func (p *MX) hosts(ctx context.Context, domain string) ([]string, relay.Outcome) {
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		return []string{strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "ipv6:")}, relay.Outcome{}
	}
	bad := func(enhanced, text string) relay.Outcome {
		return relay.Outcome{Result: relay.BadRecipient, Enhanced: enhanced, Text: oneLine(text)}
	}
	later := func(err error) relay.Outcome {
		return relay.Outcome{Result: relay.Temporary, Enhanced: "4.4.3", Text: oneLine("look up " + domain + ": " + cause(err))}
	}
	name, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		name = domain // such as one with an underscore; the resolver decides
	}
	records, err := p.opts.Resolver.LookupMX(ctx, name)
	switch {
	case len(records) > 0: // perhaps beside names that were not understood
	case err == nil || notFound(err):
		// Without MX records the domain is its own host (RFC 5321, section 5.1).
		switch _, err := p.opts.Resolver.LookupHost(ctx, name); {
		case err == nil:
			return []string{name}, relay.Outcome{}
		case notFound(err):
			return nil, bad("5.1.2", "there is no host for mail to "+domain)
		default:
			return nil, later(err)
		}
	default:
		return nil, later(err)
	}
	if len(records) == 1 && strings.Trim(records[0].Host, ".") == "" {
		return nil, bad("5.1.10", domain+" takes no mail") // RFC 7505
	}
	records = slices.Clone(records)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	var hosts []string
	for _, r := range records {
		if host := strings.TrimSuffix(r.Host, "."); host != "" && len(hosts) < mxHosts {
			hosts = append(hosts, host)
		}
	}
	return hosts, relay.Outcome{}
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

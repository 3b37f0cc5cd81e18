package temporary

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"restante/auth"
	"restante/mailbox"
)

// Create makes a mailbox, with a password that is told this once. It fails with
// mailbox.ErrExists where somebody has the address, with mailbox.ErrAddress where the
// local-part is none, or has a detail, with mailbox.ErrNotLocal where the domain is
// not one of temporary addresses, with ErrLife, mailbox.ErrFull and
// mailbox.ErrUnavailable.
//
// Of two that want an address at once, one gets it. Where other servers use the stores
// too, that is a matter of a tenth of a second: it may be that both are told they have
// it, and then the password of one is wrong.
//
// With a limit of live mailboxes, the coldest are removed until it is kept.
func (m *Mailboxes) Create(ctx context.Context, r Request) (Mailbox, error) {
	mb, err := m.create(ctx, r)
	if err != nil {
		return Mailbox{}, fmt.Errorf("temporary: create: %w", err)
	}
	m.metrics.made.Inc()
	return mb, nil
}

func (m *Mailboxes) create(ctx context.Context, r Request) (Mailbox, error) {
	a, err := m.addressFor(r)
	if err != nil {
		return Mailbox{}, err
	}
	if r.Life == 0 {
		r.Life = m.options.Life
	}
	if r.Life < minLife || r.Life > m.options.MaxLife {
		return Mailbox{}, fmt.Errorf("%w: %v is not between %v and %v", ErrLife, r.Life, minLife, m.options.MaxLife)
	}
	if err := m.living.ready(ctx); err != nil {
		return Mailbox{}, err
	}
	mb, err := m.claim(ctx, a, r)
	if err != nil {
		return Mailbox{}, err
	}
	m.trims.made(mb.Maildrop)
	for _, gone := range m.living.add(mb.resident()) {
		m.evict(ctx, gone)
	}
	return mb, nil
}

// claim writes the route of a new mailbox.
func (m *Mailboxes) claim(ctx context.Context, a mailbox.Address, r Request) (Mailbox, error) {
	release, err := m.names.hold(ctx, a)
	if err != nil {
		return Mailbox{}, err
	}
	defer release()
	password := rand.Text()
	secret, err := auth.HashToken(password)
	if err != nil {
		return Mailbox{}, err
	}
	now := m.options.Now().UTC().Truncate(time.Millisecond)
	create := m.options.Directory.Create
	if r.Local == "" {
		create = m.options.Directory.CreateRandom
	}
	route, err := create(ctx, a, mailbox.Route{
		Kind: mailbox.Temporary, Secret: secret, Created: now, Expires: now.Add(r.Life),
	})
	if err != nil {
		return Mailbox{}, err
	}
	mb := mailboxOf(a, route)
	mb.Password = password
	if r.Local != "" && m.options.Poll {
		if err := m.stillOurs(ctx, a, secret); err != nil {
			if !errors.Is(err, mailbox.ErrExists) {
				m.takeBack(ctx, mb)
			}
			return Mailbox{}, err
		}
	}
	return mb, nil
}

// takeBackTimeout is how long taking back an address may take.
const takeBackTimeout = 5 * time.Second

// contest is how long after it was written an address that anybody may choose is read
// again: another server that found it free just before has written it by then.
const contest = 100 * time.Millisecond

// stillOurs fails with mailbox.ErrExists where another server has written the address
// after this one did.
func (m *Mailboxes) stillOurs(ctx context.Context, a mailbox.Address, secret string) error {
	if err := pause(ctx, contest); err != nil {
		return err
	}
	route, err := m.options.Directory.Lookup(ctx, a)
	if err != nil {
		return err
	}
	if route.Secret != secret {
		return fmt.Errorf("%s was created by another server: %w", a, mailbox.ErrExists)
	}
	return nil
}

// takeBack makes an address vacant again that nobody was told of, so that who wants it
// may try again. The caller holds the name. What is not taken back ends with its life.
func (m *Mailboxes) takeBack(ctx context.Context, mb Mailbox) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTimeout)
	defer cancel()
	route, err := m.options.Directory.Lookup(ctx, mb.Address)
	if err == nil && route.Maildrop == mb.Maildrop {
		err = m.options.Directory.Remove(ctx, mb.Address)
	}
	if err != nil && !errors.Is(err, mailbox.ErrNotFound) {
		m.options.Log.Warn("mailbox that nobody was told of not taken back", "maildrop", mb.Maildrop, "err", err)
	}
}

// pause waits, and fails with mailbox.ErrUnavailable when the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, ctx.Err())
	}
}

// addressFor is the address that is asked for, or a random one.
func (m *Mailboxes) addressFor(r Request) (mailbox.Address, error) {
	domain := r.Domain
	if domain == "" {
		domain = m.options.Directory.TempDomains[0]
	}
	local := r.Local
	if local == "" {
		local = strings.ToLower(rand.Text()) // 26 characters of base32
	}
	a, err := mailbox.ParseAddress(local + "@" + domain)
	if err != nil {
		return mailbox.Address{}, err
	}
	i := slices.Index(m.options.Directory.TempDomains, a.Domain)
	switch {
	case i < 0:
		return mailbox.Address{}, fmt.Errorf("%s: %w", a, mailbox.ErrNotLocal)
	case strings.Contains(a.Local, "+"):
		// It would take mail from whoever has the address without the detail.
		return mailbox.Address{}, fmt.Errorf("%w: a detail in the local-part", mailbox.ErrAddress)
	case slices.Contains(reserved, a.Local):
		return mailbox.Address{}, fmt.Errorf("%s is reserved: %w", a, mailbox.ErrExists)
	}
	a.Domain = m.options.Directory.TempDomains[i] // one text for all
	return a, nil
}

// reserved are the local-parts by which a domain's owner is known: RFC 2142, sections
// 2, 4 and 5, and those to which authorities write before they certify a domain.
var reserved = []string{
	"abuse", "admin", "administrator", "hostmaster", "mailer-daemon", "noc", "postmaster", "root", "security", "ssladmin",
	"usenet", "uucp", "webmaster", "www",
}

// Remove makes the address vacant and removes the mail there is. It fails with
// mailbox.ErrNotFound where it is unknown, expired or not temporary.
func (m *Mailboxes) Remove(ctx context.Context, a mailbox.Address) error {
	if err := m.remove(ctx, a); err != nil {
		return fmt.Errorf("temporary: remove: %w", err)
	}
	m.metrics.removed.Inc()
	return nil
}

func (m *Mailboxes) remove(ctx context.Context, a mailbox.Address) error {
	if err := m.living.ready(ctx); err != nil {
		return err
	}
	mb, err := m.lookup(ctx, a)
	if err != nil {
		return err
	}
	if err := m.vacate(ctx, mb.resident()); err != nil {
		return err
	}
	m.living.remove(mb.resident())
	m.watched.signal(mb.Maildrop)
	if err := m.empty(ctx, mb.Maildrop); err != nil {
		// Nobody can reach it any more.
		m.options.Log.Warn("mail of a removed mailbox left for later", "maildrop", mb.Maildrop, "err", err)
		m.leave(leftover{resident: mb.resident(), vacant: true})
	}
	return nil
}

// vacate makes an address vacant unless it is another's by now. It fails with
// mailbox.ErrNotFound where nobody has it.
func (m *Mailboxes) vacate(ctx context.Context, r resident) error {
	release, err := m.names.hold(ctx, r.address)
	if err != nil {
		return err
	}
	defer release()
	route, err := m.options.Directory.Lookup(ctx, r.address)
	if err != nil {
		return err
	}
	if route.Maildrop != r.maildrop {
		return fmt.Errorf("%s has another maildrop: %w", r.address, mailbox.ErrNotFound)
	}
	return m.options.Directory.Remove(ctx, r.address)
}

// empty expunges all mail of a maildrop.
func (m *Mailboxes) empty(ctx context.Context, drop mailbox.MaildropID) error {
	list, err := m.options.Maildrops.List(ctx, drop)
	if err != nil {
		return err
	}
	return m.options.Deliveries.Expunge(ctx, drop, list...)
}

// evictTimeout is how long a creation may take to make room for itself.
const evictTimeout = 10 * time.Second

// evict makes the address of a mailbox vacant at once, so that no more are live than
// may be, and leaves its mail for later.
func (m *Mailboxes) evict(ctx context.Context, r resident) {
	m.metrics.evicted.Inc()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evictTimeout)
	defer cancel()
	err := m.vacate(ctx, r)
	gone := err == nil || errors.Is(err, mailbox.ErrNotFound)
	if !gone {
		m.options.Log.Warn("evicted mailbox not removed yet", "maildrop", r.maildrop, "err", err)
	}
	m.watched.signal(r.maildrop)
	m.leave(leftover{resident: r, vacant: gone})
}

// names makes those that want the same address wait for each other. The zero value is
// ready.
type names struct {
	mu   sync.Mutex
	held map[mailbox.Address]chan struct{} // closed when it is free
}

// hold waits until nobody else has the name.
func (n *names) hold(ctx context.Context, a mailbox.Address) (release func(), err error) {
	for {
		n.mu.Lock()
		taken, ok := n.held[a]
		if !ok {
			free := make(chan struct{})
			if n.held == nil {
				n.held = make(map[mailbox.Address]chan struct{})
			}
			n.held[a] = free
			n.mu.Unlock()
			return func() {
				n.mu.Lock()
				defer n.mu.Unlock()
				delete(n.held, a)
				close(free)
			}, nil
		}
		n.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w: %w", a, mailbox.ErrUnavailable, ctx.Err())
		}
	}
}

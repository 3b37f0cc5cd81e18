package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Bounds on what one alias may lead to: aliases in a row, and addresses in all.
const (
	maxAliasDepth   = 8
	maxAliasTargets = 1000
)

const postmaster = "postmaster"

// A Directory says who receives mail for an address, and makes and removes
// accounts, aliases and temporary addresses. Addresses keeps the rows; the rules are
// here. All domains are in canonical form.
type Directory struct {
	Addresses   Addresses
	Domains     []string // of accounts and aliases; the first is the default
	TempDomains []string // of temporary addresses; the first is the default

	// TextDomain is where every user of the text service has an address, made by
	// TextAddress, without a row of its own. Empty: there is no such service.
	TextDomain string
	TextSecret string        // the password hash of all of them; empty: nobody can log in
	TextLife   time.Duration // of mail to one of them; 0: a minute

	Recent *RecentRoutes    // nil: every route is read when it is asked for
	Now    func() time.Time // nil means time.Now
}

// textLife is how long mail to a user of the text service is kept unless it is said.
const textLife = time.Minute

// IsLocal reports whether mail for the domain is delivered here.
func (d *Directory) IsLocal(domain string) bool {
	return slices.Contains(d.Domains, domain) || slices.Contains(d.TempDomains, domain) || d.isText(domain)
}

// isText reports whether the domain is that of the text service, which has no rows.
func (d *Directory) isText(domain string) bool { return d.TextDomain != "" && domain == d.TextDomain }

// noText fails where an address belongs to the text service: nobody makes or changes it.
func (d *Directory) noText(a Address) error {
	if d.isText(a.Domain) {
		return fmt.Errorf("%s belongs to the text service: %w", a, ErrNotLocal)
	}
	return nil
}

// Postmaster is who receives mail for the postmaster of a domain that has none
// of its own. Such mail is never refused (RFC 5321, section 4.5.1).
func (d *Directory) Postmaster() Address {
	return Address{Local: postmaster, Domain: d.Domains[0]}
}

// LeadsTo reports whether mail for an address reaches a maildrop: such an address is its
// owner's to write from (RFC 6409, section 6.1). It fails where that cannot be told.
func LeadsTo(ctx context.Context, router interface {
	Resolve(ctx context.Context, a Address) ([]Recipient, error)
}, a Address, drop MaildropID) (bool, error) {
	behind, err := router.Resolve(ctx, a)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotLocal) {
		return false, fmt.Errorf("resolve sender %s: %w", a, err)
	}
	return slices.ContainsFunc(behind, func(r Recipient) bool { return r.Maildrop == drop }), nil
}

// Resolve follows an address to its maildrops: the address itself, else the
// address without its detail (fred+lists), else postmaster, else the catch-all of
// the domain. In the domain of the text service, an address leads to its own user,
// and mail for it expires TextLife from now. It fails with ErrNotLocal, with
// ErrNotFound where nobody is there, with ErrTooFar where not everybody can be found who
// is, and with ErrUnavailable where that cannot be told.
func (d *Directory) Resolve(ctx context.Context, a Address) ([]Recipient, error) {
	a = a.Canonical()
	if !d.IsLocal(a.Domain) {
		return nil, fmt.Errorf("%s: %w", a, ErrNotLocal)
	}
	r := resolution{directory: d, seen: make(map[Address]bool)}
	if err := r.follow(ctx, a, 0); err != nil {
		return nil, err
	}
	if base, _ := a.Base(); len(r.found) == 0 && base.Local == postmaster {
		return d.lastResort(ctx)
	}
	if len(r.found) == 0 {
		return nil, fmt.Errorf("%s: %w", a, ErrNotFound)
	}
	return r.found, nil
}

// lastResort is where mail for a postmaster goes that no route leads to: the
// maildrop that the next account of that name will open.
func (d *Directory) lastResort(ctx context.Context) ([]Recipient, error) {
	a := d.Postmaster()
	route, err := d.Addresses.Lookup(ctx, a)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return []Recipient{{Address: a, Maildrop: MaildropOf(a, route.Life+1)}}, nil
}

// A resolution is one walk along aliases.
type resolution struct {
	directory *Directory
	seen      map[Address]bool
	found     []Recipient
}

// follow adds the maildrops behind a. A target that leads nowhere, or back to where
// the walk has been, is left out: the others still get their mail.
func (r *resolution) follow(ctx context.Context, a Address, depth int) error {
	a, route, err := r.directory.route(ctx, a)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.seen[a] {
		return nil
	}
	if len(r.seen) > maxAliasTargets || route.Kind == Alias && depth >= maxAliasDepth {
		return fmt.Errorf("%s: %w", a, ErrTooFar)
	}
	r.seen[a] = true
	if route.Kind != Alias {
		expires := route.Expires
		if r.directory.isText(a.Domain) {
			expires = r.directory.now().Add(cmp.Or(r.directory.TextLife, textLife))
		}
		r.found = append(r.found, Recipient{Address: a, Maildrop: route.Maildrop, Expires: expires})
		return nil
	}
	for _, target := range route.Targets {
		if !r.directory.IsLocal(target.Domain) {
			continue
		}
		if err := r.follow(ctx, target, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// route finds the live row that answers for a, and its address.
func (d *Directory) route(ctx context.Context, a Address) (Address, Route, error) {
	for _, c := range d.candidates(a) {
		route, err := d.Find(ctx, c)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return c, route, err
		}
	}
	return a, Route{}, fmt.Errorf("%s: %w", a, ErrNotFound)
}

// candidates are the addresses that may answer for a, in order.
func (d *Directory) candidates(a Address) []Address {
	base, detailed := a.Base()
	if d.isText(a.Domain) {
		if base.Local == postmaster {
			return []Address{d.Postmaster()}
		}
		return []Address{a} // a detail is part of the user's name
	}
	candidates := []Address{a}
	if detailed {
		candidates = append(candidates, base)
	}
	if base.Local == postmaster && base != d.Postmaster() {
		candidates = append(candidates, d.Postmaster())
	}
	return append(candidates, Address{Domain: a.Domain})
}

// Find is the route that exactly this address had a short while ago, as [Directory.Recall]
// knows it, or else what Lookup says.
func (d *Directory) Find(ctx context.Context, a Address) (Route, error) {
	if route, ok := d.Recall(a); ok {
		return route, nil
	}
	return d.Lookup(ctx, a)
}

// Lookup is the live route of exactly this address, or ErrNotFound. The route of a
// user of the text service is always the same, and without an end.
func (d *Directory) Lookup(ctx context.Context, a Address) (Route, error) {
	if d.isText(a.Domain) {
		return d.textRoute(a)
	}
	mark, asked := d.Recent.mark(), d.now()
	route, err := d.Addresses.Lookup(ctx, a)
	if err != nil {
		return Route{}, err
	}
	now := d.now()
	if !route.Live(now) {
		return Route{}, fmt.Errorf("%s: %w", a, ErrNotFound)
	}
	d.Recent.remember(a, route, mark, asked, now)
	return route, nil
}

// textRoute is the route of a user of the text service.
func (d *Directory) textRoute(a Address) (Route, error) {
	if _, ok := TextUser(a); !ok {
		return Route{}, fmt.Errorf("%s is no user of the text service: %w", a, ErrNotFound)
	}
	return Route{Kind: Temporary, Life: 1, Maildrop: TemporaryMaildropOf(a, 1), Secret: d.TextSecret}, nil
}

// Recall is the live route that exactly this address had a short while ago, if that
// is remembered. It does not wait.
func (d *Directory) Recall(a Address) (Route, bool) {
	route, known, aging := d.Recent.recall(a, d.now())
	if aging {
		d.Recent.renew(a, func(ctx context.Context) {
			if _, err := d.Lookup(ctx, a); errors.Is(err, ErrNotFound) {
				d.Recent.forget(a)
			}
		})
	}
	return route, known
}

// put changes a route.
func (d *Directory) put(ctx context.Context, a Address, r Route) error {
	defer d.Recent.forget(a)
	return d.Addresses.Put(ctx, a, r)
}

// Create gives an address a route of the kind, targets, secret and expiry in r;
// life and maildrop are filled in and returned, and the time of creation unless r has
// one. It fails with
// ErrExists where the address is live, and with ErrNotLocal where the domain is not
// one of those for the kind. Two nodes that
// create an address at once both succeed and agree on the maildrop; which
// secret holds is decided by the last write. Where routes are remembered, it takes
// some seconds to create an address again that was removed a moment ago.
func (d *Directory) Create(ctx context.Context, a Address, r Route) (Route, error) {
	if err := d.checkDomain(a, r.Kind); err != nil {
		return Route{}, err
	}
	old, err := d.Addresses.Lookup(ctx, a)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Route{}, err
	}
	if old.Live(d.now()) {
		return Route{}, fmt.Errorf("%s: %w", a, ErrExists)
	}
	if old.Kind == Vacant && !old.Expires.IsZero() {
		if err := d.Recent.gone(ctx, old.Expires, d.now()); err != nil {
			return Route{}, fmt.Errorf("%s: %w", a, err)
		}
	}
	return d.create(ctx, a, r, old.Life+1)
}

// CreateRandom is Create of an address with a name that was drawn at random, so that
// nobody can have had it. Nothing is looked up: also where only all data centres together
// could say that there is no such address, and one of them is away, it is created.
func (d *Directory) CreateRandom(ctx context.Context, a Address, r Route) (Route, error) {
	if err := d.checkDomain(a, r.Kind); err != nil {
		return Route{}, err
	}
	return d.create(ctx, a, r, 1)
}

// checkDomain fails where the domain has no addresses of a kind.
func (d *Directory) checkDomain(a Address, kind Kind) error {
	domains := d.Domains
	if kind == Temporary {
		domains = d.TempDomains
	}
	if !slices.Contains(domains, a.Domain) || d.isText(a.Domain) {
		return fmt.Errorf("%s, %s: %w", a, kind, ErrNotLocal)
	}
	return nil
}

// create gives a vacant address a route of its next life.
func (d *Directory) create(ctx context.Context, a Address, r Route, life uint32) (Route, error) {
	r.Life = life
	if r.Created.IsZero() {
		r.Created = d.now().UTC().Truncate(time.Millisecond)
	}
	switch r.Kind {
	case Account:
		r.Maildrop = MaildropOf(a, r.Life)
	case Temporary:
		r.Maildrop = TemporaryMaildropOf(a, r.Life)
	}
	return r, d.put(ctx, a, r)
}

// SetSecret changes the password hash of an account or temporary address. It fails
// with ErrNotFound, and with ErrNotLocal in the domain of the text service.
func (d *Directory) SetSecret(ctx context.Context, a Address, secret string) error {
	if err := d.noText(a); err != nil {
		return err
	}
	route, err := d.Lookup(ctx, a)
	if err != nil {
		return err
	}
	if route.Kind == Alias {
		return fmt.Errorf("%s is an alias: %w", a, ErrNotFound)
	}
	route.Secret = secret
	return d.put(ctx, a, route)
}

// SetTargets changes where an alias leads, in one write, so that there is no moment
// at which mail for it is refused. It fails with ErrNotFound, and with ErrExists
// where the address is something else.
func (d *Directory) SetTargets(ctx context.Context, a Address, targets []Address) (Route, error) {
	if err := d.noText(a); err != nil {
		return Route{}, err
	}
	route, err := d.Lookup(ctx, a)
	if err != nil {
		return Route{}, err
	}
	if route.Kind != Alias {
		return Route{}, fmt.Errorf("%s is not an alias: %w", a, ErrExists)
	}
	route.Targets = targets
	return route, d.put(ctx, a, route)
}

// Remove makes an address vacant. Its maildrop can no longer be reached, and
// whoever creates the address next gets an empty one. Servers that remember the route
// accept mail for it a little longer. It fails with ErrNotFound, and with ErrNotLocal
// in the domain of the text service.
func (d *Directory) Remove(ctx context.Context, a Address) error {
	if err := d.noText(a); err != nil {
		return err
	}
	route, err := d.Lookup(ctx, a)
	if err != nil {
		return err
	}
	return d.put(ctx, a, Route{Kind: Vacant, Life: route.Life, Created: route.Created, Expires: d.now()})
}

// List goes through the live addresses of a domain, in no order that is promised.
func (d *Directory) List(ctx context.Context, domain string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for row, err := range d.Addresses.List(ctx, domain) {
			if err == nil && !row.Route.Live(d.now()) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (d *Directory) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

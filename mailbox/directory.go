package mailbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Bounds on what one alias may lead to.
const (
	maxAliasDepth   = 8
	maxAliasTargets = 100
)

const postmaster = "postmaster"

// A Directory says who receives mail for an address, and makes and removes
// accounts and aliases. Addresses keeps the rows; the rules are here.
type Directory struct {
	Addresses Addresses
	Domains   []string         // the local domains in canonical form; the first is the default
	Recent    *RecentRoutes    // nil: every route is read when it is asked for
	Now       func() time.Time // nil means time.Now
}

// IsLocal reports whether mail for the domain is delivered here.
func (d *Directory) IsLocal(domain string) bool { return slices.Contains(d.Domains, domain) }

// Postmaster is who receives mail for the postmaster of a domain that has none
// of its own. Such mail is never refused (RFC 5321, section 4.5.1).
func (d *Directory) Postmaster() Address {
	return Address{Local: postmaster, Domain: d.Domains[0]}
}

// Resolve follows an address to its maildrops: the address itself, else the
// address without its detail (fred+lists), else postmaster, else the catch-all of
// the domain. It fails with ErrNotLocal, with ErrNotFound where nobody is there,
// and with ErrUnavailable where that cannot be told.
func (d *Directory) Resolve(ctx context.Context, a Address) ([]Recipient, error) {
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

// follow adds the maildrops behind a. A target that leads nowhere, back to where
// the walk has been, or too far is left out: the others still get their mail.
func (r *resolution) follow(ctx context.Context, a Address, depth int) error {
	a, route, err := r.directory.route(ctx, a)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.seen[a] || len(r.seen) >= maxAliasTargets {
		return nil
	}
	r.seen[a] = true
	if route.Kind != Alias {
		r.found = append(r.found, Recipient{Address: a, Maildrop: route.Maildrop, Expires: route.Expires})
		return nil
	}
	if depth >= maxAliasDepth {
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
	candidates := []Address{a}
	if base, ok := a.Base(); ok {
		candidates = append(candidates, base)
	}
	if last := candidates[len(candidates)-1]; last.Local == postmaster && last != d.Postmaster() {
		candidates = append(candidates, d.Postmaster())
	}
	candidates = append(candidates, Address{Domain: a.Domain})
	for _, c := range candidates {
		if route, ok := d.Recall(c); ok {
			return c, route, nil
		}
		route, err := d.Lookup(ctx, c)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return c, route, err
		}
	}
	return a, Route{}, fmt.Errorf("%s: %w", a, ErrNotFound)
}

// Lookup is the live route of exactly this address, or ErrNotFound.
func (d *Directory) Lookup(ctx context.Context, a Address) (Route, error) {
	mark := d.Recent.mark()
	route, err := d.Addresses.Lookup(ctx, a)
	if err != nil {
		return Route{}, err
	}
	now := d.now()
	if !route.Live(now) {
		return Route{}, fmt.Errorf("%s: %w", a, ErrNotFound)
	}
	d.Recent.remember(a, route, mark, now)
	return route, nil
}

// Recall is the live route that exactly this address had a short while ago, if that
// is remembered.
func (d *Directory) Recall(a Address) (Route, bool) { return d.Recent.recall(a, d.now()) }

// put changes a route.
func (d *Directory) put(ctx context.Context, a Address, r Route) error {
	defer d.Recent.forget(a)
	return d.Addresses.Put(ctx, a, r)
}

// Create gives an address a route of the kind, targets, secret and expiry in r;
// life, maildrop and time of creation are filled in and returned. It fails with
// ErrExists where the address is live, and with ErrNotLocal. Two nodes that
// create an address at once both succeed and agree on the maildrop; which
// secret holds is decided by the last write. Where routes are remembered, it takes
// some seconds to create an address again that was removed a moment ago.
func (d *Directory) Create(ctx context.Context, a Address, r Route) (Route, error) {
	if !d.IsLocal(a.Domain) {
		return Route{}, fmt.Errorf("%s: %w", a, ErrNotLocal)
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
	r.Life = old.Life + 1
	r.Created = d.now().UTC().Truncate(time.Millisecond)
	switch r.Kind {
	case Account:
		r.Maildrop = MaildropOf(a, r.Life)
	case Temporary:
		r.Maildrop = TemporaryMaildropOf(a, r.Life)
	}
	return r, d.put(ctx, a, r)
}

// SetSecret changes the password hash of an account or temporary address.
func (d *Directory) SetSecret(ctx context.Context, a Address, secret string) error {
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
// accept mail for it a little longer. It fails with ErrNotFound.
func (d *Directory) Remove(ctx context.Context, a Address) error {
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

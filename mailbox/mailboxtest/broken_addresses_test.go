package mailboxtest_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// brokenAddresses each break a promise of mailbox.Addresses.
var brokenAddresses = map[string]broken{
	"gives an empty route for whom it does not know": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = lookups{inner, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
			r, err := inner.Lookup(ctx, a)
			if errors.Is(err, mailbox.ErrNotFound) {
				err = nil
			}
			return r, err
		}}
	}, []string{"Addresses/an unknown address is not found"}},

	"merges routes": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			if old, err := inner.Lookup(ctx, a); err == nil {
				if r.Secret == "" {
					r.Secret = old.Secret
				}
				if r.Expires.IsZero() {
					r.Expires = old.Expires
				}
			}
			return inner.Put(ctx, a, r)
		}}
	}, []string{"Addresses/the last write replaces the whole route"}},

	"keeps the first route": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			if _, err := inner.Lookup(ctx, a); err == nil {
				return nil
			}
			return inner.Put(ctx, a, r)
		}}
	}, []string{"Addresses/the last write replaces the whole route", "Model"}},

	"drops vacant rows": {func(s *mailboxtest.Stores) {
		hides(s, func(_ mailbox.Address, r mailbox.Route) bool { return r.Kind == mailbox.Vacant })
	}, []string{"Addresses/vacant and expired rows are returned"}},

	"hides expired rows": {func(s *mailboxtest.Stores) {
		hides(s, func(_ mailbox.Address, r mailbox.Route) bool {
			return !r.Expires.IsZero() && r.Expires.Before(time.Now())
		})
	}, []string{"Addresses/vacant and expired rows are returned"}},

	"has no row for a catch-all": {func(s *mailboxtest.Stores) {
		hides(s, func(a mailbox.Address, _ mailbox.Route) bool { return a.Local == "" })
	}, []string{"Addresses/the catch-all has a row of its own"}},

	"answers for everyone where there is a catch-all": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = lookups{inner, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
			r, err := inner.Lookup(ctx, a)
			if errors.Is(err, mailbox.ErrNotFound) {
				return inner.Lookup(ctx, mailbox.Address{Domain: a.Domain})
			}
			return r, err
		}}
	}, []string{"Addresses/the catch-all has a row of its own"}},

	"trims local-parts": {func(s *mailboxtest.Stores) {
		keyed(s, func(a mailbox.Address) mailbox.Address {
			return mailbox.Address{Local: strings.Trim(a.Local, `" .`), Domain: a.Domain}
		})
	}, []string{"Addresses/local-parts that need quotes are told apart"}},

	"cuts long addresses": {func(s *mailboxtest.Stores) {
		keyed(s, func(a mailbox.Address) mailbox.Address {
			return mailbox.Address{Local: a.Local, Domain: a.Domain[:min(len(a.Domain), 100)]}
		})
	}, []string{"Addresses/the longest address has a row"}},

	"shares targets with its caller": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		var targets sync.Map
		s.Addresses = routes{lookups{inner, func(ctx context.Context, a mailbox.Address) (mailbox.Route, error) {
			r, err := inner.Lookup(ctx, a)
			if shared, ok := targets.Load(a); ok {
				r.Targets = shared.([]mailbox.Address)
			}
			return r, err
		}}, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			targets.Store(a, r.Targets)
			return inner.Put(ctx, a, r)
		}}
	}, []string{"Addresses/a route is not shared with its caller"}},

	"lists every domain with the same beginning": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		var domains sync.Map
		s.Addresses = listings{routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			domains.Store(a.Domain, true)
			return inner.Put(ctx, a, r)
		}}, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
			return func(yield func(mailbox.Row, error) bool) {
				for other := range domains.Range {
					if !strings.HasPrefix(other.(string), domain) {
						continue
					}
					for row, err := range inner.List(ctx, other.(string)) {
						if !yield(row, err) {
							return
						}
					}
				}
			}
		}}
	}, []string{"Addresses/a domain does not list its neighbours", "Model"}},

	"lists a page of addresses": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = listings{inner, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
			return func(yield func(mailbox.Row, error) bool) {
				n := 0
				for row, err := range inner.List(ctx, domain) {
					if n++; n > 100 || !yield(row, err) {
						return
					}
				}
			}
		}}
	}, []string{"Addresses/a domain of thousands is listed"}},

	"goes on listing after its reader left": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = listings{inner, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
			return func(yield func(mailbox.Row, error) bool) {
				for row, err := range inner.List(ctx, domain) {
					yield(row, err)
				}
			}
		}}
	}, []string{"Addresses/a listing may be left early"}},

	"cannot be used during a listing": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		var listing sync.Mutex
		s.Addresses = listings{routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			if !listing.TryLock() {
				return mailbox.ErrUnavailable // rather than wait for ever
			}
			defer listing.Unlock()
			return inner.Put(ctx, a, r)
		}}, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
			return func(yield func(mailbox.Row, error) bool) {
				listing.Lock()
				defer listing.Unlock()
				inner.List(ctx, domain)(yield)
			}
		}}
	}, []string{"Addresses/the store may be used during a listing"}},

	"lists nothing when its context ended": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		s.Addresses = listings{inner, func(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
			if ctx.Err() != nil {
				return func(func(mailbox.Row, error) bool) {}
			}
			return inner.List(ctx, domain)
		}}
	}, []string{"Addresses/an ended context does not say not found"}},

	"mixes the routes of writers at the same time": {func(s *mailboxtest.Stores) {
		inner := s.Addresses
		meet := make(chan struct{})
		s.Addresses = routes{inner, func(ctx context.Context, a mailbox.Address, r mailbox.Route) error {
			if meetAnother(meet) {
				r.Secret = "of another writer"
			}
			return inner.Put(ctx, a, r)
		}}
	}, []string{"Addresses/of writers at the same time one wins as a whole"}},
}

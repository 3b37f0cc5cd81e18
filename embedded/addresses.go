package embedded

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"restante/mailbox"
)

// addresses are mailbox.Addresses: one key for each address, sorted by domain. The row
// of a temporary one is forgotten some time after its end.
type addresses struct {
	store *Store
	puts  keyedLock[mailbox.Address]
}

func newAddresses(s *Store) *addresses {
	return &addresses{store: s, puts: keyedLock[mailbox.Address]{held: make(map[mailbox.Address]chan struct{})}}
}

// routeMemory is how much longer than its life the row of a temporary address stays.
// The row remembers the life number; when it is forgotten, what was in the maildrop
// must be gone.
const routeMemory = 30 * 24 * time.Hour

func (a *addresses) Lookup(ctx context.Context, address mailbox.Address) (route mailbox.Route, err error) {
	fail := func(err error) (mailbox.Route, error) {
		return mailbox.Route{}, fmt.Errorf("embedded: look up %s: %w", address, err)
	}
	if err := a.store.enter(ctx); err != nil {
		return fail(err)
	}
	defer a.store.leave()
	route, _, found, err := a.row(address)
	if err != nil {
		return fail(err)
	}
	if !found {
		return fail(mailbox.ErrNotFound)
	}
	return route, nil
}

// row is the row of an address, for a caller that has entered.
func (a *addresses) row(address mailbox.Address) (route mailbox.Route, forget time.Time, found bool, err error) {
	found, err = a.store.get(addressKey(address), func(value []byte) (err error) {
		route, forget, err = decodeRoute(value)
		return err
	})
	return route, forget, found, err
}

func (a *addresses) Put(ctx context.Context, address mailbox.Address, r mailbox.Route) error {
	if err := a.put(ctx, address, r); err != nil {
		return fmt.Errorf("embedded: put %s: %w", address, err)
	}
	return nil
}

func (a *addresses) put(ctx context.Context, address mailbox.Address, r mailbox.Route) error {
	if strings.IndexByte(address.Domain, 0) >= 0 {
		return fmt.Errorf("NUL in the domain: %w", mailbox.ErrAddress)
	}
	if err := a.store.room.take(len(addressKey(address)) + len(appendRoute(nil, r))); err != nil {
		return err
	}
	if err := a.puts.lock(ctx, address); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	defer a.puts.unlock(address)
	if err := a.store.enterWrite(ctx); err != nil {
		return err
	}
	defer a.store.leaveWrite()
	_, old, found, err := a.row(address)
	if err != nil {
		return err
	}
	forget := forgetAt(r, old, found, a.store.now())
	key, value := addressKey(address), appendForgotten(nil, r, forget)
	b := a.store.batch(len(key) + len(value))
	if !old.IsZero() {
		b.delete(addressExpiryKey(old, address))
	}
	if !forget.IsZero() {
		b.set(addressExpiryKey(forget, address), nil)
	}
	b.set(key, value)
	return a.store.commit(b)
}

// forgetAt is when a row is forgotten that takes the place of one that was to be
// forgotten at a time. Where an account or an alias was, the address is remembered for
// ever, since mail of a life that was forgotten would come back with the next of the
// same number.
func forgetAt(r mailbox.Route, old time.Time, found bool, now time.Time) time.Time {
	switch {
	case found && old.IsZero():
		return time.Time{}
	case r.Kind == mailbox.Temporary && !r.Expires.IsZero():
		forget := r.Expires
		if forget.Before(now) {
			forget = now
		}
		if forget = forget.Add(routeMemory).Truncate(time.Second); forget.After(old) {
			return forget
		}
		return old
	case r.Kind == mailbox.Vacant:
		return old
	}
	return time.Time{}
}

// forget takes away the row of an address if its time has come, and the key of expiry
// that says so.
func (a *addresses) forget(ctx context.Context, address mailbox.Address, key []byte, now time.Time) (forgotten bool, err error) {
	if err := a.puts.lock(ctx, address); err != nil {
		return false, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	defer a.puts.unlock(address)
	if err := a.store.enterWrite(ctx); err != nil {
		return false, err
	}
	defer a.store.leaveWrite()
	_, forget, found, err := a.row(address)
	if err != nil {
		return false, err
	}
	b := a.store.batch(0)
	b.delete(key)
	if found && !forget.IsZero() && !now.Before(forget) {
		b.delete(addressKey(address))
		forgotten = true
	}
	return forgotten, a.store.commitUnsynced(b)
}

// addressPage is how many rows List reads at a time: between pages it holds
// nothing of the store, however slow the caller is.
const addressPage = 256

func (a *addresses) List(ctx context.Context, domain string) iter.Seq2[mailbox.Row, error] {
	return func(yield func(mailbox.Row, error) bool) {
		from, end := domainPrefix(domain), after(domainPrefix(domain))
		for from != nil {
			rows, next, err := a.page(ctx, from, end)
			if err != nil {
				yield(mailbox.Row{}, fmt.Errorf("embedded: list domain %s: %w", domain, err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			from = next
		}
	}
}

// page reads some rows and says where the next page begins: nowhere after the
// last.
func (a *addresses) page(ctx context.Context, from, end []byte) (rows []mailbox.Row, next []byte, err error) {
	if err := a.store.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer a.store.leave()
	err = a.store.scan(ctx, from, end, func(key, value []byte) (bool, error) {
		if len(rows) == addressPage {
			next = bytes.Clone(key)
			return false, nil
		}
		address, err := decodeAddress(key)
		if err != nil {
			return false, err
		}
		route, _, err := decodeRoute(value)
		if err != nil {
			return false, err
		}
		rows = append(rows, mailbox.Row{Address: address, Route: route})
		return true, nil
	})
	return rows, next, err
}

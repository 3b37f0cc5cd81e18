package embedded

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"restante/mailbox"
)

// addresses are mailbox.Addresses: one key for each address, sorted by domain.
type addresses struct{ store *Store }

func (a *addresses) Lookup(ctx context.Context, address mailbox.Address) (route mailbox.Route, err error) {
	fail := func(err error) (mailbox.Route, error) {
		return mailbox.Route{}, fmt.Errorf("embedded: look up %s: %w", address, err)
	}
	if err := a.store.enter(ctx); err != nil {
		return fail(err)
	}
	defer a.store.leave()
	found, err := a.store.get(addressKey(address), func(value []byte) (err error) {
		route, err = decodeRoute(value)
		return err
	})
	if err != nil {
		return fail(err)
	}
	if !found {
		return fail(mailbox.ErrNotFound)
	}
	return route, nil
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
	key, value := addressKey(address), appendRoute(nil, r)
	if err := a.store.room.take(len(key) + len(value)); err != nil {
		return err
	}
	if err := a.store.enterWrite(ctx); err != nil {
		return err
	}
	defer a.store.leaveWrite()
	b := a.store.batch(len(key) + len(value))
	b.set(key, value)
	return a.store.commit(b)
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
		route, err := decodeRoute(value)
		if err != nil {
			return false, err
		}
		rows = append(rows, mailbox.Row{Address: address, Route: route})
		return true, nil
	})
	return rows, next, err
}

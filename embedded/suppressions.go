package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"restante/mailbox"
	"restante/relay"
)

// suppressions are relay.Suppressions: a key for each recipient of an account, until
// its time is over.
type suppressions struct {
	store *Store
}

func (l *suppressions) Suppress(ctx context.Context, account mailbox.Address, s relay.Suppression) error {
	if err := l.suppress(ctx, account, s); err != nil {
		return fmt.Errorf("embedded: suppress %s for %s: %w", s.Address, account, err)
	}
	return nil
}

func (l *suppressions) suppress(ctx context.Context, account mailbox.Address, s relay.Suppression) error {
	value, err := appendSuppression(nil, s)
	if err != nil {
		return err
	}
	key := suppressedKey(account, s.Address)
	if err := l.store.room.take(len(key) + len(value)); err != nil {
		return err
	}
	return l.store.perishables.put(ctx, key, perishable{s.Until, value}, func([]byte) (bool, error) { return false, nil })
}

func (l *suppressions) Suppressed(ctx context.Context, account mailbox.Address, at time.Time, addresses []mailbox.Address) ([]relay.Suppression, error) {
	found, err := l.suppressed(ctx, account, at, addresses)
	if err != nil {
		return nil, fmt.Errorf("embedded: look for the suppressed of %s: %w", account, err)
	}
	return found, nil
}

func (l *suppressions) suppressed(ctx context.Context, account mailbox.Address, at time.Time, addresses []mailbox.Address) (found []relay.Suppression, err error) {
	if err := l.store.enter(ctx); err != nil {
		return nil, err
	}
	defer l.store.leave()
	seen := make(map[mailbox.Address]bool, len(addresses))
	for _, a := range addresses {
		if seen[a] {
			continue
		}
		seen[a] = true
		_, err := l.store.get(suppressedKey(account, a), func(value []byte) error {
			s, err := decodeSuppression(value)
			if s.Address = a; err == nil && at.Before(s.Until) {
				found = append(found, s)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// suppressedPage is how many recipients List reads at a time.
const suppressedPage = 256

func (l *suppressions) List(ctx context.Context, account mailbox.Address, at time.Time) iter.Seq2[relay.Suppression, error] {
	return func(yield func(relay.Suppression, error) bool) {
		from, end := suppressedPrefix(account), after(suppressedPrefix(account))
		for from != nil {
			page, next, err := l.page(ctx, from, end)
			if err != nil {
				yield(relay.Suppression{}, fmt.Errorf("embedded: list the suppressed of %s: %w", account, err))
				return
			}
			for _, s := range page {
				if at.Before(s.Until) && !yield(s, nil) {
					return
				}
			}
			from = next
		}
	}
}

// page reads some recipients and says where the next page begins: nowhere after the
// last. Between pages nothing of the store is held, however slow the caller is.
func (l *suppressions) page(ctx context.Context, from, end []byte) (page []relay.Suppression, next []byte, err error) {
	if err := l.store.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer l.store.leave()
	err = l.store.scan(ctx, from, end, func(key, value []byte) (bool, error) {
		if len(page) == suppressedPage {
			next = bytes.Clone(key)
			return false, nil
		}
		s, err := decodeSuppression(value)
		if err == nil {
			s.Address, err = decodeSuppressed(key)
		}
		page = append(page, s)
		return true, err
	})
	return page, next, err
}

func (l *suppressions) Allow(ctx context.Context, account, address mailbox.Address) error {
	if err := l.store.perishables.remove(ctx, suppressedKey(account, address)); err != nil {
		return fmt.Errorf("embedded: allow %s for %s: %w", address, account, err)
	}
	return nil
}

// appendSuppression writes what is neither in the key nor around the value.
func appendSuppression(b []byte, s relay.Suppression) ([]byte, error) {
	outcome, err := json.Marshal(s.Outcome)
	return append(appendTime(b, s.Since), outcome...), err
}

// decodeSuppression reads a row with such a value; the address is in the key.
func decodeSuppression(b []byte) (s relay.Suppression, err error) {
	p, err := decodePerishable(b)
	if err != nil {
		return s, err
	}
	s.Until = p.ends
	d := decoder{rest: p.value}
	s.Since = d.time()
	if d.err == nil && json.Unmarshal(d.octets(len(d.rest)), &s.Outcome) != nil {
		d.fail("outcome")
	}
	return s, d.end("suppression")
}

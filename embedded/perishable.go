package embedded

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"restante/mailbox"
)

// perishables are rows that may have an end, after which they are not there and are
// forgotten: registers that services share, and recipients that do not exist. The value
// of each begins with its end, and a key of expiry names each that has one.
type perishables struct {
	store   *Store
	changes keyedLock[string]
}

func newPerishables(s *Store) *perishables {
	return &perishables{store: s, changes: keyedLock[string]{held: make(map[string]chan struct{})}}
}

// A perishable is the value of such a row.
type perishable struct {
	ends  time.Time // zero: never
	value []byte
}

func (p perishable) over(now time.Time) bool { return !p.ends.IsZero() && !now.Before(p.ends) }

func appendPerishable(b []byte, p perishable) []byte {
	return append(appendTime(append(b, perishableForm), p.ends), p.value...)
}

// decodePerishable reads what appendPerishable wrote. The value is still b's.
func decodePerishable(b []byte) (p perishable, err error) {
	d := decoder{rest: b}
	d.form(perishableForm)
	p.ends = d.time()
	p.value = d.octets(len(d.rest))
	return p, d.end("row that may end")
}

// read hands the value of a row to use, which must not keep it, for a caller that has
// entered. One that is over is not found.
func (r *perishables) read(key []byte, use func(value []byte) error) (found bool, err error) {
	now, over := r.store.now(), false
	found, err = r.store.get(key, func(b []byte) error {
		p, err := decodePerishable(b)
		if over = p.over(now); err != nil || over {
			return err
		}
		return use(p.value)
	})
	return found && !over, err
}

// put writes a row, and durably, unless it is to stay as it is.
func (r *perishables) put(ctx context.Context, key []byte, p perishable, stays func(value []byte) (bool, error)) error {
	return r.change(ctx, key, func(old perishable, found bool) error {
		if found && !old.over(r.store.now()) {
			stay, err := stays(old.value)
			if err != nil {
				return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
			}
			if stay {
				return nil
			}
		}
		value := appendPerishable(nil, p)
		b := r.store.batch(len(key) + len(value))
		if !old.ends.IsZero() {
			b.delete(perishableExpiryKey(old.ends, key))
		}
		if !p.ends.IsZero() {
			b.set(perishableExpiryKey(p.ends, key), nil)
		}
		b.set(key, value)
		return r.store.commit(b)
	})
}

// remove takes a row away, durably. One that is not there is harmless.
func (r *perishables) remove(ctx context.Context, key []byte) error {
	return r.change(ctx, key, func(old perishable, found bool) error {
		if !found {
			return nil
		}
		b := r.store.batch(0)
		if !old.ends.IsZero() {
			b.delete(perishableExpiryKey(old.ends, key))
		}
		b.delete(key)
		return r.store.commit(b)
	})
}

// forget takes a row away if its time has come, and the key of expiry that says so.
func (r *perishables) forget(ctx context.Context, key, expiry []byte, now time.Time) (forgotten bool, err error) {
	err = r.change(ctx, key, func(old perishable, _ bool) error {
		b := r.store.batch(0)
		b.delete(expiry)
		if forgotten = old.over(now); forgotten {
			b.delete(key)
		}
		return r.store.commitUnsynced(b)
	})
	return forgotten, err
}

// change has a row changed, of which there is one change at a time.
func (r *perishables) change(ctx context.Context, key []byte, change func(old perishable, found bool) error) error {
	if err := r.changes.lock(ctx, string(key)); err != nil {
		return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	defer r.changes.unlock(string(key))
	if err := r.store.enterWrite(ctx); err != nil {
		return err
	}
	defer r.store.leaveWrite()
	var old perishable
	found, err := r.store.get(key, func(b []byte) (err error) {
		old, err = decodePerishable(b)
		old.value = bytes.Clone(old.value)
		return err
	})
	if err != nil {
		return err
	}
	return change(old, found)
}

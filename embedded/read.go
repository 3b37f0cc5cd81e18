package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"restante/mailbox"
)

// get hands the value of a key to read, which must not keep it.
func (s *Store) get(key []byte, read func(value []byte) error) (found bool, err error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	err = read(value)
	if err != nil {
		err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	return true, errors.Join(err, closer.Close())
}

func (s *Store) has(key []byte) (bool, error) {
	return s.get(key, func([]byte) error { return nil })
}

// last is the last key with a prefix, or nil.
func (s *Store) last(prefix []byte) (key []byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	if it.Last() {
		key = bytes.Clone(it.Key())
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	return key, nil
}

// scanCheck is after how many keys a scan looks at its context.
const scanCheck = 1024

// scan goes through the keys from one to before another until visit says no.
// Visit must keep neither key nor value.
func (s *Store) scan(ctx context.Context, from, end []byte, visit func(key, value []byte) (more bool, err error)) error {
	return s.walk(ctx, from, end, (*pebble.Iterator).First, (*pebble.Iterator).Next, withValue(visit))
}

func withValue(visit func(key, value []byte) (bool, error)) func(*pebble.Iterator) (bool, error) {
	return func(it *pebble.Iterator) (bool, error) {
		value, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		return visit(it.Key(), value)
	}
}

// scanBack is scan from the last key before end to the first.
func (s *Store) scanBack(ctx context.Context, from, end []byte, visit func(key, value []byte) (more bool, err error)) error {
	return s.walk(ctx, from, end, (*pebble.Iterator).Last, (*pebble.Iterator).Prev, withValue(visit))
}

// scanKeys is scan without the values, which may be large.
func (s *Store) scanKeys(ctx context.Context, from, end []byte, visit func(key []byte) (more bool)) error {
	return s.walk(ctx, from, end, (*pebble.Iterator).First, (*pebble.Iterator).Next,
		func(it *pebble.Iterator) (bool, error) { return visit(it.Key()), nil })
}

// walk goes through keys from where first puts it, in steps of next.
func (s *Store) walk(ctx context.Context, from, end []byte, first, next func(*pebble.Iterator) bool, visit func(*pebble.Iterator) (more bool, err error)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
		}
	}()
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := first(it); ok; ok = next(it) {
		if n++; n%scanCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if more, err := visit(it); err != nil || !more {
			return err
		}
	}
	return nil
}

package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

// shared is pool.Shared for the one process that has the store: registers are there so
// that the next process knows its services. Beats stay in memory, since those of before
// say nothing of now.
type shared struct {
	store *Store
	mu    sync.Mutex
	heard map[heardBy]heard
}

type heardBy struct{ service, hearer string }

type heard struct {
	pool.Heard
	at time.Time
}

// heardFor is how long it is remembered what was heard.
const heardFor = 10 * time.Minute

func newShared(s *Store) *shared { return &shared{store: s, heard: make(map[heardBy]heard)} }

func (s *shared) Put(ctx context.Context, r pool.Register) error {
	if err := s.put(ctx, r); err != nil {
		return fmt.Errorf("embedded: put register %s: %w", r.Key, err)
	}
	return nil
}

func (s *shared) put(ctx context.Context, r pool.Register) error {
	key, p := sharedKey(r.Key), perishable{value: appendRegister(nil, r)}
	if r.Kept > 0 {
		p.ends = s.store.now().Add(r.Kept)
	}
	if len(r.Data) > 0 { // or something is removed, which has to be possible
		if err := s.store.room.take(len(key) + len(p.value)); err != nil {
			return err
		}
	}
	return s.store.perishables.put(ctx, key, p, func(value []byte) (stays bool, err error) {
		old, err := decodeRegister(value)
		return old.Version > r.Version || old.Version == r.Version && bytes.Compare(old.Data, r.Data) >= 0, err
	})
}

func (s *shared) Get(ctx context.Context, key string) (pool.Register, error) {
	r, err := s.get(ctx, key)
	if err != nil {
		return pool.Register{}, fmt.Errorf("embedded: get register %s: %w", key, err)
	}
	return r, nil
}

func (s *shared) get(ctx context.Context, key string) (r pool.Register, err error) {
	if err := s.store.enter(ctx); err != nil {
		return r, err
	}
	defer s.store.leave()
	found, err := s.store.perishables.read(sharedKey(key), func(value []byte) (err error) {
		r, err = decodeRegister(value)
		return err
	})
	if err == nil && !found {
		err = mailbox.ErrNotFound
	}
	r.Key = key
	return r, err
}

func (s *shared) All(ctx context.Context) ([]pool.Register, error) {
	all, err := s.all(ctx)
	if err != nil {
		return nil, fmt.Errorf("embedded: list the registers: %w", err)
	}
	return all, nil
}

func (s *shared) all(ctx context.Context) (all []pool.Register, err error) {
	if err := s.store.enter(ctx); err != nil {
		return nil, err
	}
	defer s.store.leave()
	now := s.store.now()
	err = s.store.scan(ctx, []byte{prefixShared}, []byte{prefixShared + 1}, func(key, value []byte) (bool, error) {
		p, err := decodePerishable(value)
		if err != nil || p.over(now) {
			return true, err
		}
		r, err := decodeRegister(p.value)
		r.Key = string(key[1:])
		all = append(all, r)
		return true, err
	})
	return all, err
}

func (s *shared) Hear(ctx context.Context, h pool.Heard) error {
	if err := s.store.enter(ctx); err != nil {
		return fmt.Errorf("embedded: share that %s was heard: %w", h.Service, err)
	}
	defer s.store.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Data = bytes.Clone(h.Data)
	s.heard[heardBy{h.Service, h.Hearer}] = heard{h, s.store.now()}
	return nil
}

// Heard forgets what is old, so that services that came and went leave nothing.
func (s *shared) Heard(ctx context.Context) ([]pool.Heard, error) {
	if err := s.store.enter(ctx); err != nil {
		return nil, fmt.Errorf("embedded: list what was heard: %w", err)
	}
	defer s.store.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.store.now().Add(-heardFor)
	maps.DeleteFunc(s.heard, func(_ heardBy, h heard) bool { return h.at.Before(old) })
	all := make([]pool.Heard, 0, len(s.heard))
	for _, h := range s.heard {
		all = append(all, h.Heard)
	}
	return all, nil
}

func appendRegister(b []byte, r pool.Register) []byte {
	return append(binary.AppendUvarint(slices.Grow(b, binary.MaxVarintLen64+len(r.Data)), uint64(r.Version)), r.Data...)
}

// decodeRegister reads what appendRegister wrote; the rest is in the key and around it.
func decodeRegister(b []byte) (r pool.Register, err error) {
	d := decoder{rest: b}
	r.Version = d.count(math.MaxInt64)
	r.Data = bytes.Clone(d.octets(len(d.rest)))
	return r, d.end("register")
}

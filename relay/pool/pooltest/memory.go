package pooltest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/mailbox"
	"restante/relay/pool"
)

// Memory is a store that keeps every promise except durability. Its failures are set from
// outside.
type Memory struct {
	mu        sync.Mutex
	failure   error
	registers map[string]register
	heard     map[[2]string]pool.Heard
}

type register struct {
	pool.Register
	until time.Time // zero: for ever
}

// NewMemory returns one that is empty.
func NewMemory() *Memory {
	return &Memory{registers: make(map[string]register), heard: make(map[[2]string]pool.Heard)}
}

// Fail makes every call fail, until it is called with nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}

// enter locks the store, unless it fails. The caller unlocks it.
func (m *Memory) enter(ctx context.Context, call string) error {
	m.mu.Lock()
	err := ctx.Err()
	if err == nil {
		err = m.failure
	}
	if err != nil {
		m.mu.Unlock()
		return fmt.Errorf("memory: %s: %w: %w", call, mailbox.ErrUnavailable, err)
	}
	now := time.Now()
	maps.DeleteFunc(m.registers, func(_ string, r register) bool { return !r.until.IsZero() && now.After(r.until) })
	return nil
}

func (m *Memory) Put(ctx context.Context, r pool.Register) error {
	if err := m.enter(ctx, "put"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	old, known := m.registers[r.Key]
	if known && (old.Version > r.Version || old.Version == r.Version && bytes.Compare(old.Data, r.Data) >= 0) {
		return nil
	}
	in := register{Register: r}
	if r.Kept > 0 {
		in.until = time.Now().Add(r.Kept)
	}
	in.Data, in.Kept = bytes.Clone(r.Data), 0
	m.registers[r.Key] = in
	return nil
}

func (m *Memory) Get(ctx context.Context, key string) (pool.Register, error) {
	if err := m.enter(ctx, "get"); err != nil {
		return pool.Register{}, err
	}
	defer m.mu.Unlock()
	r, known := m.registers[key]
	if !known {
		return pool.Register{}, fmt.Errorf("memory: get %s: %w", key, mailbox.ErrNotFound)
	}
	return r.Register, nil
}

func (m *Memory) All(ctx context.Context) ([]pool.Register, error) {
	if err := m.enter(ctx, "all"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var all []pool.Register
	for _, r := range m.registers {
		all = append(all, r.Register)
	}
	return all, nil
}

func (m *Memory) Hear(ctx context.Context, h pool.Heard) error {
	if err := m.enter(ctx, "hear"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	h.Data = bytes.Clone(h.Data)
	m.heard[[2]string{h.Service, h.Hearer}] = h
	return nil
}

func (m *Memory) Heard(ctx context.Context) ([]pool.Heard, error) {
	if err := m.enter(ctx, "heard"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.heard)), nil
}

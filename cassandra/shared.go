package cassandra

import (
	"context"
	"fmt"

	"restante/mailbox"
	"restante/relay/pool"
)

var (
	insertRegister = &statement{
		name: "relay_register insert",
		cql:  "INSERT INTO relay_register (pool, key, data) VALUES (?, ?, ?) USING TTL ?",
	}
	selectRegister = &statement{
		name: "relay_register select",
		cql:  "SELECT data, WRITETIME(data) FROM relay_register WHERE pool = ? AND key = ?",
	}
	selectRegisters = &statement{
		name:   "relay_register select all",
		cql:    "SELECT key, data, WRITETIME(data) FROM relay_register WHERE pool = ?",
		rows:   registersAtOnce,
		octets: registersAtOnce * usualRegister,
	}
	insertHeard = &statement{
		name: "relay_heard insert",
		cql:  "INSERT INTO relay_heard (datacenter, service, hearer, seq, data) VALUES (?, ?, ?, ?, ?)",
	}
	selectHeard = &statement{
		name: "relay_heard select",
		cql:  "SELECT service, hearer, seq, data, WRITETIME(data) FROM relay_heard WHERE datacenter = ?",
	}
)

const (
	// thePool is whose registers there are.
	thePool = "default"
	// registersAtOnce is how many registers a page has: few enough that a page of the
	// largest can be had, which is 100 MiB.
	registersAtOnce = 100
	// usualRegister is what a register weighs in the answer.
	usualRegister = 1 << 10
)

// shared is pool.Shared.
type shared struct {
	*session
	hears succession
}

func (s *shared) Put(ctx context.Context, r pool.Register) error {
	life := 0 // for ever
	if r.Kept > 0 {
		life = lifetime(r.Kept)
	}
	if err := s.write(ctx, insertRegister, LocalQuorum, writeTime(r.Version), thePool, r.Key, notNil(r.Data), life); err != nil {
		return fmt.Errorf("cassandra: put register %s: %w", r.Key, err)
	}
	return nil
}

func (s *shared) Get(ctx context.Context, key string) (pool.Register, error) {
	r := pool.Register{Key: key}
	found, err := s.read(ctx, selectRegister, LocalQuorum, thePool, key).one(&r.Data, &r.Version)
	if err == nil && !found {
		err = mailbox.ErrNotFound
	}
	if err != nil {
		return pool.Register{}, fmt.Errorf("cassandra: get register %s: %w", key, err)
	}
	return r, nil
}

func (s *shared) All(ctx context.Context) ([]pool.Register, error) {
	var all []pool.Register
	rows := s.read(ctx, selectRegisters, LocalQuorum, thePool)
	for {
		var r pool.Register
		if !rows.scan(&r.Key, &r.Data, &r.Version) {
			break
		}
		all = append(all, r)
	}
	if err := rows.err(); err != nil {
		return nil, fmt.Errorf("cassandra: list the registers: %w", err)
	}
	return all, nil
}

// Hear is ordered by the clock of the hearer, which alone writes the row.
func (s *shared) Hear(ctx context.Context, h pool.Heard) error {
	at := s.hears.after(s.options.Now(), 0)
	err := s.write(ctx, insertHeard, LocalQuorum, at, s.options.Datacenter, h.Service, h.Hearer, int64(h.Seq), notNil(h.Data))
	if err != nil {
		return fmt.Errorf("cassandra: share that %s was heard: %w", h.Service, err)
	}
	return nil
}

// Heard remembers when the latest was written: a process that has started anew writes
// over what it said before, although its clock was set back.
func (s *shared) Heard(ctx context.Context) ([]pool.Heard, error) {
	var all []pool.Heard
	rows := s.read(ctx, selectHeard, LocalQuorum, s.options.Datacenter)
	for {
		var h pool.Heard
		var seq, at int64
		if !rows.scan(&h.Service, &h.Hearer, &seq, &h.Data, &at) {
			break
		}
		h.Seq = uint64(seq)
		s.hears.saw(writeTime(at))
		all = append(all, h)
	}
	if err := rows.err(); err != nil {
		return nil, fmt.Errorf("cassandra: list what was heard: %w", err)
	}
	return all, nil
}

// notNil is data that is written although there is none, or that of the last write
// would stay.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

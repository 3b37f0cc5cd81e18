package embedded

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"restante/mailbox"
)

// A batch is written as a whole or not at all. It remembers its first error
// until it is applied.
type batch struct {
	pebble *pebble.Batch
	err    error
}

// batchOverhead is about what a batch holds beside the octets of a part.
const batchOverhead = 256

// batch is an empty batch for about so many octets.
func (s *Store) batch(octets int) *batch {
	return &batch{pebble: s.db.NewBatchWithSize(octets + batchOverhead)}
}

func (b *batch) set(key, value []byte) { b.note(b.pebble.Set(key, value, nil)) }

func (b *batch) delete(key []byte) { b.note(b.pebble.Delete(key, nil)) }

// deleteSized deletes a value of known size: Pebble then knows what a compaction
// will gain.
func (b *batch) deleteSized(key []byte, size int) {
	b.note(b.pebble.DeleteSized(key, uint32(size), nil))
}

// deletePrefix deletes all keys that begin with a prefix.
func (b *batch) deletePrefix(prefix []byte) {
	b.note(b.pebble.DeleteRange(prefix, after(prefix), nil))
}

func (b *batch) note(err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
}

// apply puts a batch in its place in the log. Readers of Pebble see it from now
// on, and whatever is applied later is durable later. The caller settles it.
func (s *Store) apply(b *batch) error {
	if b.err != nil {
		return b.err
	}
	if b.note(s.db.ApplyNoSyncWait(b.pebble, pebble.Sync)); b.err != nil {
		return b.err
	}
	return s.stopped()
}

// settle waits until an applied batch is durable.
func (s *Store) settle(b *batch) error {
	b.note(b.pebble.SyncWait())
	return s.done(b)
}

// commit applies a batch and waits until it is durable.
func (s *Store) commit(b *batch) error {
	if err := s.apply(b); err != nil {
		return err
	}
	return s.settle(b)
}

// commitUnsynced applies a batch that the next durable one makes durable.
func (s *Store) commitUnsynced(b *batch) error {
	if b.err != nil {
		return b.err
	}
	b.note(s.db.Apply(b.pebble, pebble.NoSync))
	return s.done(b)
}

// done is the outcome of a batch. Pebble may report success after the end of
// all writing; the guard knows.
func (s *Store) done(b *batch) error {
	if b.err != nil {
		return b.err
	}
	if err := s.stopped(); err != nil {
		return err
	}
	b.note(b.pebble.Close())
	return b.err
}

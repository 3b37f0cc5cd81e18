package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"restante/mailbox"
)

// contents are mailbox.Contents. A content is its parts and, written last, its
// commit record: without one there is no content. A small one for one maildrop,
// which is most mail, is in the record itself: one value to write, to read and
// to remove. All of it goes to the log without a sync; the Add that lists it
// makes it durable.
type contents struct {
	store *Store
	puts  keyedLock[mailbox.MessageID]

	// Held while records are read and rewritten, so that of two maildrops that
	// release a content at once one is the last, and no repeat adds one to what the
	// last has released.
	releasing sync.Mutex
}

func newContents(s *Store) *contents {
	return &contents{store: s, puts: keyedLock[mailbox.MessageID]{held: make(map[mailbox.MessageID]chan struct{})}}
}

func (c *contents) Put(ctx context.Context, content mailbox.Content, r io.Reader) (int64, error) {
	octets, err := c.put(ctx, content, r)
	if err != nil {
		return 0, fmt.Errorf("embedded: put %s: %w", content.ID, err)
	}
	return octets, nil
}

func (c *contents) put(ctx context.Context, content mailbox.Content, r io.Reader) (int64, error) {
	// A repeat at the same time must not take away the parts of the first.
	if err := c.puts.lock(ctx, content.ID); err != nil {
		return 0, fmt.Errorf("%w: %w", mailbox.ErrUnavailable, err)
	}
	defer c.puts.unlock(content.ID)
	if !c.store.newcomers.arrive(content.ID) {
		octets, known, err := c.again(ctx, content)
		if err != nil {
			return 0, err
		}
		if known {
			return octets, discard(ctx, r) // content never changes
		}
	}
	w := &writer{contents: c, content: content, record: record{
		partSize: partSize,
		expires:  content.Expires,
		drops:    sortedDrops(content.Maildrops),
	}}
	if err := w.copy(ctx, r); err != nil {
		return 0, errors.Join(err, w.undo())
	}
	return w.record.octets, nil
}

// discard reads r to its end.
func discard(ctx context.Context, r io.Reader) (err error) {
	buf := takeBuffer(partSize)
	defer buf.free()
	for err == nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", mailbox.ErrUnavailable, ctx.Err())
		}
		_, err = r.Read(buf.octets)
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// record reads a commit record.
func (c *contents) record(ctx context.Context, id mailbox.MessageID) (r record, found bool, err error) {
	if err := c.store.enter(ctx); err != nil {
		return record{}, false, err
	}
	defer c.store.leave()
	return c.recordOf(id)
}

// latest is the last id that has a content.
func (c *contents) latest() (id mailbox.MessageID, err error) {
	key, err := c.store.last([]byte{prefixContent})
	if err == nil && key != nil && len(key) != len(contentKey(id)) {
		err = fmt.Errorf("content key of %d octets: %w", len(key), errCorrupt)
	}
	if err == nil && key != nil {
		id = decodeID(key[1:])
	}
	return id, err
}

// recordOf is record for a caller that has entered. What is inline is left out.
func (c *contents) recordOf(id mailbox.MessageID) (r record, found bool, err error) {
	found, err = c.store.get(contentKey(id), func(value []byte) (err error) {
		r, err = decodeRecord(value)
		r.inline = nil
		return err
	})
	return r, found, err
}

// A writer writes one content.
type writer struct {
	contents *contents
	content  mailbox.Content
	record   record
	written  uint32 // parts in the store
}

// copy stores r to its end. A content of one part is one batch with its commit
// record; of a longer one each part goes as soon as it is full, so that memory
// holds no more than one.
func (w *writer) copy(ctx context.Context, r io.Reader) error {
	buf := takeBuffer(smallBuffer)
	defer func() { buf.free() }()
	for {
		n, last, err := readFull(r, buf.octets)
		if err == nil && !last && n == smallBuffer {
			// Most messages end before this.
			larger := takeBuffer(partSize)
			copy(larger.octets, buf.octets)
			buf.free()
			buf = larger
			n, last, err = readFull(r, buf.octets[smallBuffer:])
			n += smallBuffer
		}
		if err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		if err := w.part(ctx, buf.octets[:n], last); err != nil || last {
			return err
		}
	}
}

// readFull fills p, except at the end. Unlike io.ReadFull it never takes the
// io.ErrUnexpectedEOF of a connection that broke for an end.
func readFull(r io.Reader, p []byte) (n int, end bool, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	if err == io.EOF {
		return n, true, nil
	}
	return n, false, err
}

// part stores the next part, and with the last one the commit record.
func (w *writer) part(ctx context.Context, octets []byte, last bool) error {
	s := w.contents.store
	if err := s.room.take(len(octets) + batchOverhead); err != nil {
		return err
	}
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.leaveWrite()
	id := w.content.ID
	b := s.batch(len(octets))
	if w.written == 0 {
		b.set(watchKey(id), nil)
	}
	switch {
	case last && w.written == 0 && len(octets) <= smallBuffer && len(w.record.drops) == 1:
		w.record.partSize, w.record.inline = 0, octets
		w.record.octets = int64(len(octets))
	case len(octets) > 0:
		b.set(partKey(id, w.written), octets)
		w.written++ // also when this fails, for undo
		w.record.octets += int64(len(octets))
	}
	if last {
		value := make([]byte, 0, len(w.record.inline)+batchOverhead)
		b.set(contentKey(id), appendRecord(value, w.record))
		if !w.record.expires.IsZero() {
			b.set(contentExpiryKey(w.record.expires, id), nil)
		}
	}
	return s.commitUnsynced(b)
}

// undo takes away what was written of a content that will not be completed. It
// works after the end of the context; what it fails to remove is swept.
func (w *writer) undo() error {
	if w.written == 0 {
		return nil
	}
	s := w.contents.store
	if err := s.enter(context.Background()); err != nil {
		return nil
	}
	defer s.leave()
	b := s.batch(0)
	w.contents.removeIn(b, w.content.ID, w.record)
	b.delete(watchKey(w.content.ID))
	return s.commitUnsynced(b)
}

// removeIn adds to a batch the removal of a content. The watch key is left: it is
// gone where the content was listed, and the sweep's to remove otherwise.
func (c *contents) removeIn(b *batch, id mailbox.MessageID, r record) {
	for part := range r.parts() {
		b.deleteSized(partKey(id, part), r.partOctets(part))
	}
	b.delete(contentKey(id))
	if !r.expires.IsZero() {
		b.delete(contentExpiryKey(r.expires, id))
	}
}

// releaseChunk is how many contents one batch releases.
const releaseChunk = 256

func (c *contents) Release(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error {
	ids := make([]mailbox.MessageID, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return c.releaseAll(ctx, drop, ids)
}

// releaseAll releases contents in the order of their keys, and each once.
func (c *contents) releaseAll(ctx context.Context, drop mailbox.MaildropID, ids []mailbox.MessageID) error {
	slices.SortFunc(ids, mailbox.MessageID.Compare)
	for chunk := range slices.Chunk(slices.Compact(ids), releaseChunk) {
		if _, err := c.release(ctx, drop, chunk); err != nil {
			return fmt.Errorf("embedded: release %d contents: %w", len(ids), err)
		}
	}
	return nil
}

// release releases a few contents and says how many went.
func (c *contents) release(ctx context.Context, drop mailbox.MaildropID, ids []mailbox.MessageID) (removed int, err error) {
	if err := c.store.enterWrite(ctx); err != nil {
		return 0, err
	}
	defer c.store.leaveWrite()
	c.releasing.Lock()
	defer c.releasing.Unlock()
	b := c.store.batch(0)
	for _, id := range ids {
		r, found, err := c.recordOf(id)
		if err != nil {
			return 0, err
		}
		r, changed := r.without(drop)
		if !found || !changed {
			continue
		}
		if len(r.drops) == 0 {
			c.removeIn(b, id, r)
			if drop == mailbox.Outbound {
				b.delete(watchKey(id)) // as it never was listed
			}
			removed++
			continue
		}
		b.set(contentKey(id), appendRecord(nil, r))
		// Those that still need it may have been the ones that never listed it.
		b.set(watchKey(id), nil)
	}
	return removed, c.store.commitUnsynced(b)
}

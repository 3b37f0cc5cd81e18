package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"

	"restante/mailbox"
)

// Open reads the commit record. The context holds for the reading too.
func (c *contents) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	if r := m.OpenInline(); r != nil { // of a delivery: no listing here has any
		return r, nil
	}
	r := &reader{ctx: ctx, store: c.store, id: m.ID}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("embedded: open %s: %w", m.ID, err)
	}
	return r, nil
}

// A reader reads a content part by part. Between parts it holds nothing of the
// store, so that a slow client holds up neither a flush nor a compaction; so
// content can be released while it is read, which the reader notices.
type reader struct {
	ctx    context.Context
	store  *Store
	id     mailbox.MessageID
	record record
	next   uint32  // the part to be read next
	buf    *buffer // of the current part
	unread []byte  // what is left of it
	err    error
}

// open reads the commit record, and a small content with it.
func (r *reader) open() error {
	if err := r.store.enter(r.ctx); err != nil {
		return err
	}
	defer r.store.leave()
	found, err := r.store.get(contentKey(r.id), func(value []byte) (err error) {
		r.record, err = decodeRecord(value)
		if len(r.record.inline) > 0 {
			r.keep(r.record.inline)
			r.record.inline = nil
		}
		return err
	})
	if err == nil && !found {
		err = mailbox.ErrNotFound
	}
	return err
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, r.err
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// WriteTo saves io.Copy a buffer and a copy.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		switch err := r.fill(); err {
		case nil:
		case io.EOF:
			return written, nil
		default:
			return written, err
		}
		n, err := w.Write(r.unread)
		r.unread = r.unread[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// fill makes sure that something is unread. After the last part it says io.EOF.
func (r *reader) fill() error {
	if len(r.unread) > 0 || r.err != nil {
		return r.err
	}
	if r.next == r.record.parts() {
		r.err = io.EOF
	} else if err := r.load(); err != nil {
		r.err = fmt.Errorf("embedded: read %s, part %d: %w", r.id, r.next, err)
	}
	return r.err
}

// load reads the next part.
func (r *reader) load() error {
	if err := r.store.enter(r.ctx); err != nil {
		return err
	}
	defer r.store.leave()
	size := r.record.partOctets(r.next)
	found, err := r.store.get(partKey(r.id, r.next), func(value []byte) error {
		if len(value) != size {
			return fmt.Errorf("%d octets instead of %d: %w", len(value), size, errCorrupt)
		}
		r.keep(value)
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("released while it was read: %w", mailbox.ErrNotFound)
	}
	if err == nil {
		r.next++
	}
	return err
}

// keep copies what is to be read next.
func (r *reader) keep(octets []byte) {
	if r.buf == nil || len(r.buf.octets) < len(octets) {
		if r.buf != nil {
			r.buf.free()
		}
		r.buf = takeBuffer(len(octets))
	}
	r.unread = r.buf.octets[:copy(r.buf.octets, octets)]
}

// Close frees the buffer.
func (r *reader) Close() error {
	if r.buf != nil {
		r.buf.free()
		r.buf, r.unread = nil, nil
	}
	r.err = errClosed
	return nil
}

var errClosed = errors.New("content is closed")

package embedded

import (
	"bytes"
	"context"
	"slices"
	"time"

	"restante/mailbox"
)

// again is what is known of a content before it is put. What is Repeatable may be put for
// other maildrops than the first time, because the address leads elsewhere by now: then
// those of both times need it, as the first may have listed it already.
func (c *contents) again(ctx context.Context, content mailbox.Content) (octets int64, known bool, err error) {
	if !content.Repeatable {
		was, known, err := c.record(ctx, content.ID)
		return was.octets, known, err
	}
	if err := c.store.enterWrite(ctx); err != nil {
		return 0, false, err
	}
	defer c.store.leaveWrite()
	c.releasing.Lock()
	defer c.releasing.Unlock()
	var was record
	known, err = c.store.get(contentKey(content.ID), func(value []byte) (err error) {
		was, err = decodeRecord(value)
		was.inline = bytes.Clone(was.inline)
		return err
	})
	if err != nil || !known {
		return 0, false, err
	}
	now, changed := was.with(content.Maildrops, content.Expires)
	if changed {
		err = c.widen(content.ID, was, now)
	}
	return was.octets, true, err
}

// widen replaces a commit record by one for more maildrops, or for longer. The caller
// holds releasing.
func (c *contents) widen(id mailbox.MessageID, was, now record) error {
	s := c.store
	if err := s.room.take(len(was.inline) + batchOverhead); err != nil {
		return err
	}
	b := s.batch(len(was.inline))
	if len(was.inline) > 0 { // that is for one maildrop only: a release writes the record without it
		b.set(partKey(id, 0), was.inline)
		now.partSize, now.inline = partSize, nil
	}
	if !now.expires.Equal(was.expires) {
		b.delete(contentExpiryKey(was.expires, id)) // it was not zero: there is nothing longer
		if !now.expires.IsZero() {
			b.set(contentExpiryKey(now.expires, id), nil)
		}
	}
	b.set(watchKey(id), nil) // some may never list it
	b.set(contentKey(id), appendRecord(nil, now))
	return s.commitUnsynced(b)
}

// with is the record for more maildrops, that expires no sooner than at a time, and
// whether that changes anything.
func (r record) with(drops []mailbox.MaildropID, expires time.Time) (record, bool) {
	all := sortedDrops(slices.Concat(r.drops, drops))
	if expires.IsZero() || r.expires.IsZero() {
		expires = time.Time{}
	} else if expires.Before(r.expires) {
		expires = r.expires
	}
	changed := len(all) > len(r.drops) || !expires.Equal(r.expires)
	r.drops, r.expires = all, expires
	return r, changed
}

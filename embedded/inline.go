package embedded

import "restante/mailbox"

// A short message for one temporary maildrop is put and listed at once. Its content is
// where others are, so that listings in memory are as small as ever; what it saves is a
// batch, and the keys by which contents are watched and expire.

// putIn adds to a batch the content of a message that is listed with it. It needs no
// watch, and no expiry of its own: it goes with the line.
func (c *contents) putIn(b *batch, drop mailbox.MaildropID, m mailbox.Message) {
	r := record{octets: int64(len(m.Inline)), drops: []mailbox.MaildropID{drop}, inline: []byte(m.Inline)}
	b.set(contentKey(m.ID), appendRecord(make([]byte, 0, len(r.inline)+batchOverhead), r))
}

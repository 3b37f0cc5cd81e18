package mailbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Deliveries brings messages into maildrops and takes them out again: content
// before listing on the way in, listing before content on the way out, so that
// whatever is listed can be read.
type Deliveries struct {
	Contents Contents
	Project  Listener       // the delivery listener; its failure fails the delivery
	Announce *Announcements // may be nil
	IDs      *MessageIDs
	Log      *slog.Logger
}

// How long Deliver may take to withdraw a message it could not list.
const withdrawTimeout = 5 * time.Second

// Deliver stores content once and lists it in the maildrop of every recipient.
// When it returns nil the message is durable and visible to the next login. When
// it fails, the client keeps the message and tries again; the content may then
// have been delivered to some recipients already, which is the one case in which
// a message arrives twice.
func (d *Deliveries) Deliver(ctx context.Context, env Envelope, content io.Reader) (Message, error) {
	entries := make([]Entry, 0, len(env.Recipients))
	c := Content{ID: d.IDs.Next(), Maildrops: make([]MaildropID, 0, len(env.Recipients))}
	known := make(map[MaildropID]bool, len(env.Recipients))
	for i, r := range env.Recipients {
		if known[r.Maildrop] {
			continue
		}
		known[r.Maildrop] = true
		c.Maildrops = append(c.Maildrops, r.Maildrop)
		entries = append(entries, Entry{r.Maildrop, Message{ID: c.ID, Expires: r.Expires}})
		switch {
		case i == 0:
			c.Expires = r.Expires
		case r.Expires.IsZero() || c.Expires.IsZero():
			c.Expires = time.Time{}
		case r.Expires.After(c.Expires):
			c.Expires = r.Expires
		}
	}
	if len(entries) == 0 {
		return Message{}, fmt.Errorf("deliver: no recipients: %w", ErrNotFound)
	}

	octets, err := d.Contents.Put(ctx, c, content)
	if err != nil {
		return Message{}, fmt.Errorf("store content of %s: %w", c.ID, err)
	}
	for i := range entries {
		entries[i].Message.Octets, entries[i].Message.Recipients = octets, len(entries)
	}
	ev := Delivered{Entries: entries}
	if err := d.Project.Handle(ctx, ev); err != nil {
		d.withdraw(ctx, entries)
		return Message{}, fmt.Errorf("list %s: %w", c.ID, err)
	}
	if d.Announce != nil {
		d.Announce.Announce(ev)
	}
	return Message{ID: c.ID, Octets: octets, Expires: c.Expires, Recipients: len(entries)}, nil
}

// withdraw takes back a message whose listing failed, so that the repeat does
// not arrive beside it. Nobody was promised the message, and no listener hears
// of it. A line that cannot be removed keeps its content.
func (d *Deliveries) withdraw(ctx context.Context, entries []Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	for _, e := range entries {
		if err := d.remove(ctx, Expunged{Maildrop: e.Maildrop, Messages: []Message{e.Message}}); err != nil {
			d.Log.Warn("message refused but perhaps listed", "maildrop", e.Maildrop, "message", e.Message.ID, "err", err)
		}
	}
}

// Expunge removes messages from a maildrop for ever. When it fails, any of them
// may still be listed, and those that are can be read.
func (d *Deliveries) Expunge(ctx context.Context, drop MaildropID, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	ev := Expunged{Maildrop: drop, Messages: messages}
	if err := d.remove(ctx, ev); err != nil {
		return err
	}
	if d.Announce != nil {
		d.Announce.Announce(ev)
	}
	return nil
}

// remove takes messages off the listing and lets go of their content.
func (d *Deliveries) remove(ctx context.Context, ev Expunged) error {
	if err := d.Project.Handle(ctx, ev); err != nil {
		return fmt.Errorf("remove %d messages: %w", len(ev.Messages), err)
	}
	// The messages are gone for every reader; content left behind is swept.
	if err := d.Contents.Release(ctx, ev.Maildrop, ev.Messages...); err != nil {
		d.Log.Warn("content left to the sweep", "maildrop", ev.Maildrop, "messages", len(ev.Messages), "err", err)
	}
	return nil
}

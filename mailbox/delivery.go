package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
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

	// MaxInline is how many octets a content for one maildrop that stays may have, to be
	// listed with the message: for stores that it spares a write. Zero: none is.
	MaxInline int

	mu          sync.Mutex
	toWithdraw  []Entry // lines that may be listed although their delivery failed
	withdrawing bool    // Withdraw runs
}

// DeliverTimeout is how long a delivery may take, from the first octet of its
// content to its listing: whoever sweeps takes a content for orphaned that is older
// and listed nowhere.
const DeliverTimeout = 45 * time.Minute

const (
	// How long Deliver may take to withdraw a message it could not list.
	withdrawTimeout = 5 * time.Second
	// How often Withdraw tries again.
	withdrawInterval = time.Second
	// How many lines Withdraw remembers.
	withdrawMost = 10_000
	// How many lines may fail at a time before Withdraw rests.
	withdrawFailures = 100
)

// Deliver stores content once and lists it in the maildrop of every recipient.
// When it returns nil the message is durable and visible to the next login. When
// it fails, the client keeps the message and tries again; the content may then
// have been delivered to some recipients already, which is the one case in which
// a message arrives twice. It fails after DeliverTimeout, however slowly the content
// is handed over.
func (d *Deliveries) Deliver(ctx context.Context, env Envelope, content io.Reader) (Message, error) {
	if d.MaxInline > 0 && len(env.Recipients) == 1 && stays(env.Recipients[0]) {
		ctx, cancel := context.WithTimeoutCause(ctx, DeliverTimeout, errTooSlow)
		defer cancel()
		begin, err := io.ReadAll(io.LimitReader(within{ctx, content}, int64(d.MaxInline)+1))
		if err != nil {
			return Message{}, fmt.Errorf("read content: %w", err)
		}
		if n := len(begin); n > 0 && n <= d.MaxInline {
			return d.deliverInline(ctx, env.Recipients[0], begin)
		}
		content = io.MultiReader(bytes.NewReader(begin), content)
	}
	m, entries, err := d.deliver(ctx, Content{ID: d.IDs.Next()}, env, content)
	if err != nil {
		d.withdraw(ctx, entries)
	}
	return m, err
}

// DeliverShort is Deliver of content that is at hand to one recipient. Where the
// maildrop is temporary and the content no longer than MaxInline, it is listed with the
// message: the store is written to once, and not twice in turn.
func (d *Deliveries) DeliverShort(ctx context.Context, to Recipient, content []byte) (Message, error) {
	if len(content) == 0 || len(content) > MaxInline || !to.Maildrop.Temporary() {
		return d.Deliver(ctx, Envelope{Recipients: []Recipient{to}}, bytes.NewReader(content))
	}
	return d.deliverInline(ctx, to, content)
}

// within reads until its context ends.
type within struct {
	ctx context.Context
	io.Reader
}

func (w within) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(w.ctx))
	}
	return w.Reader.Read(p)
}

// stays reports whether what a recipient gets is kept until it is removed.
func stays(to Recipient) bool { return !to.Maildrop.Temporary() && to.Expires.IsZero() }

// deliverInline delivers a content that is listed with the message.
func (d *Deliveries) deliverInline(ctx context.Context, to Recipient, content []byte) (Message, error) {
	m := Message{ID: d.IDs.Next(), Octets: int64(len(content)), Expires: to.Expires, Recipients: 1}
	entries := []Entry{{to.Maildrop, m}}
	entries[0].Message.Inline = string(content)
	if err := d.list(ctx, Delivered{Entries: entries, Recipients: []Recipient{to}}); err != nil {
		d.withdraw(ctx, entries)
		return Message{}, err
	}
	return m, nil
}

// DeliverAs is Deliver of a message whose id the caller made up, so that a repeat is
// the same message, if perhaps in other words. It may be repeated whatever became of it,
// and one that failed has to be: nothing is withdrawn, because the removal would beat the
// repeat. Who has removed the message may find it again. The id is not much older than
// the delivery, or a sweep takes the content for orphaned.
func (d *Deliveries) DeliverAs(ctx context.Context, id MessageID, env Envelope, content io.Reader) (Message, error) {
	m, _, err := d.deliver(ctx, Content{ID: id, Repeatable: true}, env, content)
	return m, err
}

// deliver delivers a content of which all is known but who it is for. Where it fails, the
// entries that it returns may be listed.
func (d *Deliveries) deliver(ctx context.Context, c Content, env Envelope, content io.Reader) (Message, []Entry, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, DeliverTimeout, errTooSlow)
	defer cancel()
	entries, recipients := make([]Entry, 0, len(env.Recipients)), make([]Recipient, 0, len(env.Recipients))
	c.Maildrops = make([]MaildropID, 0, len(env.Recipients))
	known := make(map[MaildropID]bool, len(env.Recipients))
	for i, r := range env.Recipients {
		if known[r.Maildrop] {
			continue
		}
		known[r.Maildrop] = true
		c.Maildrops = append(c.Maildrops, r.Maildrop)
		entries = append(entries, Entry{r.Maildrop, Message{ID: c.ID, Expires: r.Expires}})
		recipients = append(recipients, r)
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
		return Message{}, nil, fmt.Errorf("deliver: no recipients: %w", ErrNotFound)
	}

	octets, err := d.Contents.Put(ctx, c, within{ctx, content})
	if ctx.Err() != nil && context.Cause(ctx) == errTooSlow {
		err = errors.Join(errTooSlow, err) // also where the store has not noticed
	}
	if err != nil {
		return Message{}, nil, fmt.Errorf("store content of %s: %w", c.ID, err)
	}
	for i := range entries {
		entries[i].Message.Octets, entries[i].Message.Recipients = octets, len(entries)
	}
	if err := d.list(ctx, Delivered{Entries: entries, Recipients: recipients}); err != nil {
		return Message{}, entries, err
	}
	return Message{ID: c.ID, Octets: octets, Expires: c.Expires, Recipients: len(entries)}, entries, nil
}

// list makes a message visible whose content is there or Inline.
func (d *Deliveries) list(ctx context.Context, ev Delivered) error {
	err := d.Project.Handle(ctx, ev)
	for i := range ev.Entries {
		ev.Entries[i].Message.Inline = "" // which is no use to those who hear of it or withdraw it
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", ev.Entries[0].Message.ID, err)
	}
	if d.Announce != nil {
		d.Announce.Announce(ev)
	}
	return nil
}

var errTooSlow = fmt.Errorf("content took longer than %v: %w", DeliverTimeout, ErrUnavailable)

// withdraw takes back a message whose listing failed, so that the repeat does
// not arrive beside it. Nobody was promised the message, and no listener hears
// of it. A line that cannot be removed keeps its content.
func (d *Deliveries) withdraw(ctx context.Context, entries []Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	for _, e := range entries {
		if err := d.remove(ctx, Expunged{Maildrop: e.Maildrop, Messages: []Message{e.Message}}); err != nil {
			kept := d.withdrawLater(e)
			d.Log.Warn("message refused but perhaps listed", "maildrop", e.Maildrop, "message", e.Message.ID, "again", kept, "err", err)
		}
	}
}

// withdrawLater leaves a line to Withdraw, if that runs and has room for it.
func (d *Deliveries) withdrawLater(e Entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.withdrawing || len(d.toWithdraw) >= withdrawMost {
		return false
	}
	d.toWithdraw = append(d.toWithdraw, e)
	return true
}

// Withdraw takes back, until the context ends, what Deliver could not: the store
// that failed to list a message is often still away when it is to be withdrawn. The
// sender tries again in minutes, and finds it gone if the store is back before.
func (d *Deliveries) Withdraw(ctx context.Context) {
	d.mu.Lock()
	d.withdrawing = true
	d.mu.Unlock()
	tick := time.NewTicker(withdrawInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.withdrawPending(ctx)
		case <-ctx.Done():
			d.mu.Lock()
			defer d.mu.Unlock()
			d.withdrawing = false
			if left := len(d.toWithdraw); left > 0 {
				d.Log.Warn("messages refused but perhaps listed are left", "messages", left)
			}
			return
		}
	}
}

// withdrawPending tries each line once, until too many have failed. Those that fail go
// behind the others, so that none of them is in the way.
func (d *Deliveries) withdrawPending(ctx context.Context) {
	d.mu.Lock()
	pending := len(d.toWithdraw)
	d.mu.Unlock()
	for failed := 0; pending > 0 && failed < withdrawFailures && ctx.Err() == nil; pending-- {
		d.mu.Lock()
		e := d.toWithdraw[0]
		d.mu.Unlock()

		try, cancel := context.WithTimeout(ctx, withdrawTimeout)
		err := d.remove(try, Expunged{Maildrop: e.Maildrop, Messages: []Message{e.Message}})
		cancel()
		d.mu.Lock()
		d.toWithdraw = d.toWithdraw[1:]
		if err != nil {
			failed++
			d.toWithdraw = append(d.toWithdraw, e)
		}
		d.mu.Unlock()
		if err == nil {
			d.Log.Info("refused message withdrawn", "maildrop", e.Maildrop, "message", e.Message.ID)
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

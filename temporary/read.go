package temporary

import (
	"context"
	"fmt"
	"io"

	"restante/mailbox"
)

// Get is the mailbox of an address. It counts as a use of it. It fails with
// mailbox.ErrNotFound where the address is unknown, expired or not temporary.
func (m *Mailboxes) Get(ctx context.Context, a mailbox.Address) (Mailbox, error) {
	mb, err := m.lookup(ctx, a)
	if err != nil {
		return Mailbox{}, fmt.Errorf("temporary: get: %w", err)
	}
	m.living.use(mb.Maildrop)
	return mb, nil
}

func (m *Mailboxes) lookup(ctx context.Context, a mailbox.Address) (Mailbox, error) {
	if !m.isTemporary(a) {
		return Mailbox{}, fmt.Errorf("%s: %w", a, mailbox.ErrNotFound)
	}
	route, err := m.options.Directory.Find(ctx, a)
	if err != nil {
		return Mailbox{}, err
	}
	if route.Kind != mailbox.Temporary {
		return Mailbox{}, fmt.Errorf("%s is not temporary: %w", a, mailbox.ErrNotFound)
	}
	return mailboxOf(a, route), nil
}

func mailboxOf(a mailbox.Address, r mailbox.Route) Mailbox {
	return Mailbox{Address: a, Maildrop: r.Maildrop, Created: r.Created, Expires: r.Expires}
}

// resident is what the population knows of the mailbox.
func (mb Mailbox) resident() resident {
	return resident{address: mb.Address, maildrop: mb.Maildrop, expires: mb.Expires}
}

// Newest is [mailbox.Maildrops.Newest] of what the mailbox shows.
func (m *Mailboxes) Newest(ctx context.Context, mb Mailbox, before mailbox.MessageID, n int) ([]mailbox.Message, error) {
	return m.shown.Newest(ctx, mb.Maildrop, before, n)
}

// Message is a message that the mailbox shows. It fails with mailbox.ErrNotFound where
// it shows none with that id: one that is hidden, removed or in another mailbox.
func (m *Mailboxes) Message(ctx context.Context, mb Mailbox, id mailbox.MessageID) (mailbox.Message, error) {
	list, err := m.shown.List(ctx, mb.Maildrop)
	if err != nil {
		return mailbox.Message{}, err
	}
	for _, message := range list {
		if message.ID == id {
			return message, nil
		}
	}
	return mailbox.Message{}, fmt.Errorf("temporary: message %s in %s: %w", id, mb.Address, mailbox.ErrNotFound)
}

// Open is [mailbox.Contents.Open]. Only the message of a listing is safe to show: the
// id alone opens what is in any mailbox.
func (m *Mailboxes) Open(ctx context.Context, message mailbox.Message) (io.ReadCloser, error) {
	return m.options.Contents.Open(ctx, message)
}

// Deliver puts a message into the mailbox, as mail that comes by SMTP is. It expires
// with the mailbox. It fails with mailbox.ErrNotFound where the mailbox has expired,
// and as [mailbox.Deliveries.Deliver] does.
func (m *Mailboxes) Deliver(ctx context.Context, mb Mailbox, r io.Reader) (mailbox.Message, error) {
	if !m.options.Now().Before(mb.Expires) {
		return mailbox.Message{}, fmt.Errorf("temporary: deliver to %s, expired: %w", mb.Address, mailbox.ErrNotFound)
	}
	return m.options.Deliveries.Deliver(ctx, mailbox.Envelope{Recipients: []mailbox.Recipient{
		{Address: mb.Address, Maildrop: mb.Maildrop, Expires: mb.Expires},
	}}, r)
}

// Expunge removes a message of the mailbox for ever.
func (m *Mailboxes) Expunge(ctx context.Context, mb Mailbox, message mailbox.Message) error {
	return m.options.Deliveries.Expunge(ctx, mb.Maildrop, message)
}

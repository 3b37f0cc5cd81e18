package pop3

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"

	"restante/auth"
	"restante/mailbox"
)

// A Backend checks who is there and opens the maildrop. Login fails with
// auth.ErrCredentials, also for an address that has expired, or with
// mailbox.ErrUnavailable.
type Backend interface {
	Login(ctx context.Context, a auth.Attempt) (Maildrop, error)
}

// A Maildrop is what one session sees. It is used by one goroutine.
type Maildrop interface {
	// ID names the maildrop in the log.
	ID() mailbox.MaildropID

	// List stays the same until the session ends: message-number n is
	// List()[n-1]. Mail that arrives meanwhile is for the next session.
	List() []mailbox.Message

	// Open is the content of a message from its first octet, in CRLF lines. The
	// context covers the reading too. The caller closes the reader. A content
	// that is not found is a failure that may pass.
	Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error)

	// Update removes what DELE marked. QUIT in the TRANSACTION state calls it
	// once, with at least one message; a session that ends otherwise does not.
	// When it fails, any of the messages may have been removed, and no other.
	Update(ctx context.Context, marked []mailbox.Message) error

	// Close frees what the session held and removes nothing.
	Close() error
}

// An Expunger removes messages from a maildrop for ever; [mailbox.Deliveries]
// is one.
type Expunger interface {
	Expunge(ctx context.Context, drop mailbox.MaildropID, messages ...mailbox.Message) error
}

// BackendOptions say what a Backend stands on.
type BackendOptions struct {
	Verifier   auth.Verifier
	Maildrops  mailbox.Maildrops
	Contents   mailbox.Contents
	Deliveries Expunger

	// ReadAhead is how many octets all sessions together may have read before a
	// client asks for them. Zero, for a store that is not far away, is none.
	ReadAhead int64
}

// NewBackend serves the maildrops of a store to those whom the verifier lets in.
func NewBackend(o BackendOptions) Backend {
	b := &backend{BackendOptions: o}
	if o.ReadAhead > 0 {
		b.ahead = semaphore.NewWeighted(o.ReadAhead)
	}
	return b
}

type backend struct {
	BackendOptions
	ahead *semaphore.Weighted // nil: no reading ahead
}

func (b *backend) Login(ctx context.Context, a auth.Attempt) (Maildrop, error) {
	who, err := b.Verifier.Verify(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	messages, err := b.Maildrops.List(ctx, who.Maildrop)
	if err != nil {
		return nil, fmt.Errorf("list maildrop %s: %w", who.Maildrop, err)
	}
	d := &maildrop{backend: b, id: who.Maildrop, messages: messages, open: b.Contents.Open}
	if b.ahead != nil {
		d.ahead = newReadAhead(b.Contents, messages, b.ahead)
		d.open = d.ahead.open
	}
	return d, nil
}

// A maildrop is a frozen view: no lock, as other sessions change what is stored
// and not what was listed.
type maildrop struct {
	backend  *backend
	id       mailbox.MaildropID
	messages []mailbox.Message
	open     func(ctx context.Context, m mailbox.Message) (io.ReadCloser, error)
	ahead    *readAhead // may be nil
}

func (d *maildrop) ID() mailbox.MaildropID  { return d.id }
func (d *maildrop) List() []mailbox.Message { return d.messages }

func (d *maildrop) Close() error {
	if d.ahead != nil {
		d.ahead.close()
	}
	return nil
}

// Open leaves a message alone whose content is not found: it may have been
// removed by another session, or may not have arrived here yet. A reader that
// took it off the listing would lose mail.
func (d *maildrop) Open(ctx context.Context, m mailbox.Message) (io.ReadCloser, error) {
	r, err := d.open(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("open message %s: %w", m.ID, err)
	}
	return r, nil
}

func (d *maildrop) Update(ctx context.Context, marked []mailbox.Message) error {
	return d.backend.Deliveries.Expunge(ctx, d.id, marked...)
}

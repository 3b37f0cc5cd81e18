package mailbox

import (
	"context"
	"io"
	"iter"
	"time"
)

// The seams. A store implements all three; package mailboxtest holds the
// suites that say whether it keeps the promises written here. Every method is
// safe for concurrent use, obeys the deadline of its context, and fails with
// ErrUnavailable where trying again may help.

// A Content says what Put needs to know of a message beside its octets.
type Content struct {
	ID        MessageID
	Maildrops []MaildropID // everyone it was accepted for
	Expires   time.Time    // zero: kept until everyone released it

	// Repeatable says that the message may be put and listed again, with other octets
	// and whatever became of it before, and that a Put that fails is followed by another.
	Repeatable bool
}

// Contents keeps what messages consist of: written once and, unless it is Repeatable,
// never changed, read as a stream. Lines end in CRLF and are not dot-stuffed.
type Contents interface {
	// Put reads r to its end and returns the number of octets. When it returns
	// nil, the content can be opened, and it is durable no later than the first
	// Add of its message that succeeds. When it fails, also by an error of r,
	// nothing can be opened. Putting the same id again is harmless.
	// It fails with ErrFull where there is no room.
	//
	// What is Repeatable can be opened when Put returns nil, also after a Put that failed
	// and after everyone released it: the octets of one Put, as many as the last one
	// returned. What can be opened after one that fails is not said. A repeat may be for
	// more maildrops, and then the content stays until each of them has released it.
	Put(ctx context.Context, c Content, r io.Reader) (octets int64, err error)

	// Open is the content of a message from its first octet: what is Inline, where
	// anything is, then what was listed with it, which the place says, and otherwise
	// what was put. Of that the id is enough; what else is known of the message may spare
	// a look. The reader fails rather than end early.
	// Open fails with ErrNotFound only if no data centre has the content. The caller
	// closes the reader.
	Open(ctx context.Context, m Message) (io.ReadCloser, error)

	// Release says that the maildrop no longer needs the contents. The last
	// maildrop of a content to do so removes it, perhaps a while after Release
	// returned; a content that expires may stay until then. The ids are enough,
	// except that Recipients says of a message for one maildrop that nobody else
	// needs to be asked. Repeating a release, and releasing what is not there, is
	// harmless.
	Release(ctx context.Context, drop MaildropID, messages ...Message) error
}

// Maildrops is the projection that POP3 logs in to, and the truth about what a
// maildrop holds. Additions and removals may be repeated and may arrive in any
// order: once an entry was given to Add, a removal of its message beats every
// repeat of that Add, late ones too.
type Maildrops interface {
	// Add lists messages. A store that has places gives one to each entry that
	// has none, before it writes anything and also when it then fails: an Add is
	// repeated with the same entries, and an entry without a place is new. When
	// Add returns nil every entry is durable and in the next List of its
	// maildrop. When it fails, any of them may be.
	//
	// What is Inline, of a message for one maildrop, was not put, and is kept with the
	// line: from then on, Contents opens what List and Newest return, for as long as it
	// is listed. They return it with the message, or leave it out where Contents has it
	// by the id or the place. In a maildrop that is not temporary a message with such a
	// content does not expire.
	Add(ctx context.Context, entries []Entry) error

	// Remove takes messages off the listing: one with a place without searching
	// for it, any other by its id, if it is listed. When it fails, any of them
	// may have been removed. Removing what is not there is harmless.
	Remove(ctx context.Context, drop MaildropID, messages ...Message) error

	// List returns the messages in the order of their ids, those that have
	// expired left out. A maildrop that nothing was added to is empty. The cost
	// does not depend on how many messages were removed before. The caller must
	// not change the slice.
	List(ctx context.Context, drop MaildropID) ([]Message, error)

	// Newest returns the newest n messages of the listing whose ids are below before,
	// newest first; the zero id is no bound. There need not be a message with the
	// id, so that a page that ended with it can be followed by the next when it has
	// been removed. The caller may change the slice.
	Newest(ctx context.Context, drop MaildropID, before MessageID, n int) ([]Message, error)
}

// A Kind says what an address leads to.
type Kind uint8

const (
	// Vacant: removed. The row stays, because it remembers the life number.
	Vacant Kind = iota
	// Account: a maildrop with a password.
	Account
	// Alias: other addresses.
	Alias
	// Temporary: a maildrop that ends at a time set when it was made.
	Temporary
)

func (k Kind) String() string {
	switch k {
	case Vacant:
		return "vacant"
	case Account:
		return "account"
	case Alias:
		return "alias"
	case Temporary:
		return "temporary"
	}
	return "unknown"
}

// A Route is where an address leads.
type Route struct {
	Kind     Kind
	Life     uint32     // how many times the address was created
	Maildrop MaildropID // of an account or a temporary address
	Targets  []Address  // of an alias
	Secret   string     // password hash in PHC form; empty: nobody can log in
	Created  time.Time
	Expires  time.Time // zero: never; of a vacant address, when it was removed
}

// A Row is an address with its route.
type Row struct {
	Address Address
	Route   Route
}

// Live reports whether the route leads anywhere at a time.
func (r Route) Live(at time.Time) bool {
	return r.Kind != Vacant && (r.Expires.IsZero() || at.Before(r.Expires))
}

// Addresses maps addresses to routes. Each row is a register: it is written as
// a whole and the last writer wins. [Directory] gives it meaning.
type Addresses interface {
	// Lookup fails with ErrNotFound only if no data centre knows the address.
	// It returns vacant and expired rows too.
	Lookup(ctx context.Context, a Address) (Route, error)

	// Put replaces the route of an address. When it returns nil the route is
	// durable and the next Lookup sees it.
	Put(ctx context.Context, a Address, r Route) error

	// List goes through every row of a domain in an order of the store's own,
	// for administration. After an error the sequence ends.
	List(ctx context.Context, domain string) iter.Seq2[Row, error]
}

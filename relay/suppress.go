package relay

import (
	"context"
	"iter"
	"time"

	"restante/mailbox"
)

// SuppressedFor is how long a recipient that does not exist gets no more mail of an
// account. Whoever sends to such addresses again and again is taken for a sender of
// spam by those who serve them.
const SuppressedFor = 30 * 24 * time.Hour

// A Suppression is an address that an account does not reach.
type Suppression struct {
	Address mailbox.Address // canonical
	Since   time.Time
	Until   time.Time
	Outcome Outcome // what was said
}

// Suppressions are the lists of recipients that do not exist, one for each account.
// What an account sends them is not tried. Every method is safe for concurrent use, obeys
// the deadline of its context, and fails with mailbox.ErrUnavailable where trying again
// may help. The times are kept to a millisecond.
type Suppressions interface {
	// Suppress puts an address on the list of an account, or replaces what was there.
	Suppress(ctx context.Context, account mailbox.Address, s Suppression) error

	// Suppressed are those of the addresses that are on the list of the account at a
	// time, in no order, each once.
	Suppressed(ctx context.Context, account mailbox.Address, at time.Time, addresses []mailbox.Address) ([]Suppression, error)

	// List goes through the list of an account as it is at a time, in no order. After an
	// error the sequence ends.
	List(ctx context.Context, account mailbox.Address, at time.Time) iter.Seq2[Suppression, error]

	// Allow takes an address off the list. One that is not there is harmless.
	Allow(ctx context.Context, account, address mailbox.Address) error
}

// NoSuchMailbox reports whether the reply says that the recipient does not exist, rather
// than that this mail is not wanted there. Only an enhanced status code tells them apart,
// and not one that leaves it open, such as 5.1.0 (RFC 3463, section 3.2).
func (o Outcome) NoSuchMailbox() bool {
	if o.Result != BadRecipient {
		return false
	}
	switch o.Enhanced {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", // no such mailbox, host or syntax; moved
		"5.1.10": // a host that takes no mail (RFC 7505, section 4.2)
		return true
	}
	return false
}

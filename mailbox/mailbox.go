// Package mailbox is the domain of Restante: addresses, envelopes, messages,
// the seams that a store fills in, and the two things that happen to a
// maildrop, a delivery and an expunge.
//
// A *mailbox* is what an SMTP address names (RFC 5321, section 2.3.11); a
// *maildrop* is what a POP3 session lists (RFC 1939, section 2). An address
// leads to a maildrop by its [Route].
//
// The package knows neither a protocol nor a database. Its stores keep two
// rules that make lightweight transactions unnecessary: content is immutable,
// committed no later than it is listed and released after it is unlisted; and a
// removal beats an addition of the same message, in whichever order the two
// arrive.
package mailbox

import "errors"

// The kinds of failure that callers tell apart. Stores wrap them, and a
// protocol package translates them into its own replies; everything else is an
// internal error.
var (
	// ErrNotFound: there is no such address, message or content.
	ErrNotFound = errors.New("not found")
	// ErrExists: the address is taken.
	ErrExists = errors.New("address exists")
	// ErrNotLocal: the domain of the address is not served here.
	ErrNotLocal = errors.New("domain is not local")
	// ErrAddress: the text is not an address.
	ErrAddress = errors.New("malformed address")
	// ErrTooFar: an alias leads to more than is followed. None of it gets the mail.
	ErrTooFar = errors.New("alias leads too far")
	// ErrUnavailable: the store cannot answer now; trying again may help.
	ErrUnavailable = errors.New("storage unavailable")
	// ErrFull: the store has no room for more; it still answers readers.
	ErrFull = errors.New("storage full")
)

// Package auth decides who may log in: it checks passwords against the hash of
// an address, slowly enough for a thief of hashes and quickly enough for a POP3
// client that logs in every minute, and slows down whoever guesses.
package auth

import (
	"context"
	"errors"
	"net/netip"

	"restante/mailbox"
)

// ErrCredentials is the one answer to an unknown user, a wrong password and a
// throttled attempt: a difference would tell a guesser which it was.
var ErrCredentials = errors.New("wrong user name or password")

// An Attempt is what a client sent to log in.
type Attempt struct {
	User     string // an address, or a local-part of the default domain
	Password string
	Remote   netip.Addr // where it comes from
}

// An Identity is who logged in.
type Identity struct {
	Address  mailbox.Address
	Maildrop mailbox.MaildropID
}

// A Verifier checks an attempt. It fails with ErrCredentials or with
// mailbox.ErrUnavailable.
type Verifier interface {
	Verify(ctx context.Context, a Attempt) (Identity, error)
}

// Package mailboxtest says what package mailbox expects of a store, as tests
// that every store runs: one suite for each seam, one for messages that are listed
// with their content, a model that compares random histories with plain maps, and a
// wrapper that makes any call of a store fail.
//
// The suites use maildrops, message ids and domains of their own, freshly made,
// so that a store may be shared between them and need not be empty.
//
//	func TestMaildrops(t *testing.T) {
//		mailboxtest.Maildrops(t, func(t *testing.T) mailbox.Maildrops {
//			return open(t).Maildrops()
//		})
//	}
//
// A store with several nodes may be opened as one that sends each call to
// another node: every promise holds there too.
package mailboxtest

import (
	"log/slog"

	"restante/mailbox"
)

// Stores is a store: the three seams on the same data.
type Stores struct {
	Contents  mailbox.Contents
	Maildrops mailbox.Maildrops
	Addresses mailbox.Addresses
}

// Deliveries is the way in and out of these stores, without announcements.
func (s Stores) Deliveries() *mailbox.Deliveries {
	return &mailbox.Deliveries{
		Contents: s.Contents,
		Project:  mailbox.Projector{Maildrops: s.Maildrops},
		IDs:      new(mailbox.MessageIDs),
		Log:      slog.New(slog.DiscardHandler),
	}
}

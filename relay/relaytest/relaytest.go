// Package relaytest says what package relay expects of a store, as tests that every
// store runs, and has a store in memory whose calls can be made to fail.
//
// The suites use lanes, segments and messages of their own, freshly made, so that a
// store may be shared between them and need not be empty.
package relaytest

import (
	"cmp"
	"testing"

	"restante/mailbox"
	"restante/relay"
)

// Options fit the suites to a store that is slow. The zero value suits a store on one
// machine; each suite is a method of it and, with that zero value, a function.
type Options struct {
	// Many is how many events a large segment has: 2,000 unless set.
	Many int

	// Writers is how many goroutines use the store at once: 8 unless set.
	Writers int
}

func (o Options) withDefaults() Options {
	o.Many = cmp.Or(o.Many, 2000)
	o.Writers = cmp.Or(o.Writers, 8)
	return o
}

// Journal checks that a store keeps the promises of relay.Journal, and beside it those
// of mailbox.Contents for what is on its way out. It calls open once.
func Journal(t *testing.T, open func(t *testing.T) (relay.Journal, mailbox.Contents)) {
	Options{}.Journal(t, open)
}

// Lanes checks that a store keeps the promises of relay.Lanes. It calls open once, for
// two processes of one data centre; they may be the same.
func Lanes(t *testing.T, open func(t *testing.T) (a, b relay.Lanes)) { Options{}.Lanes(t, open) }

package mailboxtest

import (
	"cmp"
	"testing"
	"time"

	"restante/mailbox"
)

// Options fit the suites to a store that is slow or needs time to forget. The
// zero value suits a store on one machine; each suite is a method of it and,
// with that zero value, a function.
type Options struct {
	// Settle is how long the store may take to let go: of content that the last
	// maildrop released, and of a message that expired. What was written is
	// asked for at once, whatever this says. Zero means no time at all.
	Settle time.Duration

	// Lifetime is how long a message that expires during a test lives: 2 s
	// unless set. A store that counts in whole seconds needs that much.
	Lifetime time.Duration

	// Large is the size of the largest content in octets: 5 MiB unless set.
	Large int

	// Many is how many messages or addresses the cases about many use: 2,000
	// unless set.
	Many int

	// Writers is how many goroutines use the store at once: 8 unless set. With
	// one, the model does one thing after the other, so that what fails fails
	// each time.
	Writers int

	// Steps is the greatest number of calls in a history that the model makes
	// up: 100 unless set. Their number on average is the flag -rapid.steps, and
	// the number of histories the flag -rapid.checks.
	Steps int
}

func (o Options) withDefaults() Options {
	o.Lifetime = cmp.Or(o.Lifetime, 2*time.Second)
	o.Large = cmp.Or(o.Large, 5<<20)
	o.Many = cmp.Or(o.Many, 2000)
	o.Writers = cmp.Or(o.Writers, 8)
	o.Steps = cmp.Or(o.Steps, 100)
	return o
}

// Contents checks that a store keeps the promises of mailbox.Contents. It
// calls open once.
func Contents(t *testing.T, open func(t *testing.T) mailbox.Contents) { Options{}.Contents(t, open) }

// Maildrops checks that a store keeps the promises of mailbox.Maildrops. It
// calls open once.
func Maildrops(t *testing.T, open func(t *testing.T) mailbox.Maildrops) {
	Options{}.Maildrops(t, open)
}

// Addresses checks that a store keeps the promises of mailbox.Addresses. It
// calls open once.
func Addresses(t *testing.T, open func(t *testing.T) mailbox.Addresses) {
	Options{}.Addresses(t, open)
}

// Model compares random histories of a store with plain maps. It calls open
// once.
func Model(t *testing.T, open func(t *testing.T) Stores) { Options{}.Model(t, open) }

package mailboxtest_test

import (
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

// quick are the options for stores that cost next to nothing.
var quick = mailboxtest.Options{Lifetime: 50 * time.Millisecond, Large: 1 << 20, Many: 500}

// suites runs every suite on a store.
func suites(t *testing.T, stores mailboxtest.Stores) {
	t.Run("Contents", func(t *testing.T) {
		quick.Contents(t, func(*testing.T) mailbox.Contents { return stores.Contents })
	})
	t.Run("Maildrops", func(t *testing.T) {
		quick.Maildrops(t, func(*testing.T) mailbox.Maildrops { return stores.Maildrops })
	})
	t.Run("Inline", func(t *testing.T) {
		quick.Inline(t, func(*testing.T) mailboxtest.Stores { return stores })
	})
	t.Run("Addresses", func(t *testing.T) {
		quick.Addresses(t, func(*testing.T) mailbox.Addresses { return stores.Addresses })
	})
	t.Run("Model", func(t *testing.T) {
		quick.Model(t, func(*testing.T) mailboxtest.Stores { return stores })
	})
}

func TestMemoryPassesEverySuite(t *testing.T) {
	suites(t, mailboxtest.Memory())
}

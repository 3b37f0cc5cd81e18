package cassandra

import (
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/pool/pooltest"
	"restante/relay/relaytest"
)

// promises are what package mailbox expects of this store. Contents go a while after
// they were released.
var promises = mailboxtest.Options{Settle: 10 * time.Second}

func TestContents(t *testing.T) {
	promises.Contents(t, func(t *testing.T) mailbox.Contents { return newStore(t).Contents() })
}

func TestAddresses(t *testing.T) {
	promises.Addresses(t, func(t *testing.T) mailbox.Addresses { return newStore(t).Addresses() })
}

func TestJournal(t *testing.T) {
	t.Parallel()
	relaytest.Journal(t, func(t *testing.T) (relay.Journal, mailbox.Contents) {
		s := newStore(t)
		return s.Journal(), s.Contents()
	})
}

func TestLanes(t *testing.T) {
	t.Parallel()
	relaytest.Lanes(t, func(t *testing.T) (a, b relay.Lanes) { return newStore(t).Lanes(), newStore(t).Lanes() })
}

func TestShared(t *testing.T) {
	t.Parallel()
	pooltest.Shared(t, func(t *testing.T) pool.Shared { return newStore(t).Shared() })
}

func TestSuppressions(t *testing.T) {
	t.Parallel()
	relaytest.Suppressions(t, func(t *testing.T) relay.Suppressions { return newStore(t).Suppressions() })
}

package relaytest_test

import (
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/relaytest"
)

func TestMemoryPassesEverySuite(t *testing.T) {
	m := relaytest.NewMemory()
	t.Run("Journal", func(t *testing.T) {
		relaytest.Journal(t, func(*testing.T) (relay.Journal, mailbox.Contents) { return m, mailboxtest.Memory().Contents })
	})
	t.Run("Lanes", func(t *testing.T) {
		relaytest.Lanes(t, func(*testing.T) (a, b relay.Lanes) { return m, m.Process("") })
	})
}

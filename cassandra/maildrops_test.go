package cassandra

import (
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestMaildrops(t *testing.T) {
	promises.Maildrops(t, func(t *testing.T) mailbox.Maildrops { return newStore(t).Maildrops() })
}

func TestModel(t *testing.T) {
	promises.Model(t, func(t *testing.T) mailboxtest.Stores {
		s := newStore(t)
		return mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops(), Addresses: s.Addresses()}
	})
}

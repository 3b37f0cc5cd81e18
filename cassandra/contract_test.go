package cassandra

import (
	"testing"
	"time"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
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

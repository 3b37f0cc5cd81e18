package embedded

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
	"restante/relay"
	"restante/relay/pool"
	"restante/relay/pool/pooltest"
	"restante/relay/relaytest"
)

// openStore opens a store that is closed with the test. What the options leave
// out is a file system in memory.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	if o.Dir == "" {
		o.Dir = "mail"
	}
	s, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestContents(t *testing.T) {
	mailboxtest.Contents(t, func(t *testing.T) mailbox.Contents { return openStore(t, Options{}).Contents() })
}

func TestMaildrops(t *testing.T) {
	mailboxtest.Maildrops(t, func(t *testing.T) mailbox.Maildrops { return openStore(t, Options{}).Maildrops() })
}

// TestMaildropsFromDisk has no listing in memory for longer than a call.
func TestMaildropsFromDisk(t *testing.T) {
	mailboxtest.Maildrops(t, func(t *testing.T) mailbox.Maildrops {
		return openStore(t, Options{CachedMessages: 1}).Maildrops()
	})
}

func TestAddresses(t *testing.T) {
	mailboxtest.Addresses(t, func(t *testing.T) mailbox.Addresses { return openStore(t, Options{}).Addresses() })
}

func TestShared(t *testing.T) {
	pooltest.Shared(t, func(t *testing.T) pool.Shared { return openStore(t, Options{}).Shared() })
}

func TestSuppressions(t *testing.T) {
	relaytest.Suppressions(t, func(t *testing.T) relay.Suppressions { return openStore(t, Options{}).Suppressions() })
}

func TestModel(t *testing.T) {
	mailboxtest.Model(t, func(t *testing.T) mailboxtest.Stores { return stores(openStore(t, Options{})) })
}

func TestModelFromDisk(t *testing.T) {
	mailboxtest.Model(t, func(t *testing.T) mailboxtest.Stores {
		return stores(openStore(t, Options{CachedMessages: 1}))
	})
}

// TestStoreOnDisk runs the suites on a real directory.
func TestStoreOnDisk(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), FS: vfs.Default})
	t.Run("contents", func(t *testing.T) {
		mailboxtest.Contents(t, func(*testing.T) mailbox.Contents { return s.Contents() })
	})
	t.Run("maildrops", func(t *testing.T) {
		mailboxtest.Maildrops(t, func(*testing.T) mailbox.Maildrops { return s.Maildrops() })
	})
	t.Run("addresses", func(t *testing.T) {
		mailboxtest.Addresses(t, func(*testing.T) mailbox.Addresses { return s.Addresses() })
	})
}

func stores(s *Store) mailboxtest.Stores {
	return mailboxtest.Stores{Contents: s.Contents(), Maildrops: s.Maildrops(), Addresses: s.Addresses()}
}

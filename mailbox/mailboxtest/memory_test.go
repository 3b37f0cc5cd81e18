package mailboxtest_test

import (
	"io"
	"strings"
	"testing"

	"restante/mailbox"
	"restante/mailbox/mailboxtest"
)

func TestMemoryKeepsADeliveryUntilItIsExpunged(t *testing.T) {
	stores := mailboxtest.Memory()
	deliveries := stores.Deliveries()
	fred := mailbox.Address{Local: "fred", Domain: "example.org"}
	drop := mailbox.MaildropOf(fred, 1)
	env := mailbox.Envelope{Recipients: []mailbox.Recipient{{Address: fred, Maildrop: drop}}}

	m, err := deliveries.Deliver(t.Context(), env, strings.NewReader("Subject: hello\r\n\r\nworld\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := stores.Maildrops.List(t.Context(), drop)
	if err != nil || len(list) != 1 || list[0] != m {
		t.Fatalf("List = %v, %v; want %v", list, err, m)
	}
	r, err := stores.Contents.Open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if octets, err := io.ReadAll(r); err != nil || int64(len(octets)) != m.Octets {
		t.Fatalf("read %d octets, %v; want %d", len(octets), err, m.Octets)
	}

	if err := deliveries.Expunge(t.Context(), drop, list...); err != nil {
		t.Fatal(err)
	}
	if list, err := stores.Maildrops.List(t.Context(), drop); err != nil || len(list) != 0 {
		t.Fatalf("List after Expunge = %v, %v; want nothing", list, err)
	}
}
